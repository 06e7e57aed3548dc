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

/// An open of a file, or a read of a replaced one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileUse {
    /// The volume.
    pub volume: VolumeId,
    /// The directory of the generation.
    pub directory: String,
    /// The path of the file in it.
    pub path: String,
    /// It was read through a descriptor that somebody had kept.
    pub is_read_again: bool,
}

/// What was seen and what was claimed lately.
#[derive(Debug, Default)]
pub(super) struct Claims {
    seen: BTreeMap<FileUse, Monotonic>,
    claimed: BTreeMap<FileUse, Monotonic>,
}

impl Claims {
    /// Fanotify saw it.
    pub(super) fn see(&mut self, used: FileUse, now: Monotonic) {
        if self.seen.len() >= MAX {
            self.seen.retain(|_, then| now - *then <= APART + APART);
        }
        if self.seen.len() < MAX {
            self.seen.insert(used, now);
        }
    }

    /// Inotify saw it. Of one file the oldest claim is kept until it is settled. Given back if there
    /// are too many.
    pub(super) fn claim(&mut self, used: FileUse, now: Monotonic) -> Result<(), FileUse> {
        if self.claimed.len() >= MAX && !self.claimed.contains_key(&used) {
            return Err(used);
        }
        self.claimed.entry(used).or_insert(now);
        Ok(())
    }

    /// Takes the claims that are old enough to know that fanotify did not see the open.
    pub(super) fn settle(&mut self, now: Monotonic) -> Vec<FileUse> {
        let seen = &self.seen;
        let is_seen = |opened: &FileUse, claimed: Monotonic| {
            seen.get(opened).is_some_and(|seen| (*seen - claimed).abs() <= APART)
        };
        self.claimed.retain(|opened, claimed| !is_seen(opened, *claimed));
        let due = |claimed: Monotonic| now - claimed > APART;
        let missed: Vec<FileUse> = self
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

    fn opened(path: &str) -> FileUse {
        let volume = VolumeId { pod_uid: "p".into(), volume: "v".into() };
        FileUse { volume, directory: "..1".into(), path: path.into(), is_read_again: false }
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
            claims.claim(opened("token"), at(claimed)).unwrap();
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
            kept += usize::from(claims.claim(opened(&number.to_string()), at(0)).is_ok());
        }
        assert_eq!((kept, claims.seen.len()), (MAX, MAX));
        assert_eq!(claims.settle(at(5_000)).len(), MAX);
    }
}
