//! Replaced generations that somebody still holds, by an open descriptor, a mapping or a `subPath`
//! mount: the tmpfs of the volume then uses more inodes than it shows. This needs no watch, and
//! includes rotations before the agent started.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use tokenwatch_core::base::time::{Delta, Monotonic};

use crate::sources::own_opens::OwnOpens;

/// From a rotation to the first look: kubelet removes the old generation within milliseconds, and a
/// client that reads just then closes the file.
const SETTLE: Delta = Delta::from_secs(1);
/// From the first look to the second: what is held only then is held.
const BETWEEN: Delta = Delta::from_secs(1);
/// While something is held, or was let go of and something else may be held still.
const WHILE_HELD: Delta = Delta::from_secs(60);
const AFTER_RELEASE: Delta = Delta::from_millis(100);
/// Entries that are counted, and directories within each other. A volume with more is not judged.
const MAX_ENTRIES: u64 = 4_096;
const MAX_DEPTH: usize = 9;
/// A generation that is held by a file takes at least this many inodes: its directory and the file.
const LEAST: u64 = 2;

/// When to look, and what was found.
#[derive(Debug, Default)]
pub(super) struct Held {
    due: Option<Monotonic>,
    first: Option<u32>,
    reported: Option<u32>,
    /// The next result is reported even if it is the same.
    is_new: bool,
}

impl Held {
    /// The agent begins to follow the volume.
    pub(super) fn begin(&mut self, now: Monotonic) {
        self.schedule(now);
        self.is_new = true;
    }

    /// A generation was replaced.
    pub(super) fn rotated(&mut self, now: Monotonic) {
        self.schedule(now + SETTLE);
        self.is_new = true;
    }

    /// A replaced generation was let go of.
    pub(super) fn released(&mut self, now: Monotonic) {
        self.schedule(now + AFTER_RELEASE);
    }

    fn schedule(&mut self, at: Monotonic) {
        (self.due, self.first) = (Some(at), None);
    }

    /// When to look.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Takes a look: how many generations are held, if that can be known. Returns what to report.
    pub(super) fn look(&mut self, found: Option<u32>, now: Monotonic) -> Option<u32> {
        self.due = None;
        let found = found?;
        let Some(first) = self.first.take().or((found == 0).then_some(0)) else {
            (self.first, self.due) = (Some(found), Some(now + BETWEEN));
            return None;
        };
        let held = first.min(found);
        self.due = (held > 0).then(|| now + WHILE_HELD);
        let is_news = std::mem::take(&mut self.is_new) || self.reported != Some(held);
        is_news.then(|| *self.reported.insert(held))
    }
}

/// How many generations are held, from the inodes that are used and not shown, the files of one
/// generation, and the replaced ones whose watch has not ended. None: there is no way to know.
pub(super) fn generations(inodes: Option<u64>, files: usize, watched: u32) -> Option<u32> {
    let Some(inodes) = inodes else { return (watched > 0).then_some(watched) };
    let whole = (files as u64).max(1) + 1;
    // A directory alone (somebody's working directory) holds no token.
    let most = u32::try_from(inodes / LEAST).unwrap_or(u32::MAX);
    let least = u32::try_from(inodes.div_ceil(whole)).unwrap_or(u32::MAX).min(most);
    Some(watched.clamp(least, most))
}

/// The inodes of a volume that are used and not shown. None if its file system does not tell: it is
/// no tmpfs of its own, or one without a limit of inodes (`nr_inodes=0`).
pub(super) fn unseen_inodes(volume: &Path, own: &OwnOpens) -> Option<u64> {
    let is_mounted = volume.metadata().ok()?.dev() != volume.parent()?.metadata().ok()?.dev();
    let status = statfs(volume).ok()?;
    if !is_mounted || status.filesystem_type() != TMPFS_MAGIC || status.files() == 0 {
        return None;
    }
    let shown = 1 + entries(volume, own, MAX_DEPTH).ok()?;
    status.files().checked_sub(status.files_free())?.checked_sub(shown)
}

/// The number of entries below a directory. Follows no link.
fn entries(directory: &Path, own: &OwnOpens, depth: usize) -> nix::Result<u64> {
    let depth = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
    let mut count = 0;
    for entry in open(directory, own)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        count += 1;
        if entry.file_type() == Some(Type::Directory) {
            count += entries(&directory.join(os_str(name)), own, depth)?;
        }
        if count > MAX_ENTRIES {
            return Err(Errno::E2BIG);
        }
    }
    Ok(count)
}

fn os_str(name: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}

fn open(directory: &Path, own: &OwnOpens) -> nix::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = own.noted(|| nix::fcntl::open(directory, flags, Mode::empty()));
    Dir::from_fd(opened?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::default() + Delta::from_millis(millis)
    }

    #[test]
    fn held_inodes_are_so_many_generations() {
        // Inodes, files of a generation, watches that have not ended; generations.
        let table = [
            (Some(0), 1, 0, Some(0)),
            (Some(0), 1, 1, Some(0)), // its directory was let go of since
            (Some(1), 1, 1, Some(0)), // a working directory
            (Some(2), 1, 0, Some(1)),
            (Some(2), 3, 0, Some(1)),
            (Some(4), 3, 0, Some(1)), // one with all its files, or two: at least one
            (Some(4), 3, 2, Some(2)),
            (Some(6), 1, 0, Some(3)),
            (Some(6), 3, 1, Some(2)),
            (Some(6), 3, 9, Some(3)),
            (None, 1, 0, None),
            (None, 1, 2, Some(2)),
        ];
        for (inodes, files, watched, expected) in table {
            let found = generations(inodes, files, watched);
            assert_eq!(found, expected, "{inodes:?} inodes, {files} files, {watched} watched");
        }
    }

    /// The looks at these times with these results; what is reported, and when the next look is.
    fn looks(held: &mut Held, found: &[Option<u32>]) -> Vec<(i64, Option<u32>)> {
        let mut reports = Vec::new();
        for found in found {
            let due = held.due().expect("a look");
            let millis = (due - Monotonic::default()).as_nanos() / 1_000_000;
            reports.push((millis, held.look(*found, due)));
        }
        reports
    }

    #[test]
    fn what_is_held_is_reported_after_two_looks_and_what_is_not_after_one() {
        let mut held = Held::default();
        held.begin(at(0));
        assert_eq!(looks(&mut held, &[Some(0)]), [(0, Some(0))]);
        assert_eq!(held.due(), None);
        held.rotated(at(10_000));
        assert_eq!(looks(&mut held, &[Some(1), Some(0)]), [(11_000, None), (12_000, Some(0))]);
        held.rotated(at(20_000));
        let found = [Some(1), Some(1), Some(1), Some(1)];
        let reported = [(21_000, None), (22_000, Some(1)), (82_000, None), (83_000, None)];
        assert_eq!(looks(&mut held, &found), reported);
        held.released(at(90_000));
        assert_eq!(looks(&mut held, &[Some(0)]), [(90_100, Some(0))]);
        held.rotated(at(100_000));
        assert_eq!(looks(&mut held, &[None]), [(101_000, None)], "it cannot be known");
    }
}
