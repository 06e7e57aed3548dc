//! Uses up the kernel's limit of inotify watches, which all processes of a user share.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// The instances that hold the watches. Dropping this frees them all.
pub struct Taken(#[allow(dead_code)] Vec<Inotify>);

/// Takes every watch that this user may still have. Each instance can watch a file only once.
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
                "[incidents] {} inotify instances of {} files hold all available watches",
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
