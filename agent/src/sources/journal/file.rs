//! A file of the journal: its header, and its objects.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use zeroize::Zeroizing;

use super::compressed::{Compression, MAX_TEXT};

/// What a file begins with.
const SIGNATURE: &[u8; 8] = b"LPKSHHRH";
/// The part of the header that every version has, and that is read.
const HEADER: usize = 184;
/// What the agent knows of what a file may have: compression (XZ 1, LZ4 2, ZSTD 8), keyed hashes
/// (4), which it does not use, and compact offsets (16).
const KNOWN: u32 = 0b1_1111;
const COMPACT: u32 = 0b1_0000;
/// What every object begins with: type, flags and size.
const OBJECT: usize = 16;
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
/// Where the items of an array begin.
const ARRAY_ITEMS: u64 = 24;
/// Where the items of an entry begin, and where its time is.
const ENTRY_ITEMS: usize = 64;
const REALTIME: usize = 24;
/// Fields of one entry that are read: kubelet's have some 25.
const MAX_FIELDS: usize = 256;
/// Where the text of a data object begins, and with compact offsets.
const TEXT: usize = 64;
const COMPACT_TEXT: usize = 72;

/// What the header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of complete entries.
    pub(super) entries: u64,
    /// The first array of entries.
    pub(super) first_array: u64,
    pub(super) is_compact: bool,
}

/// A file that is read with pread(2).
#[derive(Debug)]
pub(super) struct JournalFile(pub(super) File);

/// An array of offsets of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) at: u64,
    pub(super) next: u64,
    /// How many offsets it has room for.
    pub(super) room: u64,
}

/// An entry: when it was written, and where its fields are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Microseconds since 1970.
    pub(super) realtime: u64,
    pub(super) fields: Vec<u64>,
}

/// The begin of a field.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) compression: Compression,
    /// The first bytes, as they are in the file.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Where the text is.
    at: u64,
    length: u64,
}

impl JournalFile {
    /// The header. Its count of entries is read before any of them.
    pub(super) fn header(&self) -> io::Result<Header> {
        let bytes: [u8; HEADER] = self.bytes(0)?;
        if !bytes.starts_with(SIGNATURE) {
            return Err(damaged("it is no file of the journal"));
        }
        let flags = number32(&bytes, 12);
        if flags & !KNOWN != 0 {
            let text =
                format!("the journal has features ({:#x}) that are not known", flags & !KNOWN);
            return Err(io::Error::other(text));
        }
        let (entries, first_array) = (number(&bytes, 152), number(&bytes, 176));
        Ok(Header { entries, first_array, is_compact: flags & COMPACT != 0 })
    }

    /// The array of entries at this place.
    pub(super) fn array(&self, at: u64, is_compact: bool) -> io::Result<Array> {
        let (size, _) = self.object(at, ENTRY_ARRAY)?;
        let [next] = self.numbers(at, OBJECT as u64)?;
        let room = size.saturating_sub(ARRAY_ITEMS) / item(is_compact);
        if next != 0 && next <= at {
            return Err(damaged("its arrays of entries go back")); // journald only appends
        }
        Ok(Array { at, next, room })
    }

    /// The array after this one. It is read again: it may have been the last one before.
    pub(super) fn next(&self, array: Array, is_compact: bool) -> io::Result<Array> {
        self.array(self.array(array.at, is_compact)?.next, is_compact)
    }

    /// The offset of an entry in an array.
    pub(super) fn offset(&self, array: Array, nth: u64, is_compact: bool) -> io::Result<u64> {
        let place = nth.checked_mul(item(is_compact)).and_then(|by| by.checked_add(ARRAY_ITEMS));
        let place = place.ok_or_else(|| damaged("an array is too long"))?;
        if is_compact {
            let bytes: [u8; 4] = self.bytes(after(array.at, place)?)?;
            return Ok(u32::from_le_bytes(bytes).into());
        }
        let [offset] = self.numbers(array.at, place)?;
        Ok(offset)
    }

    /// The time of an entry.
    pub(super) fn realtime(&self, at: u64) -> io::Result<u64> {
        self.object(at, ENTRY)?;
        let [time] = self.numbers(at, REALTIME as u64)?;
        Ok(time)
    }

    pub(super) fn entry(&self, at: u64, is_compact: bool) -> io::Result<Entry> {
        let (size, _) = self.object(at, ENTRY)?;
        let width = if is_compact { 4 } else { 16 };
        let items = size.saturating_sub(ENTRY_ITEMS as u64) / width;
        let items = usize::try_from(items).unwrap_or(MAX_FIELDS).min(MAX_FIELDS);
        let width = usize::try_from(width).unwrap_or(16);
        let mut bytes = vec![0; ENTRY_ITEMS + items * width];
        self.0.read_exact_at(&mut bytes, at)?;
        let fields = bytes[ENTRY_ITEMS..].chunks_exact(width);
        let offset = |item: &[u8]| {
            if is_compact { number32(item, 0).into() } else { number(item, 0) }
        };
        Ok(Entry { realtime: number(&bytes, REALTIME), fields: fields.map(offset).collect() })
    }

    /// The first bytes of a field, at most so many.
    pub(super) fn begin(&self, at: u64, most: usize, is_compact: bool) -> io::Result<Begin> {
        let (size, flags) = self.object(at, DATA)?;
        let place = if is_compact { COMPACT_TEXT } else { TEXT } as u64;
        let compression =
            Compression::of(flags).ok_or_else(|| damaged("a field has unknown flags"))?;
        let length = size.saturating_sub(place);
        let at = after(at, place)?;
        let bytes = self.text(at, length.min(most as u64))?;
        Ok(Begin { compression, bytes, at, length })
    }

    /// The whole field; none if it is too long or damaged, or cannot be read.
    pub(super) fn field(&self, begin: &Begin) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        if begin.length > MAX_TEXT as u64 {
            return Ok(None);
        }
        Ok(begin.compression.text(self.text(begin.at, begin.length)?))
    }

    fn text(&self, at: u64, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let length = usize::try_from(length).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Size and flags of an object of this type.
    fn object(&self, at: u64, kind: u8) -> io::Result<(u64, u8)> {
        let bytes: [u8; OBJECT] = self.bytes(at)?;
        let is_it = bytes[0] == kind && at.is_multiple_of(8) && at >= HEADER as u64;
        is_it
            .then(|| (number(&bytes, 8), bytes[1]))
            .ok_or_else(|| damaged("an object is not what refers to it"))
    }

    fn numbers<const N: usize>(&self, at: u64, place: u64) -> io::Result<[u64; N]> {
        let start = after(at, place)?;
        let mut numbers = [0; N];
        for (nth, number) in numbers.iter_mut().enumerate() {
            *number = u64::from_le_bytes(self.bytes(after(start, 8 * nth as u64)?)?);
        }
        Ok(numbers)
    }

    fn bytes<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

fn item(is_compact: bool) -> u64 {
    if is_compact { 4 } else { 8 }
}

fn after(at: u64, place: u64) -> io::Result<u64> {
    at.checked_add(place).ok_or_else(|| damaged("an offset is too large"))
}

fn damaged(what: &str) -> io::Error {
    io::Error::other(format!("the journal is damaged: {what}"))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}
