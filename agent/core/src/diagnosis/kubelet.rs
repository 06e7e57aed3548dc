//! The evidence about kubelet itself: tokens of several pods that it should have replaced, and
//! nothing that it did replace since; or volumes of several pods, and none that it syncs; or one
//! cause that it logged for tokens of several pods.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::{Monotonic, Reading, Wall};
use crate::findings::{KubeletSymptom, Severity, StallSign};
use crate::world::World;
use crate::world::kubelet::errors::ErrorCause;
use crate::world::tokens::{Generation, TokenKey};

/// Owners of pods whose tokens are late at the same time, from which kubelet is the cause. An owner
/// may have a cause of its own in all of its pods, such as a missing ConfigMap. That three of them
/// have one within the same few minutes, while kubelet renews nothing else, is far less likely.
pub(super) const OWNERS: usize = 3;
/// Pods whose silence is one finding.
const PODS: usize = 3;

/// The tokens that kubelet should have replaced, and what follows about kubelet.
#[derive(Debug, Default)]
pub struct KubeletEvidence {
    /// The tokens that are late, or will not be replaced, for no other reason: with the severity of
    /// each.
    pub(super) late: BTreeMap<TokenKey, Severity>,
    /// The tokens that are due, and will be late for no other reason.
    pub(super) due: BTreeSet<TokenKey>,
    /// The late tokens that wait for these.
    pub(super) pending: BTreeSet<TokenKey>,
    pub(super) stall: Option<Stall>,
    pub(super) recovery: Option<Recovery>,
    /// Whether kubelet replaced a token since the last stall began.
    replaces: bool,
}

/// A kubelet that replaces nothing.
#[derive(Clone, Debug)]
pub(super) struct Stall {
    symptom: KubeletSymptom,
    /// Set once kubelet replaced a token again: when it has had time for all of them.
    recovers_until: Option<Monotonic>,
}

/// The time after a stall in which kubelet catches up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    /// When it began.
    pub(super) at: Wall,
    /// Tokens that were issued later are none that kubelet has to catch up with.
    pub(super) since: Wall,
    pub(super) until: Monotonic,
}

impl KubeletEvidence {
    /// Sets whether the token `key` is late for no other reason than kubelet.
    pub fn set(&mut self, key: &TokenKey, severity: Option<Severity>) {
        match severity {
            Some(severity) => self.late.insert(key.clone(), severity),
            None => self.late.remove(key),
        };
    }

    /// Sets whether the token `key` is due, and will be late for no other reason than kubelet.
    pub fn set_due(&mut self, key: &TokenKey, is_due: bool) {
        if !is_due {
            self.due.remove(key);
        } else if !self.due.contains(key) {
            self.due.insert(key.clone());
        }
    }

    /// Whether the token is late, and so may be those of other owners within moments.
    pub fn is_pending(&self, key: &TokenKey) -> bool {
        self.pending.contains(key)
    }

    /// The symptom of a kubelet that replaces nothing.
    pub fn symptom(&self) -> Option<&KubeletSymptom> {
        self.stall.as_ref().map(|stall| &stall.symptom)
    }

    /// Whether the stall explains why this token is not replaced.
    pub fn explains(&self, key: &TokenKey) -> bool {
        self.symptom().is_some_and(|symptom| symptom.tokens.contains(key))
    }

    /// Whether kubelet replaced a token since the last stall began.
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// When the evidence may change by the passing of time alone.
    pub fn next_change(&self) -> Option<Monotonic> {
        let recovery = self.recovery.filter(|_| !self.pending.is_empty());
        let stall = self.stall.as_ref().and_then(|stall| stall.recovers_until);
        stall.into_iter().chain(recovery.map(|recovery| recovery.until)).min()
    }

