//! The tests set the clocks instead of waiting: a file is old if the clock is ahead of its ctime.

use std::cell::Cell;
use std::path::Path;

use nix::sys::stat::stat;
use tokenwatch_core::base::time::Monotonic;
use tokenwatch_lab::kubelet::{Payload, Volume};

use super::super::Scanner;
use super::*;
use crate::clocks;

/// A reading of a machine that booted at the epoch, with a wall clock that is `ahead_ms` ahead.
fn at(boot_ms: i64, ahead_ms: i64) -> Reading {
    let nanos = |ms: i64| ms * 1_000_000;
    Reading {
        wall: Wall::from_nanos(nanos(boot_ms + ahead_ms)),
        monotonic: Monotonic::from_nanos(nanos(boot_ms)),
    }
}

/// The stamp of a real file, and its ctime in milliseconds.
fn stamped(file: &Path) -> (Stamp, i64) {
    let stamp = Stamp::of(&stat(file).unwrap());
    (stamp, stamp.changed_nanos() / 1_000_000)
}

#[test]
fn only_a_stamp_that_was_old_when_it_was_taken_is_trusted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (stamp, changed) = stamped(file.path());
    let mut eras = ClockEras::default();
    for (age, counts) in [
        (-3_600_000, false),
        (-1, false),
        (0, false),
        (999, false),
        (1_002, true),
        (86_400_000, true),
    ] {
        assert_eq!(
            TrustedStamp::new(stamp, eras.moment(at(changed + age, 0))).is_some(),
            counts,
            "{age} ms"
        );
        eras = ClockEras::default();
    }
}

#[test]
fn only_a_step_back_ends_the_trust_in_a_stamp() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (stamp, changed) = stamped(file.path());
    // How far the wall clock is ahead at each of the following scans, in ms; whether the first
    // stamp is still trusted at the last one.
    let table: [(&[i64], bool); 7] = [
        (&[0, 0, 0], true),
        (&[0, 3_600_000], true), // set forward: later changes still have later ctimes
        (&[0, -400], true),      // less than the tolerance
        (&[0, -300, -600], false), // but not in several steps
        (&[0, -2_000], false),
        (&[0, -2_000, 0], false), /* back and forward again: something may have been written in
                                   * between */
        (&[0, 3_600_000, 3_590_000], false), // forward, and back by less than that
    ];
    for (steps, counts) in table {
        let (mut eras, start) = (ClockEras::default(), changed + 10_000);
        let known = TrustedStamp::new(stamp, eras.moment(at(start, 0))).unwrap();
        let moments = (1..)
            .zip(steps)
            .map(|(minute, ahead)| eras.moment(at(start + minute * 60_000, *ahead)));
        let last = moments.last().unwrap();
        assert_eq!(known.is_current(Ok(stamp), last), counts, "{steps:?}");
    }
}

#[test]
fn a_stamp_that_differs_or_is_missing_is_not_current() {
    let (file, other) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let (stamp, changed) = stamped(file.path());
    let mut eras = ClockEras::default();
    let moment = eras.moment(at(changed + 10_000, 0));
    let known = TrustedStamp::new(stamp, moment).unwrap();
    assert!(known.is_current(Ok(stamp), moment));
    assert!(!known.is_current(Ok(stamped(other.path()).0), moment));
    assert!(!known.is_current(Err(nix::errno::Errno::ENOENT), moment));
    std::fs::write(file.path(), "longer").unwrap();
    assert!(!known.is_current(Ok(stamped(file.path()).0), moment));
}

thread_local! {
    /// How far the scanner's wall and monotonic clocks are ahead of the node's, in ms.
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

/// How many of the volume's two files a scan opens.
fn opened(scanner: &mut Scanner) -> usize {
    scanner.scan(&mut Vec::new());
    scanner.take_opened()
}

#[test]
fn files_are_read_until_trusted_and_again_after_each_change_and_step_back() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "one");
    let mut scanner = Scanner::with_clocks(vec![root.path().to_owned()], shifted);
    // A wall clock behind the ctimes: they are never trusted.
    SHIFT.set((-60_000, 0));
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 2], "too recent");
    SHIFT.set((60_000, 120_000));
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 0], "trusted");
    let file = Volume::new(root.path(), "pod", "vol").directory().join("ca.crt");
    std::fs::write(&file, "two").unwrap();
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [1, 0], "written in place, same size");
    SHIFT.set((30_000, 120_000));
    assert_eq!(
        [opened(&mut scanner), opened(&mut scanner)],
        [2, 0],
        "set back: read once, then trusted again"
    );
    SHIFT.set((60_000, 120_000));
    assert_eq!(opened(&mut scanner), 0, "set forward");
    write(root.path(), "six");
    assert_eq!([opened(&mut scanner), opened(&mut scanner)], [2, 0], "swapped");
}
