//! What was exported. Each generation gets one trace, also if its file is deleted and created
//! again, or if an old generation is written back. Of the clock, only news do.

use std::collections::{BTreeSet, VecDeque};

use super::generation::{self, Ended};
use super::measured::Measurements;
use super::{Span, readers};
use crate::base::ids::SpanId;
use crate::base::time::Wall;
use crate::world::World;
use crate::world::clocks::{ClockModel, Round};
use crate::world::cluster::PodRef;
use crate::world::tokens::{Generation, TokenKey, Tracked};

/// Most root spans that are kept: four generations of each token of a full node (250 pods). Each
/// takes 16 bytes.
const CAPACITY: usize = 1_024;

/// The root spans that were exported last, the tokens whose generation expired in the file, and the
/// last measurement.
#[derive(Debug, Default)]
pub struct Exported {
    order: VecDeque<SpanId>,
    known: BTreeSet<SpanId>,
    /// The files with a generation that has expired: its trace is complete.
    expired: BTreeSet<TokenKey>,
    measurements: Measurements,
}

impl Exported {
    /// The trace of a measurement of the clock, which `model` has already taken, if it shows
    /// something new.
    pub fn measured(&mut self, node: &str, model: &ClockModel, round: &Round) -> Vec<Span> {
        self.measurements.spans(node, model, round)
    }

    /// The trace of the generation `old`, which the next one replaced at `at`.
    pub fn replaced(
        &mut self,
        world: &World,
        key: &TokenKey,
        old: &Generation,
        at: Wall,
    ) -> Vec<Span> {
        let Some(tracked) = world.tokens.get(key).filter(|_| !self.expired.remove(key)) else {
            return Vec::new();
        };
        let next = tracked.current.as_ref().map(|next| next.claims.generation());
        next.map(|next| self.once(world, tracked, old, at, &Ended::Replaced(next)))
            .unwrap_or_default()
    }

    /// The trace of the generation in the file, if it is past `exp` at `now`. Its trace ends at
    /// `exp`, also if kubelet replaces it later.
    pub fn expired(&mut self, world: &World, tracked: &Tracked, now: Wall) -> Vec<Span> {
        let Some(generation) = &tracked.current else { return Vec::new() };
        let end = generation.claims.expires_at;
        if now < end || !self.expired.insert(tracked.key.clone()) {
            return Vec::new();
        }
        self.once(world, tracked, generation, end, &Ended::Expired)
    }

    /// The trace of the generation in a file that no longer exists.
    pub fn gone(&mut self, world: &World, tracked: &Tracked, now: Wall) -> Vec<Span> {
        match &tracked.current {
            Some(generation) if !self.expired.remove(&tracked.key) => {
                self.once(world, tracked, generation, now, &Ended::Gone)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The known part of an unfinished trace, for an agent that stops.
    pub fn open(&self, world: &World, tracked: &Tracked, now: Wall) -> Option<Span> {
        let generation = tracked.current.as_ref()?;
        let complete = self.expired.contains(&tracked.key);
        let pod = PodRef::of(tracked, world.cluster.pod(&tracked.key.pod_uid));
        (!complete).then(|| generation::open(&tracked.key, &pod, generation, now))
    }

    fn once(
        &mut self,
        world: &World,
        tracked: &Tracked,
        generation: &Generation,
        end: Wall,
        ended: &Ended,
    ) -> Vec<Span> {
        if !self.first(generation::root(&tracked.key, &generation.claims).span_id) {
            return Vec::new();
        }
        let pod = PodRef::of(tracked, world.cluster.pod(&tracked.key.pod_uid));
        let mut spans = generation::closed(&tracked.key, &pod, generation, end, ended);
        if let (Some(root), Some(appeared)) = (spans.first(), generation.appeared_at) {
            let readers = readers::of(world, &tracked.key, generation);
            spans.extend(readers::lags(root, appeared, &readers));
        }
        spans
    }

    /// Returns whether this root span was not exported yet, as far as is known. It counts as
    /// exported from now on.
    fn first(&mut self, root: SpanId) -> bool {
        if !self.known.insert(root) {
            return false;
        }
        self.order.push_back(root);
        if self.order.len() > CAPACITY
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
        assert!((0..CAPACITY).all(|number| exported.first(root(number))));
        assert!(!exported.first(root(0)) && !exported.first(root(CAPACITY - 1)));
        assert!((CAPACITY..3 * CAPACITY).all(|number| exported.first(root(number))));
        assert_eq!((exported.order.len(), exported.known.len()), (CAPACITY, CAPACITY));
        assert!(exported.first(root(0)));
    }
}
