//! Clocks are given, never waited for: a file is old because the clock says so.

use std::cell::Cell;
use std::path::Path;

use nix::sys::stat::stat;
use tokenwatch_core::base::time::Monotonic;
use tokenwatch_lab::kubelet::{Payload, Volume};

use super::super::scan::Scanner;
use super::*;
use crate::clocks;

/// A reading of a machine that booted at the epoch, its wall clock `ahead` milliseconds of that.
fn at(boot_ms: i64, ahead_ms: i64) -> Reading {
    let nanos = |ms: i64| ms * 1_000_000;
    Reading {
        wall: Wall::from_nanos(nanos(boot_ms + ahead_ms)),
        monotonic: Monotonic::from_nanos(nanos(boot_ms)),
    }
}

/// Of a real file, with the moment of its last change.
fn stamped(file: &Path) -> (Stamp, i64) {
    let stamp = Stamp::of(&stat(file).unwrap());
    (stamp, stamp.changed_nanos() / 1_000_000)
}

#[test]
fn only_a_stamp_that_was_old_when_it_was_taken_counts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (stamp, changed) = stamped(file.path());
    let mut eras = Eras::default();
    for (age, counts) in [
        (-3_600_000, false),
        (-1, false),
        (0, false),
        (999, false),
        (1_002, true),
        (86_400_000, true),
    ] {
        assert_eq!(
            Settled::of(stamp, eras.moment(at(changed + age, 0))).is_some(),
            counts,
            "{age} ms"
        );
        eras = Eras::default();
    }
}

#[test]
fn a_step_back_ends_what_was_relied_on_and_nothing_else_does() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (stamp, changed) = stamped(file.path());
    // What the wall clock is ahead of the boot clock at the looks that follow; whether the first
    // stamp still counts at the last.
    let table: [(&[i64], bool); 7] = [
        (&[0, 0, 0], true),
        (&[0, 3_600_000], true), // set forward: later changes get later ctimes all the same
        (&[0, -400], true),      // less than what a settled stamp leaves room for
        (&[0, -300, -600], false), // but not in several steps
        (&[0, -2_000], false),
        (&[0, -2_000, 0], false), /* back and forward again: something may have been written in
                                   * between */
        (&[0, 3_600_000, 3_590_000], false), // forward, and back by less than that
    ];
    for (steps, counts) in table {
        let (mut eras, start) = (Eras::default(), changed + 10_000);
        let known = Settled::of(stamp, eras.moment(at(start, 0))).unwrap();
        let looks = (1..)
            .zip(steps)
            .map(|(minute, ahead)| eras.moment(at(start + minute * 60_000, *ahead)));
        let last = looks.last().unwrap();
        assert_eq!(known.holds(Ok(stamp), last), counts, "{steps:?}");
    }
}

#[test]
fn another_stamp_or_none_does_not_hold() {
    let (file, other) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let (stamp, changed) = stamped(file.path());
    let mut eras = Eras::default();
    let moment = eras.moment(at(changed + 10_000, 0));
    let known = Settled::of(stamp, moment).unwrap();
    assert!(known.holds(Ok(stamp), moment));
    assert!(!known.holds(Ok(stamped(other.path()).0), moment));
    assert!(!known.holds(Err(nix::errno::Errno::ENOENT), moment));
    std::fs::write(file.path(), "longer").unwrap();
    assert!(!known.holds(Ok(stamped(file.path()).0), moment));
}

thread_local! {
    /// Milliseconds that the clocks of the scanner are ahead of the node's: wall, boot.
    static SHIFT: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn shifted() -> Reading {
    let (now, (wall, boot)) = (clocks::now(), SHIFT.get());
    Reading {
        wall: now.wall + Delta::from_millis(wall),
        monotonic: now.monotonic + Delta::from_millis(boot),
    }
}

fn write(root: &Path, content: &str) {
    let payload = Payload::from([
        ("ca.crt".into(), content.as_bytes().to_vec()),
        ("namespace".into(), b"shop".to_vec()),
    ]);
    Volume::new(root, "pod", "vol").write(&payload, Wall::from_secs(1_800_000_000)).unwrap();
}

/// How many of the volume's two files a pass opens.
fn opened(scanner: &mut Scanner) -> usize {
    scanner.scan(&mut Vec::new());
    scanner.take_opened()
}

#[test]
fn files_are_read_until_they_are_settled_and_again_after_every_change_and_every_step_back() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "one");
    let mut scanner = Scanner::with_clocks(vec![root.path().to_owned()], shifted);
    // A wall clock behind what the files say: never settled, however late it is.
    SHIFT.set((-60_000, 0));
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 2], "young");
    SHIFT.set((60_000, 120_000));
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 0], "settled");
    let file = Volume::new(root.path(), "pod", "vol").directory().join("ca.crt");
    std::fs::write(&file, "two").unwrap();
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [1, 0], "written in place, same size");
    SHIFT.set((30_000, 120_000));
    assert_eq!(
        [opened(&mut scanner), opened(&mut scanner)],
        [2, 0],
        "set back: once more, then they are settled anew"
    );
    SHIFT.set((60_000, 120_000));
    assert_eq!(opened(&mut scanner), 0, "set forward");
    write(root.path(), "six");
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 0], "swapped");
}
