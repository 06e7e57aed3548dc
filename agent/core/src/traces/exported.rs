//! Which generations' traces were told: a file that goes away and comes back, or a generation that
//! is put back, is no second life.

use std::collections::{BTreeSet, VecDeque};

use crate::base::ids::SpanId;

/// Four generations of each token of a full node (250 pods). Eight bytes each, twice.
const KEPT: usize = 1_024;

/// The roots told last.
#[derive(Debug, Default)]
pub struct Exported {
    order: VecDeque<SpanId>,
    known: BTreeSet<SpanId>,
}

impl Exported {
    /// Whether this one is told for the first time, as far as is remembered; from now on it is not.
    pub fn first(&mut self, root: SpanId) -> bool {
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
    fn what_was_told_is_remembered_in_bounded_memory() {
        let root = |number: usize| SpanId((number as u64).to_be_bytes());
        let mut told = Exported::default();
        assert!((0..KEPT).all(|number| told.first(root(number))));
        assert!(!told.first(root(0)) && !told.first(root(KEPT - 1)));
        assert!((KEPT..3 * KEPT).all(|number| told.first(root(number))));
        assert_eq!((told.order.len(), told.known.len()), (KEPT, KEPT));
        assert!(told.first(root(0)));
    }
}
