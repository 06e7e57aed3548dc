//! Tokens that should be on this node and are not.

use std::collections::BTreeSet;

use super::expected::Expected;
use super::fair::Fair;
use super::{Changed, ChangedTokens, Event, World};
use crate::base::time::{Delta, Reading, Wall};
use crate::world::cluster::{Known, Phase, Pod, PodRef, PodStage};
use crate::world::tokens::{Absence, MAX_TOKENS, TokenKey, Tracked};

/// An absent token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its place on the node.
    pub key: TokenKey,
    /// Its pod, by the path and the claims of the last generation.
    pub pod: PodRef,
    /// How it is absent.
    pub absence: Absence,
    /// Since when the agent knows.
    pub since: Reading,
    /// The effective deadline of the last generation that the agent saw there. A running container
    /// may still have that one.
    pub last: Option<Wall>,
    /// Whether it was noted by the spec of a pod that was starting.
    was_starting: bool,
}

/// The absent tokens, and the pods without any token.
#[derive(Clone, Debug)]
pub struct AbsentTokens {
    absent: Fair<TokenKey, Absent>,
    /// UIDs of the pods whose directories are on this node and hold no token.
    bare: BTreeSet<String>,
    /// Where a token should be.
    pub(super) expected: Expected,
}

impl Absent {
    fn new(key: &TokenKey, absence: Absence, now: &Reading) -> Self {
        let pod = PodRef { uid: key.pod_uid.clone(), ..PodRef::default() };
        Self { key: key.clone(), pod, absence, since: *now, last: None, was_starting: false }
    }

    /// Whether it shows that the pod `uid` has a directory.
    fn is_seen_of(&self, uid: &str) -> bool {
        self.key.pod_uid == uid && self.absence != Absence::NotFound
    }

    /// Keeps what was known of the token that was there.
    fn had(&mut self, tracked: &Tracked) {
        self.pod = PodRef::of(tracked, None);
        self.last = tracked.current.as_ref().map(|generation| generation.deadlines.effective);
    }
}

impl Default for AbsentTokens {
    fn default() -> Self {
        let (bare, expected) = (BTreeSet::new(), Expected::default());
        Self { absent: Fair::of(MAX_TOKENS), bare, expected }
    }
}

impl AbsentTokens {
    fn of_starting(&mut self, key: &TokenKey, is_starting: bool) {
        if let Some(absent) = self.absent.get_mut(key) {
            absent.was_starting = is_starting;
        }
    }

    /// The absent token at `key`.
    pub fn get(&self, key: &TokenKey) -> Option<&Absent> {
        self.absent.get(key)
    }

    /// Every absent token, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Absent> {
        self.absent.values()
    }

    /// Whether the pod `uid` has a directory on the node, without any token or without one that
    /// should be there.
    pub(super) fn has_directory(&self, uid: &str) -> bool {
        self.bare.contains(uid) || self.absent.values().any(|absent| absent.is_seen_of(uid))
    }

    fn keys(&self) -> Vec<TokenKey> {
        self.absent.keys().cloned().collect()
    }

    fn keys_of(&self, pods: &BTreeSet<&str>) -> Vec<TokenKey> {
        self.absent.keys().filter(|key| pods.contains(key.pod_uid.as_str())).cloned().collect()
    }
}

/// What is known of the pod of an absent token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodLife {
    /// Its containers run, and one of them needs the token.
    Running,
    /// Its containers run, and none that needs the token.
    Waiting,
    /// Its containers have not started, or its phase is unknown.
    Starting,
    /// It has ended or is about to, or the API server does not know it. Or it needs no such token.
    Ended,
    /// The agent does not know: no API server has answered since the token was found absent.
    Unknown,
}

/// The facts about one absent token at one moment.
#[derive(Clone, Copy, Debug)]
pub struct AbsentFacts<'a> {
    /// The token.
    pub absent: &'a Absent,
    /// Its pod, if the cluster knows it.
    pub known: Option<Known<'a>>,
    /// What is known of the pod.
    pub life: PodLife,
    /// Whether the agent would see the token if it existed, and sees the pod's directory.
    pub visible: bool,
    /// Time for which a missing file is not a finding yet.
    pub settle: Delta,
}

