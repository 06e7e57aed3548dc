//! Whole lines out of what is read of a file, in bounded memory that is wiped.
//!
//! A container's runtime puts `<time> <stream> <tag> ` before each line, and splits a long one: tag
//! `P` for a part, `F` for the last one (CRI logging format). Docker has a format of its own
//! ([`docker`]).

use zeroize::{Zeroize as _, Zeroizing};

use super::docker::{Docker, docker};

/// Longest line that is read, in bytes. An audit event has some 2 kB, without the objects of its
/// request; the rest of a longer line is skipped.
pub(in crate::sources) const MAX_LINE: usize = 256 << 10;

/// The beginnings of lines.
#[derive(Debug)]
pub(in crate::sources) struct Lines {
    /// Of a line of the file.
    partial: Beginning,
    /// Of a line that the runtime split, by stream: `stdout`, `stderr`.
    split: [Beginning; 2],
}

/// The beginning of a line.
#[derive(Debug)]
struct Beginning {
    /// Never grows beyond its capacity: a copy that is left behind would not be wiped. The kernel
    /// gives it no memory before it is used.
    bytes: Zeroizing<Vec<u8>>,
    /// Whether the line is too long, or its beginning is missing: it is skipped to its end.
    is_skipped: bool,
}

impl Beginning {
    fn new() -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(MAX_LINE)), is_skipped: false }
    }

    fn add(&mut self, part: &[u8]) {
        if self.bytes.len() + part.len() > MAX_LINE {
            self.wipe();
            self.is_skipped = true;
        }
        if !self.is_skipped {
            self.bytes.extend_from_slice(part);
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_skipped
    }

    /// Ends the line, and gives it away if it is complete.
    fn end(&mut self, take: impl FnOnce(&[u8])) {
        if !self.is_skipped {
            take(&self.bytes);
        }
        self.wipe();
        self.is_skipped = false;
    }

    fn wipe(&mut self) {
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
    }
}

impl Lines {
    pub(in crate::sources) fn new() -> Self {
        let new = Beginning::new;
        Self { partial: new(), split: [new(), new()] }
    }

    /// Begins again, in another file. `is_within`: in the middle of a line.
    pub(in crate::sources) fn begin(&mut self, is_within: bool) {
        for beginning in [&mut self.partial].into_iter().chain(&mut self.split) {
            beginning.wipe();
            beginning.is_skipped = false;
        }
        self.partial.is_skipped = is_within;
    }

    /// Takes the next bytes, and gives each line away that they complete.
    pub(in crate::sources) fn push(&mut self, mut chunk: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            let split = &mut self.split;
            if self.partial.is_empty() && line.len() <= MAX_LINE {
                joined(split, line, &mut take);
            } else {
                self.partial.add(line);
                self.partial.end(|line| joined(split, line, &mut take));
            }
            chunk = rest;
        }
        self.partial.add(chunk);
    }
}

/// Gives a line away, as the container wrote it.
fn joined(split: &mut [Beginning; 2], line: &[u8], take: &mut impl FnMut(&[u8])) {
    if let Some(part) = docker(line) {
        return of_docker(&mut split[part.stream], part, take);
    }
    let Some(part) = part(line) else { return take(line) };
    let beginning = &mut split[part.stream];
    if part.is_last && beginning.is_empty() {
        return take(part.text);
    }
    beginning.add(part.text);
    if part.is_last {
        beginning.end(take);
    }
}

fn of_docker(beginning: &mut Beginning, part: Docker<'_>, take: &mut impl FnMut(&[u8])) {
    part.pieces(|piece| beginning.add(piece));
    if part.is_last() {
        beginning.end(take);
    }
}

/// A line of a container's log.
struct Part<'a> {
    /// 0 for `stdout`, 1 for `stderr`.
    stream: usize,
    is_last: bool,
    text: &'a [u8],
}

/// `2026-11-28T04:17:00.123456789Z stderr F …`; none without this prefix.
fn part(line: &[u8]) -> Option<Part<'_>> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tags) = (words.next()?, words.next()?, words.next()?);
    let is_time = time.len() >= 20 && time[..4].iter().all(u8::is_ascii_digit) && time[4] == b'-';
    let stream = [b"stdout", b"stderr"].iter().position(|name| *name == stream)?;
    let is_last = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    is_time.then(|| Part { stream, is_last, text: words.next().unwrap_or_default() })
}
