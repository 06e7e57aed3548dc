//! A recording with names to one with pseudonyms.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde::Serialize;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::replay::{Line, written};

use super::read::{Recording, Trouble};
use crate::recorder::{create, pseudonyms};

/// Writes `target`; what to print about that. A file that is not complete is removed.
pub(super) fn converted(file: &Path, target: &Path) -> Result<String, Trouble> {
    let (recording, header) = Recording::open(file)?;
    let new = create(target).map_err(Trouble::Create)?;
    let names = pseudonyms();
    let mut out = Out { path: target, file: BufWriter::new(new.into_file()) };
    let entries = out.put(&names.header(header)).and_then(|()| out.all(recording, &names));
    if entries.is_err() {
        let _ = std::fs::remove_file(target); // the reason is reported
    }
    let name = shown(&target.to_string_lossy()).into_owned();
    Ok(format!(
        "{name}: {} entries, with pseudonyms for all names of the cluster. Times are as they were: \
         look at the file before you send it.\n",
        entries?
    ))
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
    ) -> Result<u64, Trouble> {
        let mut entries = 0;
        while let Some(line) = recording.next()? {
            if let Line::Entry(entry) = line {
                self.put(&names.entry(*entry))?;
                entries += 1;
            }
        }
        self.file.flush().map_err(|why| self.trouble(why))?;
        Ok(entries)
    }

    fn put(&mut self, value: &impl Serialize) -> Result<(), Trouble> {
        let line = written(value).map_err(|why| self.trouble(io::Error::other(why)))?;
        self.file.write_all(&line).map_err(|why| self.trouble(why))
    }

    fn trouble(&self, why: io::Error) -> Trouble {
        Trouble::Write(self.path.to_owned(), why)
    }
}