impl AbsentFacts<'_> {
    /// The pod's names, for the subject of a finding.
    pub fn pod_ref(&self) -> PodRef {
        self.known.map_or_else(|| self.absent.pod.clone(), |known| PodRef::known(known.pod))
    }
}

impl World {
    /// Takes the observation that `key` is absent.
    pub(super) fn missing(&mut self, now: &Reading, key: TokenKey, absence: Absence) -> Changed {
        self.cluster.has_directory(&key.pod_uid);
        let (tracked, _) = self.tokens.remove(&key);
        if tracked.as_ref().is_some_and(|token| token.current.is_some()) {
            self.hold(&key);
        }
        let left_out = self.set_absent(now, &key, absence, tracked.as_deref());
        self.copies.pod(&key.pod_uid, true, now);
        let event = tracked.map(Event::Gone);
        Changed { node: true, event, left_out, ..Changed::of(vec![key]) }
    }

    /// Notes that `key` is absent. What is known of it from before stays known. Returns the absent
    /// tokens of which nothing is kept from now on: perhaps this one.
    fn set_absent(
        &mut self,
        now: &Reading,
        key: &TokenKey,
        absence: Absence,
        was: Option<&Tracked>,
    ) -> Vec<TokenKey> {
        let before = self.absent.absent.remove(key);
        let mut absent = before.unwrap_or_else(|| Absent::new(key, absence, now));
        absent.absence = absence;
        if let Some(tracked) = was {
            absent.had(tracked);
        }
        let namespace = self.namespace_of(&key.pod_uid);
        self.absent.absent.insert(namespace, key, absent)
    }

    /// The namespace of the pod, where it is known.
    pub(super) fn namespace_of(&self, pod_uid: &str) -> Option<String> {
        self.cluster.pod(pod_uid).map(|pod| pod.namespace.clone())
    }

    /// Takes the observation that the file at `key` does not exist. It may have to.
    pub(super) fn gone(&mut self, now: &Reading, key: &TokenKey) -> Changed {
        let (tracked, left_out_changed) = self.tokens.remove(key);
        self.absent.expected.gone(key);
        let was_absent = self.absent.get(key).is_some();
        let (is_needed, mut left_out) = (self.is_needed(key, now), Vec::new());
        if is_needed {
            left_out = self.set_absent(now, key, Absence::NotFound, tracked.as_deref());
        } else {
            self.absent.absent.remove(key);
        }
        let has_token = self.tokens.has_pod(&key.pod_uid);
        self.copies.pod(&key.pod_uid, has_token, now);
        let changed = was_absent || is_needed;
        Changed {
            node: left_out_changed || was_absent || self.copies.has_any(),
            event: tracked.map(Event::Gone),
            left_out,
            ..Changed::of(changed.then(|| key.clone()).into_iter().collect())
        }
    }

    /// Takes the observation that the file at `key` is not followed any more. It is no left out one
    /// of the store, which would wait for the file to be gone: a blind spot stands for it.
    pub(super) fn not_followed(&mut self, key: &TokenKey) -> Changed {
        let (tracked, left_out_changed) = self.tokens.remove(key);
        let evicted = tracked.map(|tracked| *tracked).into_iter().collect();
        let absent = self.absent.get(key).map(|absent| absent.key.clone());
        let changed = Changed::of(absent.into_iter().collect());
        Changed { node: left_out_changed, evicted, ..changed }
    }

    /// Takes the observation that there is a file at `key`. Returns whether it was absent.
    pub(super) fn appeared(&mut self, key: &TokenKey) -> bool {
        self.absent.absent.remove(key).is_some()
    }

    /// Takes the complete list of the pods whose directories hold no token.
    pub(super) fn bare(&mut self, pods: Vec<String>) -> Changed {
        for uid in &pods {
            self.cluster.has_directory(uid);
        }
        self.absent.bare = pods.into_iter().take(MAX_TOKENS).collect();
        self.visibility_changed()
    }

    /// What the agent can see has changed: an absent token may only be hidden.
    pub(super) fn visibility_changed(&self) -> Changed {
        Changed::node().with(ChangedTokens::These(self.absent.keys()))
    }

