//! Mounts of this process's mount namespace (proc_pid_mountinfo(5)).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Error, ProcFs, mountinfo};
use crate::sys;

const MOUNTINFO: &str = "self/mountinfo";
/// Index of the mount point among the fields of a line.
const MOUNT_POINT: usize = 4;

impl ProcFs {
    /// Where something is mounted, in the order of the kernel. Lines without a mount point are
    /// left out.
    pub fn mount_points(&self) -> Result<Vec<PathBuf>, Error> {
        let path = self.root.join(MOUNTINFO);
        let text = std::fs::read(&path).map_err(|error| Error::new(&path, &error))?;
        Ok(text.split(|byte| *byte == b'\n').filter_map(mount_point).collect())
    }
}

pub(super) fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(MOUNT_POINT)?;
    Some(mountinfo::path(field))
}

/// Notices changes of the mounts. The kernel reports them to whoever polls mountinfo; a mount
/// causes no inotify event.
#[derive(Debug)]
pub struct MountWatch(AsyncFd<OwnedFd>);

impl MountWatch {
    /// Must be called within a tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let path = Path::new("/proc").join(MOUNTINFO);
        let opened = File::open(&path).and_then(|file| sys::changing(file.into()));
        opened.map(Self).map_err(|error| Error::new(path, &error))
    }

    /// Returns at the next change.
    pub async fn changed(&self) -> Result<(), Error> {
        let ready = self.0.ready(Interest::PRIORITY).await;
        ready
            .map(|mut ready| ready.clear_ready())
            .map_err(|error| Error::new(Path::new("/proc").join(MOUNTINFO), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_any_text() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        let text = "36 35 0:54 / /a\\040b rw shared:1 - tmpfs tmpfs rw\nnonsense\n\n\
                    37 35 0:55 / /c\\134\\0x - - -\n38 35 0:56 / /d\\";
        std::fs::write(proc.path().join(MOUNTINFO), text).unwrap();
        let points = ProcFs::at(proc.path()).mount_points().unwrap();
        assert_eq!(points, ["/a b", "/c\\\\0x", "/d\\"].map(PathBuf::from));
    }

    #[test]
    fn an_error_names_the_file() {
        let error = ProcFs::at(Path::new("/nonexistent")).mount_points().unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nonexistent/self/mountinfo: "), "{error}");
    }
}
