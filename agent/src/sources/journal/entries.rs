//! The entries of one file, one after the other.

use std::collections::BTreeMap;
use std::io;

use tokenwatch_core::base::time::Wall;
use zeroize::Zeroizing;

use super::compressed::Compression;
use super::file::{Array, Begin, Entry, Header, JournalFile};
use super::units::Units;

/// Arrays that are gone through: each has room for twice as many entries as the one before it.
const MAX_ARRAYS: usize = 64;
/// Fields whose meaning is kept. Most entries have the same ones: names, numbers, the unit.
const MAX_KNOWN: usize = 4_096;
const MESSAGE: &[u8] = b"MESSAGE=";
const UNIT: &[u8] = b"_SYSTEMD_UNIT=";
const MICRO: i64 = 1_000;

/// What a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It names a unit whose messages are read.
    Wanted,
    /// It is the message, or may be.
    Text,
    /// Anything else.
    None,
}

/// Where reading goes on.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Number of entries that were read.
    pub(super) read: u64,
    /// The array of the next one, and the number of its first one.
    array: Option<(Array, u64)>,
    /// What the fields at these places are for. journald writes an equal field once.
    known: BTreeMap<u64, Use>,
}

/// A message, and when it was written.
pub(super) type Message = (Zeroizing<Vec<u8>>, Wall);

/// The file as it is now, and whose messages are read.
#[derive(Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) file: &'a JournalFile,
    pub(super) header: Header,
    pub(super) units: &'a Units,
}

impl Entries {
    /// From the entry with this number on.
    pub(super) fn from(read: u64) -> Self {
        Self { read, ..Self::default() }
    }

    /// Goes to the first entry that is not older than `since`: the times of the entries of a file
    /// go up, but for steps of the clock.
    pub(super) fn seek(
        &mut self,
        file: &JournalFile,
        header: Header,
        since: Wall,
    ) -> io::Result<()> {
        let (mut low, mut high) = (0, header.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            let at = self.place(file, header, middle)?;
            let is_older = wall(file.realtime(at)?) < since;
            (low, high) = if is_older { (middle + 1, high) } else { (low, middle) };
        }
        self.read = low;
        Ok(())
    }

    /// The next entry, if it is a message of these units that can be read.
    pub(super) fn next(&mut self, now: Now<'_>) -> io::Result<Option<Message>> {
        let nth = self.read;
        self.read += 1; // also where it is damaged
        let at = self.place(now.file, now.header, nth)?;
        let entry = now.file.entry(at, now.header.is_compact)?;
        self.message(&entry, now)
    }

    /// The offset of an entry.
    fn place(&mut self, file: &JournalFile, header: Header, nth: u64) -> io::Result<u64> {
        let is_compact = header.is_compact;
        let first = || file.array(header.first_array, is_compact).map(|array| (array, 0));
        let known = self.array.filter(|(_, first)| *first <= nth);
        let (mut array, mut first) = known.map_or_else(first, Ok)?;
        for _ in 0..MAX_ARRAYS {
            if nth - first < array.room {
                self.array = Some((array, first));
                return file.offset(array, nth - first, is_compact);
            }
            first += array.room;
            array = file.next(array, is_compact)?;
        }
        Err(io::Error::other("the journal is damaged: it has too many arrays of entries"))
    }

    fn message(&mut self, entry: &Entry, now: Now<'_>) -> io::Result<Option<Message>> {
        let used = |at: &u64| self.used(*at, now).map(|used| (*at, used));
        let fields = entry.fields.iter().map(used).collect::<io::Result<Vec<_>>>()?;
        let is_wanted = fields.iter().any(|(_, used)| *used == Use::Wanted);
        let texts = fields.iter().filter(|(_, used)| is_wanted && *used == Use::Text);
        for (at, _) in texts {
            let begin = now.file.begin(*at, MESSAGE.len(), now.header.is_compact)?;
            let text = now.file.field(&begin)?;
            if let Some(message) = text.as_deref().and_then(|text| text.strip_prefix(MESSAGE)) {
                return Ok(Some((Zeroizing::new(message.to_vec()), wall(entry.realtime))));
            }
        }
        Ok(None)
    }

    /// What the field at this place is for.
    fn used(&mut self, at: u64, now: Now<'_>) -> io::Result<Use> {
        if let Some(known) = self.known.get(&at) {
            return Ok(*known);
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        // One byte more than the longest unit, so that a longer name is not taken for it.
        let most = UNIT.len() + now.units.longest() + 1;
        let begin = now.file.begin(at, most, now.header.is_compact)?;
        Ok(*self.known.entry(at).or_insert_with(|| used(&begin, now.units)))
    }
}

fn used(begin: &Begin, units: &Units) -> Use {
    let is_plain = begin.compression == Compression::None;
    match begin.bytes.strip_prefix(UNIT).filter(|_| is_plain) {
        Some(unit) if units.has(unit) => Use::Wanted,
        _ if !is_plain || begin.bytes.starts_with(MESSAGE) => Use::Text,
        _ => Use::None,
    }
}

fn wall(realtime: u64) -> Wall {
    let micros = i64::try_from(realtime).unwrap_or(i64::MAX);
    Wall::from_nanos(micros.saturating_mul(MICRO))
}
