//! What is reported of volumes that a source leaves out, because their pods have more than their
//! share: of each pod how many, once for each change.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::{Observation, Unknown, Unwatched, UnwatchedPod};

/// How long volumes of a pod must be left out before that is reported. A volume that is removed
/// file by file may look like several others in turn, and is gone within a second.
const HOLD_BACK: Delta = Delta::from_secs(5);

/// The pods of which volumes are left out, and the list that was last reported.
#[derive(Debug)]
pub(super) struct LeftOut {
    unknown: Unknown,
    since: BTreeMap<String, Monotonic>,
    reported: Vec<UnwatchedPod>,
}

impl LeftOut {
    /// Of a source that leaves this unknown. Nothing is left out yet.
    pub(super) fn of(unknown: Unknown) -> Self {
        Self { unknown, since: BTreeMap::new(), reported: Vec::new() }
    }

    /// Takes the UID of the pod of each volume that is left out now. Returns the whole list, if it
    /// differs from the last one.
    pub(super) fn update<'a>(
        &mut self,
        now: Monotonic,
        volumes: impl Iterator<Item = &'a str>,
    ) -> Option<Observation> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for pod_uid in volumes {
            *counts.entry(pod_uid).or_default() += 1;
        }
        self.since.retain(|pod, _| counts.contains_key(pod.as_str()));
        let mut pods = Vec::new();
        for (uid, volumes) in counts {
            let since = *self.since.entry(uid.to_owned()).or_insert(now);
            if now - since >= HOLD_BACK {
                pods.push(UnwatchedPod { pod_uid: uid.to_owned(), volumes });
            }
        }
        if pods == self.reported {
            return None;
        }
        self.reported.clone_from(&pods);
        Some(Observation::Unwatched(Unwatched { unknown: self.unknown, pods }))
    }

    /// When to look again; none if nothing is held back.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let is_reported = |pod: &String| self.reported.iter().any(|known| known.pod_uid == *pod);
        let held = self.since.iter().filter(|(pod, _)| !is_reported(pod));
        held.map(|(_, since)| *since + HOLD_BACK).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (i64, &'static [&'static str], Option<&'static [(&'static str, usize)]>);

    #[test]
    fn a_pod_is_reported_once_for_each_change_and_not_for_a_moment() {
        let at = |secs| Monotonic::default() + Delta::from_secs(secs);
        let mut left_out = LeftOut::of(Unknown::Processes);
        // (time, pods of the volumes that are left out, what is reported)
        let table: [Row; 8] = [
            (0, &["a", "a"], None),
            (4, &["a", "a"], None),
            (5, &["a", "a", "b"], Some(&[("a", 2)])),
            (6, &["a", "b"], Some(&[("a", 1)])),
            (7, &["a"], None),
            (8, &[], Some(&[])),
            (9, &["a"], None), // for a moment
            (10, &[], None),
        ];
        for (secs, volumes, expected) in table {
            let found = left_out.update(at(secs), volumes.iter().copied());
            let expected = expected.map(|pods| {
                let pod = |(uid, volumes): &(&str, usize)| UnwatchedPod {
                    pod_uid: (*uid).to_owned(),
                    volumes: *volumes,
                };
                let (unknown, pods) = (Unknown::Processes, pods.iter().map(pod).collect());
                Observation::Unwatched(Unwatched { unknown, pods })
            });
            assert_eq!(found, expected, "{secs}");
            let due = [(0, 5), (4, 5), (5, 10), (6, 10), (9, 14)];
            let due = due.into_iter().find(|(now, _)| *now == secs).map(|(_, due)| at(due));
            assert_eq!(left_out.due(), due, "{secs}");
        }
    }
}