    /// Concludes again. `has_own` tells which tokens keep a finding of their own: it reports that
    /// the token has expired, and must not be resolved before the token is replaced. `known` tells
    /// whether the stall was reported already, by this agent or by the one before it. Returns the
    /// tokens that are explained now and were not, or the other way round.
    pub fn conclude(
        &mut self,
        world: &World,
        now: &Reading,
        has_own: impl Fn(&TokenKey) -> bool,
        known: bool,
    ) -> Vec<TokenKey> {
        if self.late.is_empty() && self.stall.is_none() {
            return Vec::new();
        }
        let of_kubelet = |of: &&Generation| of.claims.binding.is_of_kubelet();
        let of_kubelet = world.tokens.generations().filter(of_kubelet);
        let newest = of_kubelet.map(|of| of.claims.issued_at).max();
        let before = self.stall.take();
        let old = before.as_ref().map(|stall| stall.symptom.clone());
        self.stall = newest
            .and_then(|newest| {
                let silent = self.silent(before.as_ref(), world, known);
                let continued =
                    || before.and_then(|stall| self.continued(stall, world, now, newest));
                let begun = || self.begun(world, newest, known);
                let failing = || self.failing(world, now, known);
                silent.or_else(continued).or_else(begun).or_else(failing)
            })
            .map(|stall| without(stall, has_own))
            .filter(|stall| !stall.symptom.tokens.is_empty());
        self.recovery = self.recovery(old.as_ref(), world, now, newest);
        let since = old.as_ref().or(self.symptom()).map(|symptom| symptom.since);
        self.replaces = newest.zip(since).is_some_and(|(newest, since)| newest > since);
        let tokens = |symptom: Option<&KubeletSymptom>| {
            symptom.map(|of| of.tokens.clone()).unwrap_or_default()
        };
        tokens(old.as_ref()).symmetric_difference(&tokens(self.symptom())).cloned().collect()
    }

    /// A stall ends when kubelet has replaced a token and had time to replace the others, or when
    /// none of them is left. A token of a pod that is being deleted meanwhile is still left.
    fn continued(
        &self,
        before: Stall,
        world: &World,
        now: &Reading,
        newest: Wall,
    ) -> Option<Stall> {
        match before.symptom.sign {
            StallSign::SyncsNothing => return self.resumed(&before, world, now),
            StallSign::Fails(_) => return None, // as long as kubelet fails, it is found again
            StallSign::ReplacesNothing => {}
        }
        let KubeletSymptom { sign, since, tokens, severity } = before.symptom;
        let recovers_until = before.recovers_until.or_else(|| {
            (newest > since).then(|| now.monotonic + world.kubelet.policy().patience())
        });
        if recovers_until.is_some_and(|until| until <= now.monotonic) {
            return None;
        }
        let is_left =
            |key: &TokenKey| generation(world, key).is_some_and(|of| of.claims.issued_at <= since);
        let joined = self.late.keys().filter(|_| recovers_until.is_none()).cloned();
        let tokens = tokens.into_iter().chain(joined).filter(is_left).collect();
        let symptom = self.with_severity(KubeletSymptom { sign, since, tokens, severity });
        Some(Stall { symptom, recovers_until })
    }

    /// The recovery from the stall before, which begins when kubelet replaces or syncs something
    /// again, and which another stall ends.
    fn recovery(
        &self,
        before: Option<&KubeletSymptom>,
        world: &World,
        now: &Reading,
        newest: Option<Wall>,
    ) -> Option<Recovery> {
        if self.stall.as_ref().is_some_and(|stall| stall.recovers_until.is_none()) {
            return None;
        }
        if let Some(known) = self.recovery {
            return (now.monotonic < known.until).then_some(known);
        }
        let KubeletSymptom { sign, since, .. } = before?;
        let is_over = match sign {
            StallSign::ReplacesNothing => newest > Some(*since),
            StallSign::SyncsNothing => world.kubelet.syncs.silent_since().is_none(),
            StallSign::Fails(_) => false, // it replaced others meanwhile
        };
        let until = now.monotonic + world.kubelet.policy().patience();
        is_over.then_some(Recovery { at: now.wall, since: *since, until })
    }

    /// kubelet syncs volumes again. What is late by now may take some time.
    fn resumed(&self, before: &Stall, world: &World, now: &Reading) -> Option<Stall> {
        let patience = world.kubelet.policy().patience();
        let until = before.recovers_until.unwrap_or(now.monotonic + patience);
        let is_late = |key: &TokenKey| self.late.contains_key(key);
        let tokens = before.symptom.tokens.iter().filter(|key| is_late(key)).cloned().collect();
        let symptom = self.with_severity(KubeletSymptom { tokens, ..before.symptom.clone() });
        (until > now.monotonic).then_some(Stall { symptom, recovers_until: Some(until) })
    }

