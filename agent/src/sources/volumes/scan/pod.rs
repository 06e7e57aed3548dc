//! One pod: the list of its projected volumes, and each of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use tokenwatch_core::world::observation::Observation;

use super::stamps::{Moment, TrustedStamp};
use super::volume::{Content, Owner, Scan, Volume};
use super::{Tools, VolumeOutcome, directory, fd, is_own_limit, stamp};
use crate::sources::volumes::layout::{PROJECTED, PodId};

/// What is known of a pod.
#[derive(Debug, Default)]
pub(super) struct Pod {
    /// Stamp of the directory of its volumes: while it is current, `names` is.
    listed: Option<TrustedStamp>,
    /// The volumes in that directory.
    names: Vec<OsString>,
    /// Why the directory cannot be listed.
    list_error: Option<Errno>,
    /// Boxed, because a map allocates space for eleven values and a pod has few.
    volumes: BTreeMap<OsString, Box<Volume>>,
}

impl Pod {
    pub(super) fn volumes(&self) -> impl Iterator<Item = (&OsStr, &Volume)> {
        self.volumes.iter().map(|(name, volume)| (name.as_os_str(), volume.as_ref()))
    }

    pub(super) fn knows(&self, volume: &OsStr) -> bool {
        self.volumes.contains_key(volume)
    }

    pub(super) fn list_error(&self) -> Option<Errno> {
        self.list_error
    }

    /// Reports the tokens of all volumes as gone.
    pub(super) fn remove(self, id: &PodId, out: &mut Vec<Observation>) {
        let uid = id.name.to_string_lossy();
        for (name, volume) in self.volumes {
            volume.remove(Owner { pod_uid: &uid, volume: &name.to_string_lossy() }, out);
        }
    }

    /// The names of its volumes.
    pub(super) fn list(
        &mut self,
        id: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
    ) -> Vec<OsString> {
        let moment = tools.moment();
        let _ = self.open(id, pods, tools, moment); // an error is in `list_error`
        self.names.clone()
    }

    /// Scans every volume: those in the list, and those that were known before.
    pub(super) fn scan(
        &mut self,
        id: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        out: &mut Vec<Observation>,
    ) {
        let moment = tools.moment();
        let opened = self.open(id, pods, tools, moment);
        let mut names = std::mem::take(&mut self.names);
        for name in &names {
            self.scan_volume(id, name, fd(&opened), tools, moment, out);
        }
        let others: Vec<OsString> =
            self.volumes.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in &others {
            self.scan_volume(id, name, fd(&opened), tools, moment, out);
        }
        std::mem::swap(&mut self.names, &mut names);
    }

    /// Scans one volume, below the open directory of pods.
    pub(super) fn scan_one(
        &mut self,
        id: &PodId,
        volume: &OsStr,
        pods: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        let moment = tools.moment();
        let opened =
            pods.and_then(|pods| tools.reader.place(pods, &Path::new(&id.name).join(PROJECTED)));
        self.scan_volume(id, volume, fd(&opened), tools, moment, out)
    }

    /// Opens the directory of the volumes, and lists it unless nothing has changed: listing is most
    /// of the cost of a pod without changes.
    fn open(
        &mut self,
        id: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        moment: Moment,
    ) -> nix::Result<OwnedFd> {
        tools.path.as_mut_os_string().clear();
        tools.path.push(&id.name);
        tools.path.push(PROJECTED);
        let opened = pods.and_then(|pods| tools.reader.directory(pods, &tools.path));
        let now = fd(&opened).and_then(stamp);
        if self.listed.is_some_and(|known| known.is_current(now, moment)) {
            return opened;
        }
        let names =
            fd(&opened).and_then(|opened| directory::subdirectories(opened, &mut tools.reader));
        let listed = now.ok().and_then(|stamp| TrustedStamp::new(stamp, moment));
        self.listed = listed.filter(|_| names.is_ok());
        self.list_error = names.as_ref().err().copied().filter(is_forbidden);
        self.names = names.unwrap_or_default();
        // A directory that cannot be listed may still be traversed.
        opened.or_else(|_| pods.and_then(|pods| tools.reader.place(pods, &tools.path)))
    }

    /// Scans one volume, below the open directory of volumes.
    fn scan_volume(
        &mut self,
        id: &PodId,
        name: &OsStr,
        parent: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        moment: Moment,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        if !self.volumes.contains_key(name) {
            self.volumes.insert(name.to_owned(), Box::default());
        }
        let Some(known) = self.volumes.get_mut(name) else { return VolumeOutcome::Missing };
        if parent.is_ok_and(|parent| known.is_unchanged(parent, name, &mut tools.path, moment)) {
            return VolumeOutcome::Scanned;
        }
        let (pod_uid, volume) = (id.name.to_string_lossy(), name.to_string_lossy());
        let opened = parent.and_then(|parent| tools.reader.place(parent, Path::new(name)));
        let owner = Owner { pod_uid: &pod_uid, volume: &volume };
        let mut scan = Scan { reader: &mut tools.reader, owner, moment, out };
        let outcome = outcome(fd(&opened).and_then(|opened| known.scan(opened, &mut scan)));
        match outcome {
            VolumeOutcome::Scanned | VolumeOutcome::Empty => {}
            VolumeOutcome::Missing => {
                if let Some(volume) = self.volumes.remove(name) {
                    volume.remove(scan.owner, scan.out);
                }
            }
            VolumeOutcome::Unreadable(errno) if is_own_limit(errno) => {
                tools.own_limit = Some(errno);
            }
            VolumeOutcome::Unreadable(errno) => known.set_unreadable(errno, &mut scan),
        }
        outcome
    }
}

fn outcome(scanned: nix::Result<Content>) -> VolumeOutcome {
    match scanned {
        Ok(Content::Present) => VolumeOutcome::Scanned,
        Ok(Content::None) => VolumeOutcome::Empty,
        Err(errno) if is_missing(errno) => VolumeOutcome::Missing,
        Err(errno) => VolumeOutcome::Unreadable(errno),
    }
}

fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // for `filter`
fn is_forbidden(errno: &Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}
