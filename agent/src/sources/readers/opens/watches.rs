//! One inotify instance: its watches, and its events in the order in which they happened.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

use crate::sources::watch_error::WatchError;

/// Some 350 events at once.
const BUFFER: usize = 16 * 1024;
/// Number of a watch, in its instance.
pub(super) type WatchId = i32;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opened,
    Read,
    Closed,
    Created,
    MovedHere,
    Removed,
    /// The watch has ended: its directory was removed, or its file system unmounted.
    Ended,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) watch: WatchId,
    pub(super) kind: Kind,
    pub(super) is_directory: bool,
    /// What it is about, in the watched directory; none: the directory itself.
    pub(super) name: Option<&'a OsStr>,
}

/// An inotify instance, and which `T` each of its watches is for.
#[derive(Debug)]
pub(super) struct Watches<T> {
    inotify: Inotify,
    owners: BTreeMap<WatchId, (T, WatchDescriptor)>,
}

impl<T: Copy> Watches<T> {
    pub(super) fn new() -> Result<Self, WatchError> {
        Ok(Self { inotify: Inotify::init()?, owners: BTreeMap::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches the directory at `path`, or changes what its watch reports.
    pub(super) fn add(
        &mut self,
        path: &Path,
        mask: WatchMask,
        owner: T,
    ) -> Result<WatchId, WatchError> {
        let mask = mask | WatchMask::ONLYDIR | WatchMask::DONT_FOLLOW;
        let watch = self.inotify.watches().add(path, mask)?;
        let id = watch.get_watch_descriptor_id();
        self.owners.insert(id, (owner, watch));
        Ok(id)
    }

    /// Ends a watch. The kernel has ended that of a removed directory.
    pub(super) fn remove(&mut self, id: WatchId) {
        if let Some((_, watch)) = self.owners.remove(&id) {
            let _ = self.inotify.watches().remove(watch);
        }
    }

    /// Forgets a watch that the kernel has ended.
    pub(super) fn forget(&mut self, id: WatchId) {
        self.owners.remove(&id);
    }

    pub(super) fn owner(&self, id: WatchId) -> Option<T> {
        self.owners.get(&id).map(|(owner, _)| *owner)
    }

    /// Fills the buffer with events; none if there are none left, or a signal came.
    pub(super) fn fill<'a>(
        &mut self,
        buffer: &'a mut [u8],
    ) -> io::Result<Option<inotify::Events<'a>>> {
        match self.inotify.read_events(buffer) {
            Ok(events) => Ok(Some(events)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// A buffer for events.
pub(super) fn buffer() -> Box<[u8]> {
    vec![0; BUFFER].into_boxed_slice()
}

impl<'a> Event<'a> {
    /// None for one that nobody asked for.
    pub(super) fn of(event: &inotify::Event<&'a OsStr>) -> Option<Self> {
        Some(Self {
            watch: event.wd.get_watch_descriptor_id(),
            kind: kind(event.mask)?,
            is_directory: event.mask.contains(EventMask::ISDIR),
            name: event.name,
        })
    }
}

const KINDS: [(EventMask, Kind); 9] = [
    (EventMask::OPEN, Kind::Opened),
    (EventMask::ACCESS, Kind::Read),
    (EventMask::CLOSE_NOWRITE, Kind::Closed),
    (EventMask::CREATE, Kind::Created),
    (EventMask::MOVED_TO, Kind::MovedHere),
    (EventMask::DELETE, Kind::Removed),
    (EventMask::DELETE_SELF, Kind::Ended),
    (EventMask::UNMOUNT, Kind::Ended),
    (EventMask::IGNORED, Kind::Ended),
];

fn kind(mask: EventMask) -> Option<Kind> {
    KINDS.iter().find(|(bit, _)| mask.contains(*bit)).map(|(_, kind)| *kind)
}

/// Whether events were lost before this one.
pub(super) fn is_loss(event: &inotify::Event<&OsStr>) -> bool {
    event.mask.contains(EventMask::Q_OVERFLOW)
}