    /// kubelet syncs no volume at all, or few of them.
    fn silent(&self, before: Option<&Stall>, world: &World, known: bool) -> Option<Stall> {
        let since = world.kubelet.syncs.silent_since()?;
        let is_left = |key: &&TokenKey| {
            generation(world, key).is_some() && world.kubelet.syncs.leaves_out(key)
        };
        let severity = before.map_or(Severity::Info, |stall| stall.symptom.severity);
        let before = before.into_iter().flat_map(|stall| &stall.symptom.tokens).filter(is_left);
        let tokens: BTreeSet<TokenKey> = self.late.keys().chain(before).cloned().collect();
        let sign = StallSign::SyncsNothing;
        let symptom = KubeletSymptom { sign, since, tokens, severity };
        let pods: BTreeSet<&str> = symptom.tokens.iter().map(|key| &*key.pod_uid).collect();
        (pods.len() >= if known { 1 } else { PODS })
            .then(|| Stall { symptom: self.with_severity(symptom), recovers_until: None })
    }

    /// The tokens that a healthy kubelet would have replaced by now, and after which it got no
    /// token, if they belong to several owners.
    fn begun(&self, world: &World, newest: Wall, known: bool) -> Option<Stall> {
        let is_evidence = |key: &&TokenKey| {
            generation(world, key).is_some_and(|late| late.deadlines.late > newest)
        };
        let tokens: BTreeSet<TokenKey> = self.late.keys().filter(is_evidence).cloned().collect();
        let (sign, since, severity) = (StallSign::ReplacesNothing, newest, Severity::Info);
        is_of_kubelet(&tokens, world, known).then(|| Stall {
            symptom: self.with_severity(KubeletSymptom { sign, since, tokens, severity }),
            recovers_until: None,
        })
    }

    /// The tokens that are late, and for which kubelet logged the same cause, one of the node and
    /// of no pod. It may replace others meanwhile, as where its requests are throttled.
    fn failing(&self, world: &World, now: &Reading, known: bool) -> Option<Stall> {
        let (cause, tokens) = self.cause(world, now, known)?;
        let pods: BTreeSet<&str> = tokens.iter().map(|key| &*key.pod_uid).collect();
        let is_of_node = pods.len() >= if known { 1 } else { PODS };
        let due = tokens.iter().filter_map(|key| generation(world, key)).map(|of| of.deadlines.due);
        let (sign, since, severity) = (StallSign::Fails(cause), due.min()?, Severity::Info);
        is_of_node.then(|| Stall {
            symptom: self.with_severity(KubeletSymptom { sign, since, tokens, severity }),
            recovers_until: None,
        })
    }

    /// The cause of the node that kubelet logged for most late tokens, and these.
    fn cause(
        &self,
        world: &World,
        now: &Reading,
        known: bool,
    ) -> Option<(ErrorCause, BTreeSet<TokenKey>)> {
        let mut causes: BTreeMap<ErrorCause, BTreeSet<TokenKey>> = BTreeMap::new();
        for key in self.late.keys() {
            let logged = world.kubelet_error(key, now).filter(|one| known || !one.is_last());
            let cause = logged.map(|logged| logged.error.cause).filter(|cause| cause.is_of_node());
            if let Some(cause) = cause {
                causes.entry(cause).or_default().insert(key.clone());
            }
        }
        causes.into_iter().max_by_key(|(_, tokens)| tokens.len())
    }

    /// The symptom with the highest severity of its tokens; as before if none of them is late any
    /// more, because their pods are being deleted.
    fn with_severity(&self, symptom: KubeletSymptom) -> KubeletSymptom {
        let highest = symptom.tokens.iter().filter_map(|key| self.late.get(key)).max();
        KubeletSymptom { severity: highest.copied().unwrap_or(symptom.severity), ..symptom }
    }
}

fn without(mut stall: Stall, has_own: impl Fn(&TokenKey) -> bool) -> Stall {
    stall.symptom.tokens.retain(|key| !has_own(key));
    stall
}

pub(super) fn generation<'a>(world: &'a World, key: &TokenKey) -> Option<&'a Generation> {
    world.tokens.get(key)?.current.as_ref()
}

/// Whether the tokens belong to several owners.
fn is_of_kubelet(tokens: &BTreeSet<TokenKey>, world: &World, known: bool) -> bool {
    let owners: BTreeSet<String> = tokens.iter().map(|key| owner(world, key)).collect();
    owners.len() >= if known { 1 } else { OWNERS }
}

/// The owner of the token's pod, or the pod where the owner is not known.
pub(super) fn owner(world: &World, key: &TokenKey) -> String {
    let owner = world.cluster.pod(&key.pod_uid).and_then(|pod| {
        let owner = pod.owner.as_ref()?;
        Some(format!("{}/{}/{}", pod.namespace, owner.kind, owner.name))
    });
    owner.unwrap_or_else(|| key.pod_uid.clone())
}
