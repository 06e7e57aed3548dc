//! The first late tokens wait for those that are late soon after them: with tokens of enough owners
//! they are one finding about kubelet, and none about each.
//!
//! A token waits until it is stalled, at most: three minutes with the tokens of an hour, and 14 s
//! with those of ten minutes. It is valid until then. The wait ends as soon as kubelet replaces any
//! token.
//!
//! When kubelet catches up after a stall, a token that becomes late only then waits, too: kubelet
//! needs no less time for it than for the others.

use std::collections::BTreeSet;

use super::kubelet::{KubeletEvidence, OWNERS, generation, owner};
use crate::base::time::{Reading, Wall};
use crate::world::World;
use crate::world::tokens::{Generation, TokenKey};

impl KubeletEvidence {
    /// Concludes which late tokens wait. `is_reported` tells which have a finding already, which
    /// must not be resolved by that. Returns those where it changed.
    pub fn hold_first(
        &mut self,
        world: &World,
        now: &Reading,
        is_reported: impl Fn(&TokenKey) -> bool,
    ) -> Vec<TokenKey> {
        if self.late.is_empty() && self.pending.is_empty() {
            return Vec::new();
        }
        let mut pending = self.recovering(world, now);
        if self.stall.is_none() {
            pending.extend(self.waiting(world, now));
        }
        pending.retain(|key| !is_reported(key) && !self.explains(key));
        let before = std::mem::replace(&mut self.pending, pending);
        before.symmetric_difference(&self.pending).cloned().collect()
    }

    /// The tokens that became late after a stall, and that kubelet could not replace during it.
    fn recovering(&self, world: &World, now: &Reading) -> BTreeSet<TokenKey> {
        let recovery = self.recovery.filter(|recovery| now.monotonic < recovery.until);
        let Some(recovery) = recovery else { return BTreeSet::new() };
        let waits = |key: &&TokenKey| {
            generation(world, key).is_some_and(|of| {
                let is_of_stall = of.claims.issued_at <= recovery.since;
                is_of_stall && of.deadlines.late >= recovery.at && now.wall < of.deadlines.stalled
            })
        };
        self.late.keys().filter(waits).cloned().collect()
    }

    fn waiting(&self, world: &World, now: &Reading) -> BTreeSet<TokenKey> {
        let of_kubelet = |of: &&Generation| of.claims.binding.is_of_kubelet();
        let of_kubelet = world.tokens.generations().filter(of_kubelet);
        let Some(newest) = of_kubelet.map(|of| of.claims.issued_at).max() else {
            return BTreeSet::new();
        };
        let waits = |key: &&TokenKey| {
            let until = generation(world, key).filter(|of| waits(of, newest, now));
            until.is_some_and(|of| self.owners(world, newest, of.deadlines.stalled) >= OWNERS)
        };
        self.late.keys().filter(waits).cloned().collect()
    }

    /// The owners whose tokens show by then that kubelet replaces nothing.
    fn owners(&self, world: &World, newest: Wall, by: Wall) -> usize {
        let shows = |key: &&TokenKey| {
            let late = generation(world, key).map(|of| of.deadlines.late);
            late.is_some_and(|late| late > newest && late <= by)
        };
        let tokens = self.late.keys().chain(&self.due).filter(shows);
        tokens.map(|key| owner(world, key)).collect::<BTreeSet<String>>().len()
    }
}

/// Whether a late token can wait: kubelet got none since it is late, and the agent has seen it
/// before that. Of what was late when the agent looked first, it reports what it sees.
fn waits(late: &Generation, newest: Wall, now: &Reading) -> bool {
    let deadlines = &late.deadlines;
    late.seen.wall < deadlines.late && deadlines.late > newest && now.wall < deadlines.stalled
}
