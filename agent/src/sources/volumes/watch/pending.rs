//! Volumes that were created recently and have no content yet.

use std::collections::BTreeMap;
use std::ffi::OsString;

use tokenwatch_core::base::time::{Delta, Monotonic};

use crate::sources::volumes::layout::PodId;

/// Wait before the first scan of a new volume. Each further wait is twice as long, …
const FIRST_WAIT: Delta = Delta::from_millis(50);
/// … up to this, so that a token is known within a second even if every event about it is lost.
const MAX_WAIT: Delta = Delta::from_millis(1_000);
/// How long a volume counts as pending. Kubelet gives up mounting a volume after two minutes and
/// retries; rescans find what comes later.
const PENDING_FOR: Delta = Delta::from_secs(120);

/// A volume, by its pod and name.
pub(super) type VolumeId = (PodId, OsString);

#[derive(Debug)]
struct Pending {
    due: Monotonic,
    wait: Delta,
    until: Monotonic,
}

/// The pending volumes, and when to scan them.
#[derive(Debug, Default)]
pub(super) struct PendingVolumes(BTreeMap<VolumeId, Pending>);

impl PendingVolumes {
    /// Adds a new volume, or starts again for one that was recreated.
    pub(super) fn add(&mut self, id: VolumeId, now: Monotonic) {
        let pending = Pending { due: now + FIRST_WAIT, wait: FIRST_WAIT, until: now + PENDING_FOR };
        self.0.insert(id, pending);
    }

    pub(super) fn remove(&mut self, id: &VolumeId) {
        self.0.remove(id);
    }

    pub(super) fn remove_pod(&mut self, pod: &PodId) {
        self.0.retain(|(of, _), _| of != pod);
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.0.values().map(|pending| pending.due).min()
    }

    /// The volumes that are due. Drops those that have been pending for too long, and schedules the
    /// others again.
    pub(super) fn take_due(&mut self, now: Monotonic) -> Vec<VolumeId> {
        self.0.retain(|_, pending| pending.until > now);
        let due = self.0.iter_mut().filter(|(_, pending)| pending.due <= now);
        due.map(|(id, pending)| {
            pending.wait = (pending.wait + pending.wait).min(MAX_WAIT);
            pending.due = now + pending.wait;
            id.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::default() + Delta::from_millis(millis)
    }

    #[test]
    fn waits_double_up_to_a_second_and_end_after_two_minutes() {
        let mut pending = PendingVolumes::default();
        pending.add((PodId { root: 0, name: "p".into() }, "v".into()), at(0));
        let mut scans = Vec::new();
        while let Some(due) = pending.next_due() {
            if !pending.take_due(due).is_empty() {
                scans.push((due - Monotonic::default()).as_nanos() / 1_000_000);
            }
        }
        assert_eq!(scans[..7], [50, 150, 350, 750, 1_550, 2_550, 3_550]);
        assert!(scans.last().is_some_and(|last| (119_000..120_000).contains(last)), "{scans:?}");
    }
}
