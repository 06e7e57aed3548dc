//! A recording with names to one with pseudonyms.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde::Serialize;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::replay::{Content, Entry, Line, TooLong, written};

use super::read::{Recording, Trouble};
use crate::recorder::{create, pseudonyms};

/// Writes `target`; what to print about that. A file that is not complete is removed.
pub(super) fn converted(file: &Path, target: &Path) -> Result<String, Trouble> {
    let (recording, header) = Recording::open(file)?;
    let new = create(target).map_err(Trouble::Create)?;
    let names = pseudonyms();
    let mut out = Out { path: target, file: BufWriter::new(new.into_file()) };
    let done = out.put(&names.header(header)).and_then(|()| out.all(recording, &names));
    if done.is_err() {
        let _ = std::fs::remove_file(target); // the reason is reported
    }
    Ok(done?.message(&shown(&target.to_string_lossy())))
}

/// What the new file holds.
#[derive(Debug, Default)]
struct Written {
    entries: u64,
    /// Entries that became too long with pseudonyms.
    lost: u64,
    /// Whether the last line of the recording was cut off.
    cut_off: bool,
}

impl Written {
    /// For people. `name` is the new file's.
    fn message(&self, name: &str) -> String {
        let entries = self.entries;
        let cut_off = if self.cut_off { " The last line was cut off and is left out." } else { "" };
        let lost = match self.lost {
            0 => String::new(),
            count => format!(" Left out, because their lines became too long: {count}."),
        };
        format!(
            "{name}: {entries} entries, with pseudonyms for the names of the cluster. Times are as \
             they were: look at the file before you send it.{cut_off}{lost}\n"
        )
    }
}

struct Out<'a> {
    path: &'a Path,
    file: BufWriter<std::fs::File>,
}

impl Out<'_> {
    fn all(
        &mut self,
        mut recording: Recording,
        names: &tokenwatch_core::replay::Pseudonyms,
    ) -> Result<Written, Trouble> {
        let mut done = Written::default();
        while let Some(line) = recording.next()? {
            match line {
                Line::Entry(entry) => {
                    done.lost += self.entry(&names.entry(*entry))?;
                    done.entries += 1;
                }
                Line::CutOff => done.cut_off = true,
                Line::Header(_) => {} // only the first line is read as one
            }
        }
        self.file.flush().map_err(|why| self.trouble(why))?;
        Ok(done)
    }

    /// An entry that is too long with pseudonyms is recorded as missing, as the recorder does; how
    /// many are lost by that.
    fn entry(&mut self, entry: &Entry) -> Result<u64, Trouble> {
        match written(entry) {
            Ok(line) => self.write(&line).map(|()| 0),
            Err(TooLong) => {
                self.put(&Entry { now: entry.now, content: Content::Lost(1) }).map(|()| 1)
            }
        }
    }

    fn put(&mut self, value: &impl Serialize) -> Result<(), Trouble> {
        let line = written(value).map_err(|why| self.trouble(io::Error::other(why)))?;
        self.write(&line)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Trouble> {
        self.file.write_all(line).map_err(|why| self.trouble(why))
    }

    fn trouble(&self, why: io::Error) -> Trouble {
        Trouble::Write(self.path.to_owned(), why)
    }
}
