//! Journals that systemd wrote, journals with one thing of each kind, and damaged ones.
//!
//! `zstd.journal.gz` and `zstd-compact.journal.gz` were written by systemd-journal-remote of
//! systemd 252, from invented lines: 45 entries, of which four are kubelet's.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use tokenwatch_core::base::time::{Delta, Wall};

use super::compressed::{Compression, MAX_TEXT};
use super::{Begin, JournalConfig, JournalTail, Units};
use crate::sources::logs::tail::{KnownFiles, Turn};

const ZSTD: &[u8] = include_bytes!("fixtures/zstd.journal.gz");
const COMPACT: &[u8] = include_bytes!("fixtures/zstd-compact.journal.gz");
/// The units whose messages are read.
const KNOWN: [&str; 2] = ["kubelet.service", "k3s-agent.service"];
/// When the entries of these were written.
const WRITTEN: i64 = 1_795_968_000;

fn unpacked(gz: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(gz).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file, and what is read of it.
struct Read {
    folder: tempfile::TempDir,
    tail: JournalTail,
    known: KnownFiles,
}

impl Read {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("system.journal"), bytes).unwrap();
        let begin = Begin::Before(Delta::from_secs(900));
        let tail = JournalTail::new("/system.journal".into(), true, begin);
        Self { folder, tail, known: KnownFiles::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("system.journal")
    }

    /// The messages that are new at this time.
    fn at(&mut self, now: i64) -> (std::io::Result<Turn>, Vec<(String, i64)>) {
        let (units, mut all) = (Units::new(&KNOWN, &["other".to_owned()]), Vec::new());
        let take = |message: &[u8], at: Wall| {
            all.push((String::from_utf8_lossy(message).into_owned(), at.as_nanos()));
        };
        let place = (self.folder.path(), &mut self.known);
        (self.tail.read(place, &units, Wall::from_secs(now), take), all)
    }

    fn messages(&mut self, now: i64) -> Vec<String> {
        let (turn, all) = self.at(now);
        turn.unwrap();
        all.into_iter().map(|(message, _)| message).collect()
    }
}

#[test]
fn what_systemd_wrote_is_read() {
    for gz in [ZSTD, COMPACT] {
        let mut read = Read::new(&unpacked(gz));
        let (turn, all) = read.at(WRITTEN + 60);
        assert_eq!(turn.unwrap(), Turn::default());
        let begins = ["I1129 16:00:00", "E1129 16:00:02", "E1129 16:00:10", "I1129 16:00:11"];
        let found: Vec<_> = all.iter().map(|(message, _)| &message[..14]).collect();
        assert_eq!(found, begins, "two of them are compressed, and one of sshd is left out");
        assert_eq!(all[1].1, (WRITTEN + 2) * 1_000_000_000);
        assert!(all[1].0.contains("connection refused"), "{}", all[1].0);
        assert_eq!(read.at(WRITTEN + 61).1, [], "each is given once");
    }
}

#[test]
fn only_the_last_minutes_of_an_old_file_are_read() {
    for (after, count) in [(0, 4), (899, 4), (905, 2), (2_000, 0)] {
        let mut read = Read::new(&unpacked(ZSTD));
        assert_eq!(read.messages(WRITTEN + after).len(), count, "{after} s later");
    }
}

/// The parts of a file, as the format has them, with offsets of 64 bits.
pub(in crate::sources) struct Written {
    pub(in crate::sources) bytes: Vec<u8>,
    arrays: Vec<u64>,
    entries: u64,
}

impl Written {
    pub(in crate::sources) fn new(flags: u32) -> Self {
        let mut bytes = vec![0; 272];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[88..96].copy_from_slice(&272_u64.to_le_bytes());
        let mut written = Self { bytes, arrays: Vec::new(), entries: 0 };
        written.array(4);
        written
    }

