//! A file system that does not answer: a tmpfs on which the kernel asks, before each open, a
//! program that gives no answer (permission events of fanotify(7)). For whoever opens, that is an
//! NFS server that went away, or a disk that hangs.

use std::os::fd::AsFd as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use crate::agent::PATIENCE;
use crate::alone::can_run;

/// A tmpfs over the directory. Call it in a mount namespace of its own.
pub(crate) fn mounted(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
}

/// From now on each open on that mount waits, until this is dropped.
pub(crate) struct Hung(Fanotify);

impl Hung {
    /// None, with a message, without the privilege or the kernel for it.
    pub(crate) fn over(directory: &Path) -> Option<Self> {
        let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC;
        let asked = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC);
        let asked = asked.and_then(|group| {
            let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_MOUNT;
            let mask = MaskFlags::FAN_OPEN_PERM | MaskFlags::FAN_ONDIR;
            group.mark(mark, mask, nix::fcntl::AT_FDCWD, Some(directory)).map(|()| Self(group))
        });
        can_run(asked.is_ok(), "root, and permission events of fanotify").then_some(asked.ok()?)
    }

    /// Returns once somebody waits.
    pub(crate) fn wait_for_an_open(&self) {
        let mut asked = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut asked, limit), Ok(1), "nobody opened anything");
    }
}
