//! Whether the clients of a volume read as soon as kubelet has replaced the token, as those do that
//! watch the file.
//!
//! On a busy node the agent may set its watch some milliseconds after a rotation. A client that
//! reads by a timer or on request does so in that moment once in many years; one that watches the
//! file does so each time. So the moment matters only where such a client may be. What a rotation
//! shows that is seen from its beginning holds for the late ones before it, too.

use std::ffi::OsString;

use tokenwatch_core::base::time::{Delta, Monotonic};

/// From the rotation to the read of a client that waits for it: two seconds, two more until it is
/// certain that the read was not kubelet's, and the time until the queue is read.
const SOON: Delta = Delta::from_secs(5);
/// A watch that is set later has missed more than a moment.
const MOMENT: Delta = Delta::from_millis(100);
/// Generations that may still be excused. The core knows no more of them.
const MAX_LATE: usize = 4;

/// What is known of the clients of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reactions {
    manner: Manner,
    /// Generations that missed a moment before anything was known.
    late: Vec<OsString>,
}

/// How the clients of one volume take a rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manner {
    /// No rotation was seen from its beginning.
    #[default]
    Unknown,
    /// In a rotation that was seen from its beginning, nobody read soon.
    Calm,
    /// Somebody read soon after a rotation.
    Prompt,
}

/// One generation, as far as it shows that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// When `..data` led to it; none if the agent did not see that, or has learned from it.
    since: Option<Monotonic>,
    is_complete: bool,
    is_read_soon: bool,
}

/// What the agent may have missed at the beginning of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    Nothing,
    /// The read of a client that waits for the rotation.
    Moment,
    Something,
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

    /// When it shows how the clients take a rotation.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.since.map(|since| since + SOON)
    }
}

impl Reactions {
    /// Learns from a generation: once everything is known that happened until it was due, or when
    /// it is replaced. Returns the generations whose watches were set late, and which nobody can
    /// have read in that moment.
    pub(super) fn learn(&mut self, from: &mut Beginning, known: Monotonic) -> Vec<OsString> {
        let is_due = from.due().is_some_and(|due| known >= due);
        if from.is_read_soon {
            self.manner = Manner::Prompt;
        } else if self.manner == Manner::Unknown && is_due && from.is_complete {
            self.manner = Manner::Calm;
        }
        if is_due {
            *from = Beginning::default();
        }
        match self.manner {
            Manner::Unknown => Vec::new(),
            Manner::Calm => std::mem::take(&mut self.late),
            Manner::Prompt => {
                self.late.clear();
                Vec::new()
            }
        }
    }

    /// What a watch has missed that was set so long after the generation became the current one.
    /// What is not known yet may be later.
    pub(super) fn missed(&mut self, generation: &OsString, gap: Delta) -> Missed {
        if gap > MOMENT {
            return Missed::Something;
        }
        match self.manner {
            Manner::Calm => Missed::Nothing,
            Manner::Prompt => Missed::Something,
            Manner::Unknown => {
                self.late.truncate(MAX_LATE - 1);
                self.late.insert(0, generation.clone());
                Missed::Moment
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::default() + Delta::from_millis(millis)
    }

    fn name(generation: usize) -> OsString {
        format!("..{generation}").into()
    }

    /// A generation: whether it is complete, and when it was first read.
    type Seen = (bool, Option<i64>);

    /// Learns from generations: whether each is complete, and when it is read. Returns those that
    /// are excused in the end.
    fn learned(generations: &[Seen]) -> (Reactions, Vec<OsString>) {
        let (mut reactions, mut excused) = (Reactions::default(), Vec::new());
        for (number, (is_complete, read)) in generations.iter().enumerate() {
            let mut beginning = Beginning::rotated(at(0), *is_complete);
            let gap = Delta::from_millis(3);
            if !is_complete && reactions.missed(&name(number), gap) == Missed::Nothing {
                excused.push(name(number));
            }
            if let Some(millis) = read {
                beginning.opened(at(*millis));
            }
            assert!(reactions.learn(&mut beginning, at(4_999)).is_empty(), "too early");
            excused.extend(reactions.learn(&mut beginning, at(5_000)));
            assert_eq!(beginning.due(), None);
        }
        (reactions, excused)
    }

    #[test]
    fn a_volume_is_calm_until_somebody_reads_just_after_a_rotation() {
        let table: [(&[Seen], Manner, &[usize]); 8] = [
            (&[], Manner::Unknown, &[]),
            (&[(false, None), (false, Some(30_000))], Manner::Unknown, &[]),
            (&[(true, None)], Manner::Calm, &[]),
            (&[(true, Some(30_000)), (false, None)], Manner::Calm, &[1]),
            (&[(false, None), (false, None), (true, None)], Manner::Calm, &[1, 0]),
            (&[(true, None), (true, Some(40))], Manner::Prompt, &[]),
            (&[(false, None), (true, Some(4_000)), (true, None)], Manner::Prompt, &[]),
            (&[(false, Some(40)), (true, None), (true, None)], Manner::Prompt, &[]),
        ];
        for (generations, expected, excused) in table {
            let (reactions, found) = learned(generations);
            assert_eq!(reactions.manner, expected, "{generations:?}");
            let excused: Vec<OsString> = excused.iter().map(|number| name(*number)).collect();
            assert_eq!(found, excused, "{generations:?}");
        }
    }

    #[test]
    fn nothing_is_learned_where_the_beginning_was_not_seen_or_is_too_short() {
        let mut first = Beginning::default(); // the agent began to watch it
        first.opened(at(10));
        let mut reactions = Reactions::default();
        assert!(reactions.learn(&mut first, at(60_000)).is_empty());
        assert!(reactions.learn(&mut Beginning::rotated(at(0), true), at(4_000)).is_empty());
        assert_eq!(reactions, Reactions::default());
    }

    #[test]
    fn only_a_moment_is_excused_and_the_number_of_generations_is_bounded() {
        let (mut reactions, _) = learned(&[(true, None)]);
        assert_eq!(reactions.missed(&name(1), Delta::from_millis(20)), Missed::Nothing);
        assert_eq!(reactions.missed(&name(1), Delta::from_millis(101)), Missed::Something);
        let mut unknown = Reactions::default();
        assert_eq!(unknown.missed(&name(1), Delta::from_millis(20)), Missed::Moment);
        let (mut prompt, _) = learned(&[(true, Some(40))]);
        assert_eq!(prompt.missed(&name(1), Delta::from_millis(20)), Missed::Something);
        let (reactions, _) = learned(&[(false, None); 100]);
        assert_eq!(reactions.late, [99, 98, 97, 96].map(name));
    }
}
