//! The directories and links that kubelet's atomic writer makes in a volume, and when it made them
//! (pkg/volume/util/atomic_writer.go).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::Delta;

use crate::clocks;
use crate::sources::own_opens::Inode;

/// The link to the current generation.
pub(super) const DATA: &str = "..data";
/// The first generation of a new volume has no reader yet: kubelet starts containers when it has
/// mounted all volumes, and looks for that every 300 ms (pkg/kubelet/volumemanager).
const BEFORE_CONTAINERS: Delta = Delta::from_millis(200);
/// Kubelet makes the links for the pod just after `..data`, and only once.
const SAME_WRITE: Delta = Delta::from_secs(1);

/// Whether this name is that of a generation.
pub(super) fn is_generation(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

/// The generation that is current, if there is one.
pub(super) fn data_link(volume: &Path) -> Option<OsString> {
    std::fs::read_link(volume.join(DATA)).ok().map(PathBuf::into_os_string)
}

/// A file, or a directory; none if it cannot be looked at.
pub(super) fn inode(path: &Path) -> Option<Inode> {
    path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()))
}

/// Whether the generation that is current was written with `link`, one of the links for the pod,
/// and so just now that no container can have opened it.
pub(super) fn is_first_write(volume: &Path, link: &OsStr) -> bool {
    let (data, link) = (changed(&volume.join(DATA)), changed(&volume.join(link)));
    let is_one = data.zip(link).is_some_and(|(data, link)| (link - data).abs() < SAME_WRITE);
    is_one && age(&volume.join(DATA)).is_some_and(|age| age < BEFORE_CONTAINERS)
}

/// How long ago `..data` was renamed; longer than any time if that is not known.
pub(super) fn since_rename(volume: &Path) -> Delta {
    age(&volume.join(DATA)).unwrap_or(Delta::from_nanos(i64::MAX))
}

/// How long ago a link was made or renamed; none if it is in the future.
fn age(link: &Path) -> Option<Delta> {
    let now = Delta::from_nanos(clocks::now().wall.as_nanos());
    changed(link).map(|changed| now - changed).filter(|age| *age >= Delta::ZERO)
}

/// When a link was made or renamed, since the epoch of the wall clock.
fn changed(link: &Path) -> Option<Delta> {
    let found = link.symlink_metadata().ok()?;
    let nanos = found.ctime().saturating_mul(1_000_000_000).saturating_add(found.ctime_nsec());
    Some(Delta::from_nanos(nanos))
}
