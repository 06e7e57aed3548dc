//! The link `..data` of a volume, which kubelet renames into place at each rotation.

use std::ffi::{CStr, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};

use crate::sources::tokens::{Reader, Stamp};
use crate::sources::volumes::layout::DATA;
use crate::sys;

const DATA_C: &CStr = c"..data";
/// Buffer for the link's target. A single name has at most 255 bytes (NAME_MAX): a target that
/// fills the buffer is not one, or is truncated.
const MAX_TARGET: usize = 256;

/// The stamp of the link itself; none if there is no link.
pub(super) fn stamp(volume: BorrowedFd<'_>) -> nix::Result<Option<Stamp>> {
    match fstatat(volume, DATA, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(is_link(stat.st_mode).then(|| Stamp::of(&stat))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_link(mode: u32) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

/// The link's target, if that is a single name, as kubelet's are.
pub(super) fn target(volume: BorrowedFd<'_>) -> nix::Result<Option<PathBuf>> {
    let mut buffer = [0; MAX_TARGET];
    let target = sys::readlinkat(volume, DATA_C, &mut buffer)?;
    let path = Path::new(OsStr::from_bytes(target));
    Ok((target.len() < MAX_TARGET && is_name(path)).then(|| path.to_owned()))
}

/// Whether a path is a single name, neither `.` nor `..`.
fn is_name(path: &Path) -> bool {
    let mut components = path.components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}

/// Why the link is not followed: it leads out of the volume, or to another link instead of a
/// generation. Kubelet's never does.
pub(super) fn why_refused(
    volume: BorrowedFd<'_>,
    target: Option<&Path>,
    opened: &nix::Result<OwnedFd>,
    reader: &mut Reader,
) -> Option<&'static str> {
    match (target, opened) {
        (Some(_), Err(Errno::ELOOP)) => Some(LEADS_TO_LINK),
        (None, _) if reader.leads_out(volume, Path::new(DATA)) => Some(LEADS_OUT),
        _ => None,
    }
}

const LEADS_TO_LINK: &str = "it leads to another link and was not followed (ELOOP); kubelet \
                             creates no such link: find out what did";
/// What it leads to does not exist.
pub(super) const LEADS_NOWHERE: &str = "what it leads to does not exist (ENOENT); kubelet leaves \
                                        no such link behind: find out what removed it";
const LEADS_OUT: &str = "it leads out of the volume and was not followed (EXDEV); kubelet creates \
                         no such link: find out what did";
