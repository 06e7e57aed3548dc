//! A recording line by line, in bounded memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use tokenwatch_core::base::text::shown;
use tokenwatch_core::replay::{Header, LONGEST_LINE, Line, Reader, Unreadable};

use crate::cli::input;
use crate::recorder::CreateError;

/// Why a recording was not replayed, or not converted.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file could not be opened or read.
    Read(PathBuf, io::Error),
    /// What is in it is no recording, or a damaged one.
    Unreadable(PathBuf, Unreadable),
    /// The file to write could not be created.
    Create(CreateError),
    /// The file could not be written.
    Write(PathBuf, io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, why) => write!(
                f,
                "{} cannot be read ({why}): name a file that `tokenwatch run --record FILE` wrote",
                named(path)
            ),
            Self::Unreadable(path, why) => write!(f, "{}: {why}", named(path)),
            Self::Create(why) => write!(f, "{why}"),
            Self::Write(path, why) => write!(
                f,
                "{} cannot be written ({why}): it was removed; make room, or name a file elsewhere",
                named(path)
            ),
        }
    }
}

fn named(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

/// A recording that is being read.
#[derive(Debug)]
pub(super) struct Recording {
    path: PathBuf,
    file: BufReader<File>,
    reader: Reader,
}

impl Recording {
    /// Opens it, and reads its header.
    pub(super) fn open(path: &Path) -> Result<(Self, Header), Trouble> {
        let file = input::open(path).map_err(|why| Trouble::Read(path.to_owned(), why))?;
        let file = BufReader::new(file);
        let mut recording = Self { path: path.to_owned(), file, reader: Reader::new() };
        match recording.next()? {
            Some(Line::Header(header)) => Ok((recording, *header)),
            // The first line is a header, or an error.
            Some(Line::Entry(_) | Line::CutOff) | None => {
                Err(recording.unreadable(Unreadable::EMPTY))
            }
        }
    }

    /// The next line; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Trouble> {
        let mut line = Vec::new();
        let most = LONGEST_LINE as u64 + 2; // one byte too many, and the end
        let read = self.file.by_ref().take(most).read_until(b'\n', &mut line);
        let read = read.map_err(|why| Trouble::Read(self.path.clone(), why))?;
        if read == 0 {
            return Ok(None);
        }
        let ended = line.pop_if(|last| *last == b'\n').is_some();
        let line = self.reader.line(&line, ended);
        line.map(Some).map_err(|why| self.unreadable(why))
    }

    fn unreadable(&self, why: Unreadable) -> Trouble {
        Trouble::Unreadable(self.path.clone(), why)
    }
}
