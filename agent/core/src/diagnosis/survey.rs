//! What all tokens together show: the effects of a wrong node clock, and a kubelet that replaces
//! nothing.

use std::collections::BTreeSet;

use super::affected::AffectedTokens;
use super::kubelet::KubeletEvidence;
use super::posture::{self, ExtendedTokens};
use super::{ClockEffect, ReaderDiagnosis, correlate};
use crate::base::time::{Monotonic, Reading};
use crate::findings::{Affected, Code, PostureSymptom};
use crate::world::tokens::{Generation, TokenKey, Tracked};
use crate::world::{AheadClock, Facts, KubeletFacts, VerifierFacts, World};

/// The codes of findings about a token that kubelet should have replaced.
const OF_OLD: [Code; 3] = [Code::RotationLate, Code::RotationStalled, Code::Expired];

/// What all tokens together show.
#[derive(Debug, Default)]
pub struct Survey {
    /// The tokens that a wrong node clock affects.
    affected: AffectedTokens,
    /// The tokens that work only because the API server extends their expiry.
    extended: ExtendedTokens,
    /// Whether these, or the tokens with a long life, changed.
    is_posture_changed: bool,
    /// The tokens that kubelet should have replaced.
    pub kubelet: KubeletEvidence,
    /// The tokens that kubelet does not renew, and nothing names the cause.
    open: BTreeSet<TokenKey>,
    /// The clock of an API server that is ahead.
    ahead: Option<AheadClock>,
}

impl Survey {
    /// Takes account of one token, before its findings are reported.
    pub fn see(&mut self, facts: &Facts<'_>, now: &Reading) {
        let cause = facts.generation().map(|of| correlate::token(of, now.wall, facts));
        let by_kubelet = cause.and_then(|cause| cause.by_kubelet);
        let effect = cause.map_or(ClockEffect::None, |cause| cause.clock_effect);
        let key = &facts.tracked.key;
        self.affected.set(key, effect);
        self.kubelet.set(key, by_kubelet.map(|symptom| symptom.severity));
        let is_due = |of| correlate::will_be_kubelets(of, now.wall, facts);
        self.kubelet.set_due(key, facts.generation().is_some_and(is_due));
        self.set_open(key, is_cause_open(facts, by_kubelet.is_some()));
    }

    fn set_open(&mut self, key: &TokenKey, is_open: bool) {
        if !is_open {
            self.open.remove(key);
        } else if !self.open.contains(key) {
            self.open.insert(key.clone());
        }
    }

    /// Whether kubelet does not renew a token, and nothing names the cause.
    pub fn is_cause_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Removes a token that no longer exists.
    pub fn remove(&mut self, token: &Tracked) {
        self.affected.remove(&token.key);
        self.kubelet.set(&token.key, None);
        self.kubelet.set_due(&token.key, false);
        self.set_open(&token.key, false);
        let was_extended = self.extended.set(&token.key, None);
        self.is_posture_changed |= was_extended || token.long_life().is_some();
    }

    /// Takes account of what the readers of a token show.
    pub fn see_readers(&mut self, key: &TokenKey, readers: &ReaderDiagnosis) {
        self.is_posture_changed |= self.extended.set(key, readers.extended_until);
    }

    /// Whether the findings about the posture of the node may differ since the last call.
    pub fn take_posture_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_posture_changed)
    }

    /// When the findings about the node may change by the passing of time alone.
    pub(super) fn next_change(&self, now: &Reading) -> Option<Monotonic> {
        self.kubelet.next_change().into_iter().chain(self.extended.next_change(now)).min()
    }

    /// The tokens that work, and should not be relied on.
    pub(super) fn posture(&self, world: &World, now: &Reading) -> Vec<PostureSymptom> {
        posture::posture(world, &self.extended, now)
    }

    /// Concludes from all tokens. Returns those whose explanation changed. A token whose reported
    /// finding is that it has expired keeps that finding until it is replaced. `active` tells
    /// whether a finding with a code is active, about a token or about the node.
    pub fn conclude(
        &mut self,
        world: &World,
        now: &Reading,
        active: impl Fn(Option<&TokenKey>, Code) -> bool,
    ) -> Vec<TokenKey> {
        let now = &world.visibility.files_known_at(now);
        let has_own = |key: &TokenKey| active(Some(key), Code::Expired);
        let known = active(None, Code::KubeletStalled);
        let mut changed = self.kubelet.conclude(world, now, has_own, known);
        let is_reported = |key: &TokenKey| OF_OLD.iter().any(|code| active(Some(key), *code));
        changed.extend(self.kubelet.hold_first(world, now, is_reported));
        changed
    }

    /// Completes the facts about a token with what all tokens together show.
    pub fn complete<'a>(&self, facts: Facts<'a>) -> Facts<'a> {
        let is_stalled = self.kubelet.explains(&facts.tracked.key);
        let verifier = VerifierFacts { ahead: self.ahead, ..facts.verifier };
        let is_pending = self.kubelet.is_pending(&facts.tracked.key);
        let kubelet = KubeletFacts { is_stalled, is_pending, ..facts.kubelet };
        Facts { verifier, kubelet, ..facts }
    }

    /// Takes the clock of an API server that is ahead. Returns the tokens that it may explain, or
    /// does not explain any more.
    pub fn set_ahead(
        &mut self,
        ahead: Option<AheadClock>,
        world: &World,
        now: &Reading,
    ) -> Vec<TokenKey> {
        let rounded = |clock: AheadClock| (clock.by.as_secs(), clock.answers);
        let before = std::mem::replace(&mut self.ahead, ahead);
        if before.map(rounded) == ahead.map(rounded) {
            return Vec::new();
        }
        let is_too_new = |current: &Generation| current.claims.issued_at > now.wall;
        world.tokens.keys_of(|token| token.current.as_ref().is_some_and(is_too_new))
    }

    /// The tokens that a wrong node clock affects, for the findings about the clock.
    pub fn affected(&self, world: &World) -> Affected {
        self.affected.named(world)
    }
}

/// Whether kubelet does not renew the token, for no reason that is known: it is late, or a renewal
/// failed, or kubelet does not sync the volume. What kubelet logged is more exact than anything.
fn is_cause_open(facts: &Facts<'_>, is_late: bool) -> bool {
    let kubelet = &facts.kubelet;
    let has_failed = kubelet.failed_renewals.is_some_and(|count| count > 0);
    let is_of_kubelet = |of: &Generation| of.claims.binding.is_of_kubelet();
    (is_late || has_failed || kubelet.unsynced.is_some())
        && kubelet.logged.is_none()
        && !facts.stage.is_ending()
        && facts.generation().is_some_and(is_of_kubelet)
}