    fn object(&mut self, kind: u8, flags: u8, rest: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len() as u64;
        self.bytes.extend([kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend((16 + rest.len() as u64).to_le_bytes());
        self.bytes.extend(rest);
        at
    }

    fn put(&mut self, at: u64, number: u64) {
        let at = usize::try_from(at).unwrap();
        self.bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }

    fn array(&mut self, room: usize) {
        let at = self.object(6, 0, &vec![0; 8 + 8 * room]);
        let before = self.arrays.last().map_or(176, |before| before + 16);
        self.put(before, at);
        self.arrays.push(at);
    }

    /// An entry with these fields, each with the flags of its compression.
    pub(in crate::sources) fn entry(&mut self, secs: i64, fields: &[(u8, &[u8])]) {
        let mut rest = vec![0; 48];
        rest[8..16].copy_from_slice(&(secs * 1_000_000).to_le_bytes());
        for (flags, text) in fields {
            let at = self.object(1, *flags, &[&[0; 48], *text].concat());
            rest.extend(at.to_le_bytes());
            rest.extend([0; 8]);
        }
        let at = self.object(3, 0, &rest);
        // Arrays of 4, 8, 16 … entries.
        let (mut first, mut room, mut nth) = (0, 4, 0);
        while self.entries >= first + room {
            (first, room, nth) = (first + room, room * 2, nth + 1);
        }
        if nth == self.arrays.len() {
            self.array(usize::try_from(room).unwrap());
        }
        self.put(self.arrays[nth] + 24 + 8 * (self.entries - first), at);
        self.entries += 1;
        self.put(152, self.entries);
    }

    fn message(&mut self, unit: &str, flags: u8, text: &[u8]) {
        let unit = format!("_SYSTEMD_UNIT={unit}");
        self.entry(WRITTEN, &[(0, b"PRIORITY=6"), (flags, text), (0, unit.as_bytes())]);
    }
}

#[test]
fn messages_of_each_compression_and_unit_are_read_or_left_out() {
    let long = format!("MESSAGE={}", "x".repeat(600));
    let block = lz4_flex::block::compress(long.as_bytes());
    let lz4 = [&(long.len() as u64).to_le_bytes()[..], &block].concat();
    let huge = [&(1_u64 << 40).to_le_bytes()[..], &block].concat();
    let mut written = Written::new(2);
    written.message("kubelet.service", 0, b"MESSAGE=plain");
    written.message("kubelet.service", 2, &lz4);
    written.message("kubelet.service", 2, &huge);
    written.message("kubelet.service", 1, b"xz");
    written.message("kubelet.service.d", 0, b"MESSAGE=of another unit");
    written.message("kubelet", 0, b"MESSAGE=of no unit");
    written.message("other.service", 0, b"MESSAGE=configured");
    written.message("k3s-agent.service", 0, b"MESSAGE=k3s");
    written.message("kubelet.service", 0, b"MESSAGES=of another field");
    let mut read = Read::new(&written.bytes);
    assert_eq!(read.messages(WRITTEN), ["plain", &long[8..], "configured", "k3s"]);
}

#[test]
fn a_file_is_followed_over_arrays_and_through_its_rotation() {
    let mut written = Written::new(0);
    let mut read = Read::new(&written.bytes);
    assert_eq!(read.messages(WRITTEN), [""; 0]);
    let mut next = 0;
    for count in [1, 3, 1, 40, 200] {
        let numbers: Vec<String> = (next..next + count).map(|nth| nth.to_string()).collect();
        next += count;
        for number in &numbers {
            written.message("kubelet.service", 0, format!("MESSAGE={number}").as_bytes());
        }
        fs::write(read.path(), &written.bytes).unwrap();
        assert_eq!(read.messages(WRITTEN), numbers);
    }
    // journald renames the file when it is full. The last entries of it come before those of the
    // new one, which are read from the first on, however old they are.
    written.message("kubelet.service", 0, b"MESSAGE=last");
    fs::write(read.path(), &written.bytes).unwrap();
    fs::rename(read.path(), read.folder.path().join("system@1.journal")).unwrap();
    let mut written = Written::new(0);
    written.message("kubelet.service", 0, b"MESSAGE=first");
    fs::write(read.path(), &written.bytes).unwrap();
    assert_eq!(read.messages(WRITTEN + 7_200), ["last", "first"]);
}

#[test]
fn a_file_that_is_none_of_the_journal_is_an_error() {
    for (bytes, expected) in [
        (vec![0; 4_096], "it is no file of the journal"),
        (b"LPKSHHRH".to_vec(), "failed to fill whole buffer"),
        (Written::new(64).bytes, "the journal has features (0x40) that are not known"),
    ] {
        let (turn, all) = Read::new(&bytes).at(WRITTEN);
        let error = turn.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(all, []);
    }
}

/// journald preallocates: what is cut off may hold nothing, or entries.
#[test]
fn a_file_that_is_cut_while_it_is_read_ends_nothing() {
    let whole = unpacked(COMPACT);
    let mut read = Read::new(&whole);
    read.messages(WRITTEN);
    let file = fs::OpenOptions::new().write(true).open(read.path()).unwrap();
    file.write_all_at(&100_u64.to_le_bytes(), 152).unwrap(); // more entries than there are
    file.set_len(3_700_000).unwrap();
    let (turn, all) = read.at(WRITTEN);
    assert_eq!(all, []);
    assert!(turn.unwrap().skipped > 0);
    file.set_len(10).unwrap();
    assert!(read.at(WRITTEN).0.is_err());
}

/// A node with this journal.
pub(in crate::sources) fn node(place: &str, bytes: &[u8]) -> (tempfile::TempDir, JournalConfig) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(place);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("system.journal"), bytes).unwrap();
    let config = JournalConfig { prefix: root.path().to_owned(), units: Vec::new() };
    (root, config)
}

