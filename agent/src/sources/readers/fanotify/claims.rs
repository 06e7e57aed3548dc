//! Opens that inotify reported without a process, and what fanotify saw of them.
//!
//! Both watch the same files. An open that fanotify saw, too, is not reported again; one that it
//! missed is, without its process. Kubelet's opens count as seen: fanotify knows kubelet for
//! certain.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic};

use super::places::VolumeId;

/// Time between two reports of the same open: of two threads, of which one reads its queue after a
/// pause of 100 ms.
const APART: Delta = Delta::from_secs(2);
/// Files that are remembered, and claims that wait. Those of thousands of volumes.
const MAX: usize = 4_096;

/// An open of a file: its volume, the directory of its generation, and its path in that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opened {
    pub(super) volume: VolumeId,
    pub(super) directory: String,
    pub(super) path: String,
}

/// What was seen and what was claimed lately.
#[derive(Debug, Default)]
pub(super) struct Claims {
    seen: BTreeMap<Opened, Monotonic>,
    claimed: BTreeMap<Opened, Monotonic>,
}

impl Claims {
    /// Fanotify saw it.
    pub(super) fn see(&mut self, opened: Opened, now: Monotonic) {
        if self.seen.len() >= MAX {
            self.seen.retain(|_, then| now - *then <= APART + APART);
        }
        if self.seen.len() < MAX {
            self.seen.insert(opened, now);
        }
    }

    /// Inotify saw it. Of one file the oldest claim is kept until it is settled. False: there are
    /// too many, and it must be reported at once.
    pub(super) fn claim(&mut self, opened: Opened, now: Monotonic) -> bool {
        let has_room = self.claimed.len() < MAX || self.claimed.contains_key(&opened);
        if has_room {
            self.claimed.entry(opened).or_insert(now);
        }
        has_room
    }

    /// Takes the claims that are old enough to know that fanotify did not see the open.
    pub(super) fn settle(&mut self, now: Monotonic) -> Vec<Opened> {
        let seen = &self.seen;
        let is_seen = |opened: &Opened, claimed: Monotonic| {
            seen.get(opened).is_some_and(|seen| (*seen - claimed).abs() <= APART)
        };
        self.claimed.retain(|opened, claimed| !is_seen(opened, *claimed));
        let due = |claimed: Monotonic| now - claimed > APART;
        let missed: Vec<Opened> = self
            .claimed
            .iter()
            .filter(|(_, claimed)| due(**claimed))
            .map(|(opened, _)| opened.clone())
            .collect();
        self.claimed.retain(|_, claimed| !due(*claimed));
        missed
    }

    /// Whether something waits to be settled.
    pub(super) fn are_waiting(&self) -> bool {
        !self.claimed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn opened(path: &str) -> Opened {
        let volume = VolumeId { pod_uid: "p".into(), volume: "v".into() };
        Opened { volume, directory: "..1".into(), path: path.into() }
    }

    /// When fanotify and inotify saw an open, and whether it is reported without a process.
    #[test]
    fn what_fanotify_saw_is_not_reported_twice() {
        let table = [
            (Some(0), 100, false),
            (Some(200), 100, false),
            (Some(0), 3_000, true), // another open, which fanotify missed
            (None, 100, true),
        ];
        for (seen, claimed, reported) in table {
            let mut claims = Claims::default();
            if let Some(seen) = seen {
                claims.see(opened("token"), at(seen));
            }
            claims.see(opened("ca.crt"), at(claimed));
            assert!(claims.claim(opened("token"), at(claimed)));
            let early = claims.settle(at(claimed + 500));
            assert_eq!(early, [], "{seen:?} {claimed}");
            let late = claims.settle(at(claimed + 2_500));
            assert_eq!(!late.is_empty(), reported, "{seen:?} {claimed}");
            assert!(!claims.are_waiting() && claims.settle(at(9_000)).is_empty());
        }
    }

    #[test]
    fn memory_is_bounded_and_no_claim_is_lost() {
        let mut claims = Claims::default();
        let mut kept = 0;
        for number in 0..2 * MAX {
            claims.see(opened(&format!("s{number}")), at(0));
            kept += usize::from(claims.claim(opened(&number.to_string()), at(0)));
        }
        assert_eq!((kept, claims.seen.len()), (MAX, MAX));
        assert_eq!(claims.settle(at(5_000)).len(), MAX);
    }
}
