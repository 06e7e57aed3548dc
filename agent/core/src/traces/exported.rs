//! Which generations' traces were exported. A file that goes away and comes back, or a generation
//! that is put back, gets no second trace.

use std::collections::{BTreeSet, VecDeque};

use super::Span;
use super::generation::{self, Ended};
use crate::base::ids::SpanId;
use crate::base::time::Wall;
use crate::world::cluster::{Pod, PodRef};
use crate::world::tokens::{Generation, TokenKey, Tracked};

/// Four generations of each token of a full node (250 pods). Eight bytes each, twice.
const KEPT: usize = 1_024;

/// The roots that were exported last, and the tokens whose generation expired in the file.
#[derive(Debug, Default)]
pub struct Exported {
    order: VecDeque<SpanId>,
    known: BTreeSet<SpanId>,
    /// The trace of the generation that is still in these files is complete.
    expired: BTreeSet<TokenKey>,
}

impl Exported {
    /// The trace of a generation that the next one replaced at `at`.
    pub fn replaced(
        &mut self,
        tracked: &Tracked,
        pod: Option<&Pod>,
        old: &Generation,
        at: Wall,
    ) -> Vec<Span> {
        if self.expired.remove(&tracked.key) {
            return Vec::new();
        }
        let next = tracked.current.as_ref().map(|next| next.claims.generation());
        next.map(|next| self.once(tracked, pod, old, at, &Ended::Replaced(next)))
            .unwrap_or_default()
    }

    /// The trace of a generation that is past `exp` at `now` in the file. What kubelet does later
    /// belongs to the next one.
    pub fn expired(&mut self, tracked: &Tracked, pod: Option<&Pod>, now: Wall) -> Vec<Span> {
        let Some(generation) = &tracked.current else { return Vec::new() };
        let end = generation.claims.expires_at;
        if now < end || !self.expired.insert(tracked.key.clone()) {
            return Vec::new();
        }
        self.once(tracked, pod, generation, end, &Ended::Expired)
    }

    /// The trace of a generation whose file went away.
    pub fn gone(&mut self, tracked: &Tracked, pod: Option<&Pod>, now: Wall) -> Vec<Span> {
        match &tracked.current {
            Some(generation) if !self.expired.remove(&tracked.key) => {
                self.once(tracked, pod, generation, now, &Ended::Gone)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The part of a trace that is known when the agent stops.
    pub fn open(&self, tracked: &Tracked, pod: Option<&Pod>, now: Wall) -> Option<Span> {
        let generation = tracked.current.as_ref()?;
        let complete = self.expired.contains(&tracked.key);
        (!complete)
            .then(|| generation::open(&tracked.key, &PodRef::of(tracked, pod), generation, now))
    }

    fn once(
        &mut self,
        tracked: &Tracked,
        pod: Option<&Pod>,
        generation: &Generation,
        end: Wall,
        ended: &Ended,
    ) -> Vec<Span> {
        if !self.first(generation::root(&tracked.key, &generation.claims).span_id) {
            return Vec::new();
        }
        generation::closed(&tracked.key, &PodRef::of(tracked, pod), generation, end, ended)
    }

    /// Whether this root was not exported yet, as far as is known. From now on it was.
    fn first(&mut self, root: SpanId) -> bool {
        if !self.known.insert(root) {
            return false;
        }
        self.order.push_back(root);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_roots_take_bounded_memory() {
        let root = |number: usize| SpanId((number as u64).to_be_bytes());
        let mut exported = Exported::default();
        assert!((0..KEPT).all(|number| exported.first(root(number))));
        assert!(!exported.first(root(0)) && !exported.first(root(KEPT - 1)));
        assert!((KEPT..3 * KEPT).all(|number| exported.first(root(number))));
        assert_eq!((exported.order.len(), exported.known.len()), (KEPT, KEPT));
        assert!(exported.first(root(0)));
    }
}
