//! The kernel's limit of inotify watches, reached for real: it counts for all processes of a user
//! together.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Instances that hold the watches; all are free again when this is dropped.
pub struct Taken(#[allow(dead_code)] Vec<Inotify>);

/// Takes every watch that this user may still have. One file can be watched once by each instance.
pub fn take_all() -> Taken {
    let mut files = Vec::new();
    collect(Path::new("/usr"), &mut files);
    let mut taken = Vec::new();
    loop {
        let instance = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
        let full = files.iter().any(|file| {
            instance.add_watch(file, AddWatchFlags::IN_DELETE_SELF) == Err(Errno::ENOSPC)
        });
        taken.push(instance);
        if full {
            println!(
                "[incidents] {} inotify instances of {} files hold every watch there is",
                taken.len(),
                files.len()
            );
            return Taken(taken);
        }
        assert!(
            taken.len() < 60,
            "the limit of watches is further away than 60 times {} files",
            files.len()
        );
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
            collect(&entry.path(), files);
        } else if kind.is_ok_and(|kind| kind.is_file()) {
            files.push(entry.path());
        }
    }
}
