//! Whether the clients of a volume read as soon as kubelet has replaced the token, as those do that
//! watch the file.
//!
//! On a busy node the agent may set its watch some milliseconds after a rotation. A client that
//! reads by a timer or on request does so in that moment once in many years; one that watches the
//! file does so each time. So the moment matters only where such a client may be.

use tokenwatch_core::base::time::{Delta, Monotonic};

/// From the rotation to the read of a client that waits for it.
const SOON: Delta = Delta::from_secs(2);
/// A watch that is set later has missed more than a moment.
const MOMENT: Delta = Delta::from_millis(100);

/// What is known of the clients of one volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reactions {
    /// No rotation was seen from its beginning.
    #[default]
    Unknown,
    /// In a rotation that was seen from its beginning, nobody read soon.
    Calm,
    /// Somebody read soon after a rotation.
    Prompt,
}

/// One generation, as far as it shows that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beginning {
    /// When `..data` led to it; none if the agent did not see that.
    since: Option<Monotonic>,
    is_complete: bool,
    is_read_soon: bool,
}

impl Beginning {
    /// Kubelet replaced another generation by this one.
    pub(super) fn rotated(now: Monotonic, is_complete: bool) -> Self {
        Self { since: Some(now), is_complete, is_read_soon: false }
    }

    /// A client opened it.
    pub(super) fn opened(&mut self, now: Monotonic) {
        self.is_read_soon |= self.since.is_some_and(|since| now - since <= SOON);
    }
}

impl Reactions {
    /// Learns from a generation that is replaced now.
    pub(super) fn learn(&mut self, from: Beginning) {
        if from.is_read_soon {
            *self = Self::Prompt;
        } else if *self == Self::Unknown && from.since.is_some() && from.is_complete {
            *self = Self::Calm;
        }
    }

    /// Whether nobody can have read in so much time after a rotation.
    pub(super) fn excuse(self, gap: Delta) -> bool {
        self == Self::Calm && gap <= MOMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::default() + Delta::from_millis(millis)
    }

    /// A generation: whether it is complete, and when it was first read.
    type Seen = (bool, Option<i64>);

    /// Learns from generations: whether each is complete, and when it is read.
    fn learned(generations: &[Seen]) -> Reactions {
        let mut reactions = Reactions::default();
        for (is_complete, read) in generations {
            let mut beginning = Beginning::rotated(at(0), *is_complete);
            if let Some(millis) = read {
                beginning.opened(at(*millis));
            }
            reactions.learn(beginning);
        }
        reactions
    }

    #[test]
    fn a_volume_is_calm_until_somebody_reads_just_after_a_rotation() {
        let table: [(&[Seen], Reactions); 6] = [
            (&[], Reactions::Unknown),
            (&[(false, None), (false, Some(30_000))], Reactions::Unknown),
            (&[(true, None)], Reactions::Calm),
            (&[(true, Some(30_000)), (false, None)], Reactions::Calm),
            (&[(true, None), (true, Some(40))], Reactions::Prompt),
            (&[(false, Some(40)), (true, None), (true, None)], Reactions::Prompt),
        ];
        for (generations, expected) in table {
            assert_eq!(learned(generations), expected, "{generations:?}");
        }
        let mut first = Beginning::default(); // the agent began to watch it
        first.opened(at(10));
        let mut reactions = Reactions::default();
        reactions.learn(first);
        assert_eq!(reactions, Reactions::Unknown);
    }

    #[test]
    fn only_a_moment_is_excused_and_only_where_clients_are_calm() {
        let (moment, longer) = (Delta::from_millis(20), Delta::from_millis(101));
        assert!(Reactions::Calm.excuse(moment) && !Reactions::Calm.excuse(longer));
        assert!(!Reactions::Unknown.excuse(moment) && !Reactions::Prompt.excuse(moment));
    }
}