fn small() -> Vec<u8> {
    let mut written = Written::new(8);
    for nth in 0..20 {
        written.message("kubelet.service", nth % 8, b"MESSAGE=E1128 04:17:00.1 1 a.go:1] x");
    }
    written.bytes
}

proptest! {
    /// Whatever a file holds, reading it ends, and gives no more messages than it counts.
    #[test]
    fn damage_ends_nothing(
        changes in vec((0..4_000usize, any::<u8>()), 0..40),
        numbers in vec((0..500usize, prop_oneof![any::<u64>(), 0..5_000u64]), 0..8),
        cut in 0..5_000usize,
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        for (at, number) in numbers {
            let at = (at * 8) % (bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes.truncate(bytes.len().max(cut) - cut.min(bytes.len()) / 4);
        let mut read = Read::new(&bytes);
        let (_, all) = read.at(WRITTEN);
        prop_assert!(all.len() <= 20_000);
    }

    /// Compressed texts that are none.
    #[test]
    fn damaged_texts_are_left_out(
        mut bytes in vec(any::<u8>(), 0..300),
        is_frame in any::<bool>(),
        changed in vec((0..400usize, any::<u8>()), 1..6),
    ) {
        if is_frame {
            let frame = ruzstd::encoding::compress_to_vec(
                &b"MESSAGE=abc".repeat(60)[..],
                ruzstd::encoding::CompressionLevel::Fastest,
            );
            bytes = frame;
            for (at, byte) in changed {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
        }
        for compression in [Compression::Lz4, Compression::Zstd, Compression::Xz] {
            let text = compression.text(bytes.clone().into());
            prop_assert!(text.is_none_or(|text| text.len() <= MAX_TEXT));
        }
    }

    #[test]
    fn any_bytes_are_no_journal(bytes in vec(any::<u8>(), 0..600)) {
        let mut read = Read::new(&bytes);
        prop_assert_eq!(read.at(WRITTEN).1, []);
    }
}
