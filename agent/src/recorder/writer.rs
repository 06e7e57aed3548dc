//! Entries to lines in the file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use serde::Serialize;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::replay::{Content, Entry, Header, Pseudonyms, TooLong, written};
use tracing::{info, warn};

use super::file::{NewFile, named};

/// The largest recording in bytes: a million entries of 1 kB, which is weeks of a full node, and
/// little beside the tenth of its disk below which kubelet evicts pods.
pub(super) const LARGEST: u64 = 1 << 30;

/// The thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    pseudonyms: Option<Pseudonyms>,
    /// Entries that found no room in the queue.
    lost: Arc<AtomicU64>,
    /// Bytes that may still be written.
    left: u64,
    last: Reading,
}

/// Why nothing more is recorded.
#[derive(Debug)]
enum End {
    Full,
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(why: io::Error) -> Self {
        Self::Failed(why)
    }
}

impl Writer {
    pub(super) fn new(file: NewFile, pseudonyms: Option<Pseudonyms>, lost: Arc<AtomicU64>) -> Self {
        let NewFile { path, file } = file;
        let (out, last) = (BufWriter::new(file), Reading::default());
        Self { path, out, pseudonyms, lost, left: LARGEST, last }
    }

    /// Writes until nobody queues any more, or the file takes no more.
    #[allow(clippy::needless_pass_by_value)] // dropped at its end, which the other side sees
    pub(super) fn run(mut self, header: Header, entries: Receiver<Entry>) {
        let path = named(&self.path);
        match self.all(header, &entries) {
            Ok(()) => info!(path, "the recording is complete"),
            Err(End::Full) => {
                warn!(
                    path,
                    "the recording has reached 1 GiB and ends here; the agent keeps running"
                );
            }
            Err(End::Failed(error)) => {
                warn!(
                    path,
                    %error,
                    "the recording cannot be written and ends here; the agent keeps running"
                );
            }
        }
    }

    fn all(&mut self, header: Header, entries: &Receiver<Entry>) -> Result<(), End> {
        let header = match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.header(header),
            None => header,
        };
        self.put(&header)?;
        while let Some(entry) = self.next(entries)? {
            self.entry(entry)?;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.put(&Entry { now: self.last, content: Content::Lost(lost) })?;
        }
        Ok(self.out.flush()?)
    }

    /// Whoever looks at the file while the agent runs, or after it was killed, finds all but what
    /// waits in the queue.
    fn next(&mut self, entries: &Receiver<Entry>) -> io::Result<Option<Entry>> {
        match entries.try_recv() {
            Ok(entry) => Ok(Some(entry)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.out.flush()?;
                Ok(entries.recv().ok())
            }
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<(), End> {
        self.last = entry.now;
        let entry = match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.entry(entry),
            None => entry,
        };
        self.put(&entry)
    }

    /// An entry that is too long for a line is one that is lost.
    fn put(&mut self, value: &impl Serialize) -> Result<(), End> {
        let gap = || written(&Entry { now: self.last, content: Content::Lost(1) });
        let Ok(line) = written(value).or_else(|TooLong| gap()) else { return Ok(()) };
        self.left = self.left.checked_sub(line.len() as u64).ok_or(End::Full)?;
        Ok(self.out.write_all(&line)?)
    }
}
