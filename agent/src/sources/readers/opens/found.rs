//! What a volume reports, and when it happened.

use tokenwatch_core::base::time::Monotonic;
use tokenwatch_core::world::observation::Observation;

/// What is to be reported.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) observation: Observation,
    /// Set if it is an open or a read: that happened after this time.
    pub(super) opened_after: Option<Monotonic>,
}

impl Found {
    /// What is sent at this time: an open or a read shows how long ago it happened at most.
    pub(super) fn sent(self, now: Monotonic) -> Observation {
        let Self { mut observation, opened_after } = self;
        if let (Observation::Readers(seen), Some(after)) = (&mut observation, opened_after) {
            seen.what.set_within(now - after);
        }
        observation
    }
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::base::time::Delta;
    use tokenwatch_core::world::readers::{ReaderEvent, ReadersSeen};

    use super::*;

    #[test]
    fn what_is_sent_late_shows_how_long_ago_it_happened_at_most() {
        let at = |secs| Monotonic::default() + Delta::from_secs(secs);
        let read_again = |within| {
            let (directory, path, by) = ("..1".to_owned(), None, None);
            let what = ReaderEvent::ReadAgain { directory, path, by, within };
            let (pod_uid, volume) = ("p".to_owned(), "v".to_owned());
            Observation::Readers(ReadersSeen { pod_uid, volume, what })
        };
        for (opened_after, within) in [(Some(at(83)), 17), (None, 0)] {
            let found = Found { observation: read_again(Delta::ZERO), opened_after };
            assert_eq!(found.sent(at(100)), read_again(Delta::from_secs(within)));
        }
    }
}
