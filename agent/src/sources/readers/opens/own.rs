//! Which events are of the agent's own opens. Each open makes one event and one note.

use crate::sources::own_opens::{Inode, OwnOpens};

/// The notes whose events may still come.
#[derive(Debug, Default)]
pub(super) struct Own {
    notes: OwnOpens,
    /// Those whose events are in the queue, or were merged with another one.
    settled: Vec<Inode>,
    /// Those whose events may come after the queue was read to its end.
    fresh: Vec<Inode>,
}

impl Own {
    pub(super) fn new(notes: OwnOpens) -> Self {
        Self { notes, ..Self::default() }
    }

    /// For opening something.
    pub(super) fn notes(&self) -> &OwnOpens {
        &self.notes
    }

    /// Call it before the queue is read.
    pub(super) fn begin(&mut self) {
        self.settled.append(&mut self.fresh);
        self.notes.take(&mut self.settled);
    }

    /// Call it when the queue was read to its end: all events of settled notes were there.
    pub(super) fn end(&mut self) {
        self.settled.clear();
    }

    /// Whether there are notes whose events may be in the queue.
    pub(super) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// Call it before a watch is set, …
    pub(super) fn collect(&mut self) {
        self.notes.take(&mut self.fresh);
    }

    /// … and this after it: the notes of what it watches have no event.
    pub(super) fn forget(&mut self, unwatched: Inode) {
        self.settled.retain(|note| *note != unwatched);
        self.fresh.retain(|note| *note != unwatched);
    }

    /// Whether the open of this inode was the agent's own; each note counts once.
    pub(super) fn takes(&mut self, opened: Inode) -> bool {
        if taken(&mut self.settled, opened) || taken(&mut self.fresh, opened) {
            return true;
        }
        let known = self.fresh.len();
        self.notes.take(&mut self.fresh);
        self.fresh.len() > known && taken(&mut self.fresh, opened)
    }
}

fn taken(notes: &mut Vec<Inode>, opened: Inode) -> bool {
    let found = notes.iter().position(|note| *note == opened);
    found.map(|at| notes.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    /// Opens a file as the agent does. Returns its inode.
    fn open(notes: &OwnOpens, file: &tempfile::NamedTempFile) -> Inode {
        let opened = notes.noted(|| Ok(File::open(file.path()).unwrap().into())).unwrap();
        let found = File::from(opened).metadata().unwrap();
        (found.dev(), found.ino())
    }

    #[test]
    fn each_note_takes_one_event_of_this_reading_of_the_queue_or_of_the_next() {
        let (file, other) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let notes = OwnOpens::kept();
        let mut own = Own::new(notes.clone());
        let opened = open(&notes, &file);
        let other = (opened.0, std::fs::metadata(other.path()).unwrap().ino());
        own.begin();
        assert!(!own.takes(other) && own.takes(opened) && !own.takes(opened));
        own.end();

        open(&notes, &file);
        own.begin();
        own.end(); // its event was merged with a client's
        assert!(!own.takes(opened));

        own.begin();
        open(&notes, &file);
        assert!(own.takes(opened), "opened while the queue is read");
        open(&notes, &file);
        assert!(!own.takes(other));
        own.end();
        own.begin();
        assert!(own.takes(opened), "its event came after the queue was read");
        own.end();

        open(&notes, &file);
        own.collect();
        own.forget(opened);
        assert!(!own.takes(opened), "it was not watched yet");
    }
}
