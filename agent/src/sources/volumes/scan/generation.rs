//! The current generation of a volume, as far as stamps show that it has not changed.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::opened::stamp_at;
use super::stamps::{Moment, TrustedStamp};
use crate::sources::tokens::Stamp;
use crate::sources::volumes::layout::DATA;

/// The directory that `..data` points to. Known only for one without subdirectories, whose stamp
/// shows that a file was added.
#[derive(Debug)]
pub(super) struct Generation {
    link: TrustedStamp,
    target: PathBuf,
    directory: TrustedStamp,
}

impl Generation {
    /// None if its stamps are too recent to show every change.
    pub(super) fn new(
        link: Stamp,
        target: PathBuf,
        directory: Stamp,
        moment: Moment,
    ) -> Option<Self> {
        let link = TrustedStamp::new(link, moment)?;
        Some(Self { link, target, directory: TrustedStamp::new(directory, moment)? })
    }

    /// Whether link and directory have not changed. Leaves the directory's path in `path`.
    pub(super) fn is_current(
        &self,
        parent: BorrowedFd<'_>,
        volume: &OsStr,
        path: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        path.as_mut_os_string().clear();
        path.push(volume);
        path.push(DATA);
        let same_link = self.link.is_current(stamp_at(parent, path), moment);
        path.set_file_name(&self.target);
        same_link && self.directory.is_current(stamp_at(parent, path), moment)
    }
}