    /// Compares the specs of these pods with the tokens on the node. Returns every absent token of
    /// them, before and after, and those of which nothing is kept.
    pub(super) fn compare(
        &mut self,
        now: &Reading,
        pods: &[String],
    ) -> (Vec<TokenKey>, Vec<TokenKey>) {
        let uids: BTreeSet<&str> = pods.iter().map(String::as_str).collect();
        let mut keys = self.absent.keys_of(&uids);
        for key in &keys {
            let inferred = self.absent.get(key).filter(|one| one.absence == Absence::NotFound);
            if inferred.is_some_and(|absent| !self.is_still_inferred(absent, now)) {
                self.absent.absent.remove(key);
            }
        }
        let active = uids.iter().filter_map(|uid| self.active(uid, now));
        let needed: Vec<(TokenKey, bool)> = active
            .flat_map(|pod| pod.needed().into_iter().map(|key| (key, !pod.is_running())))
            .collect();
        let mut left_out = Vec::new();
        for (key, is_starting) in needed {
            if self.tokens.get(&key).is_none() && self.absent.get(&key).is_none() {
                left_out.extend(self.set_absent(now, &key, Absence::NotFound, None));
                self.absent.of_starting(&key, is_starting);
                keys.push(key);
            }
        }
        (keys, left_out)
    }

    /// Whether the spec of the pod still shows that a token should be there. Once the pod runs, a
    /// file has time again to be found.
    fn is_still_inferred(&self, absent: &Absent, now: &Reading) -> bool {
        let key = &absent.key;
        let pod = self.active(&key.pod_uid, now).filter(|pod| pod.needs(key));
        pod.is_some_and(|pod| pod.is_running() != absent.was_starting)
    }

    /// Whether a container of a running pod needs this token.
    fn is_needed(&self, key: &TokenKey, now: &Reading) -> bool {
        self.running(&key.pod_uid, now).is_some_and(|pod| pod.needs(key))
    }

    /// The pod with this UID, if its containers run.
    fn running(&self, uid: &str, now: &Reading) -> Option<&Pod> {
        self.active(uid, now).filter(|pod| pod.is_running())
    }

    /// The pod with this UID, if its containers run or start.
    fn active(&self, uid: &str, now: &Reading) -> Option<&Pod> {
        let is_active = self.cluster.stage(uid, None, now) == PodStage::Active;
        let starts_or_runs = |pod: &&Pod| pod.is_running() || pod.phase == Phase::Pending;
        self.cluster.pod(uid).filter(|_| is_active).filter(starts_or_runs)
    }

    /// The facts about one absent token. Nothing if the token is not absent.
    pub fn absent_facts(&self, key: &TokenKey, now: &Reading) -> Option<AbsentFacts<'_>> {
        let absent = self.absent.get(key)?;
        let known = self.cluster.known(&key.pod_uid, now);
        let is_here = absent.absence != Absence::NotFound
            || absent.last.is_some()
            || self.absent.bare.contains(&key.pod_uid)
            || self.tokens.has_pod(&key.pod_uid);
        let life = self.life(absent, now);
        let visible = is_here && self.would_see(key);
        Some(AbsentFacts { absent, known, life, visible, settle: self.startup.settle() })
    }

    fn life(&self, absent: &Absent, now: &Reading) -> PodLife {
        let Absent { key, since, .. } = absent;
        match self.cluster.stage(&key.pod_uid, Some((now.wall, *since)), now) {
            PodStage::Unknown => PodLife::Unknown,
            PodStage::Terminating { .. } | PodStage::Ended(_) | PodStage::Deleted(_) => {
                PodLife::Ended
            }
            PodStage::Active => {
                self.cluster.pod(&key.pod_uid).map_or(PodLife::Unknown, |pod| life_of(pod, key))
            }
        }
    }

    /// Whether no file is at `key`, and none should be. Before every file was looked at, nothing
    /// shows that.
    pub(crate) fn is_gone(&self, key: &TokenKey) -> bool {
        let is_known = self.tokens.get(key).is_some() || self.absent.get(key).is_some();
        !is_known && self.startup.is_scanned() && self.would_see(key)
    }
}

/// The life of a pod that exists and is not being deleted.
fn life_of(pod: &Pod, key: &TokenKey) -> PodLife {
    let mounts_volume =
        pod.containers.iter().any(|container| container.volumes.contains(&key.volume));
    match pod.is_running() {
        _ if mounts_volume && !pod.needs(key) => PodLife::Ended,
        false => PodLife::Starting,
        true if pod.uses(key) => PodLife::Running,
        true => PodLife::Waiting,
    }
}
