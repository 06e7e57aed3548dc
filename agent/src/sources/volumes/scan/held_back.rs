//! What looks wrong may be a volume in the making: it is reported only once it has looked so for
//! some time.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic};

/// How long something must look wrong before it is reported. After a reboot kubelet mounts a pod's
/// volumes again within a few seconds of its first sync of the pod.
pub(in crate::sources::volumes) const HOLD_BACK: Delta = Delta::from_secs(10);

/// What looks wrong now, and since when.
#[derive(Debug)]
pub(in crate::sources::volumes) struct HeldBack<T> {
    since: BTreeMap<T, Monotonic>,
    reported: Vec<T>,
}

impl<T> Default for HeldBack<T> {
    fn default() -> Self {
        Self { since: BTreeMap::new(), reported: Vec::new() }
    }
}

impl<T: Clone + Ord> HeldBack<T> {
    /// Takes everything that looks wrong now. Returns the whole list to report, if it differs from
    /// the last one.
    pub(in crate::sources::volumes) fn update(
        &mut self,
        now: Monotonic,
        all: Vec<T>,
    ) -> Option<Vec<T>> {
        self.set(now, all);
        let confirmed = self.confirmed(now);
        (confirmed != self.reported).then(|| {
            self.reported.clone_from(&confirmed);
            confirmed
        })
    }

    fn set(&mut self, now: Monotonic, all: Vec<T>) {
        let before = std::mem::take(&mut self.since);
        for one in all {
            let since = before.get(&one).copied().unwrap_or(now);
            self.since.insert(one, since);
        }
    }

    /// Those that have looked wrong for long enough.
    fn confirmed(&self, now: Monotonic) -> Vec<T> {
        let confirmed = self.since.iter().filter(|(_, since)| now - **since >= HOLD_BACK);
        confirmed.map(|(one, _)| one.clone()).collect()
    }

    /// What is reported and not resolved.
    pub(in crate::sources::volumes) fn reported(&self) -> &[T] {
        &self.reported
    }

    /// When to look again; none if nothing is held back.
    pub(in crate::sources::volumes) fn due(&self) -> Option<Monotonic> {
        self.since
            .iter()
            .filter(|(one, _)| self.reported.binary_search(one).is_err())
            .map(|(_, since)| *since + HOLD_BACK)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (i64, &'static [&'static str], Option<&'static [&'static str]>, Option<i64>);

    #[test]
    fn what_looks_wrong_for_ten_seconds_is_reported_until_it_ends() {
        let mut held = HeldBack::default();
        let at = |secs| Monotonic::default() + Delta::from_secs(secs);
        // (time, what looks wrong, what is reported, when to look again)
        let table: [Row; 7] = [
            (0, &["a"], None, Some(10)),
            (5, &["a", "b"], None, Some(10)),
            (10, &["a", "b"], Some(&["a"]), Some(15)),
            (12, &["a"], None, None),
            (13, &["a", "b"], None, Some(23)),
            (24, &["b"], Some(&["b"]), None),
            (25, &[], Some(&[]), None),
        ];
        for (time, wrong, reported, due) in table {
            let update = held.update(at(time), wrong.to_vec());
            assert_eq!(update.as_deref(), reported, "at {time}");
            assert_eq!(held.due(), due.map(at), "at {time}");
        }
    }
}
