//! The host's configuration files, seen from wherever the host's root is mounted. Bounded in every
//! direction.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// A time daemon's configuration is a few kilobytes.
const FILE_SIZE: u64 = 256 * 1024;
/// Files read in all: directories of fragments hold a handful.
const FILES: usize = 64;
/// Entries looked at in a directory.
const ENTRIES: usize = 256;

/// Reads files as the host names them.
pub(super) struct HostFiles<'a> {
    root: &'a Path,
    left: Cell<usize>,
}

impl<'a> HostFiles<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, left: Cell::new(FILES) }
    }

    /// Where a path of the host is for us. A configuration that says `..` does not lead out of the
    /// host's root.
    fn here(&self, path: &Path) -> PathBuf {
        let inside = path.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join(inside.collect::<PathBuf>())
    }

    /// The file's text; nothing for what is not there, not a file, or not readable.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        // Not blocking, for the path may be a FIFO.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(self.here(path))
            .ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(FILE_SIZE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Files of a directory whose names end in `suffix`, in order of name, as the host names them.
    pub(super) fn with_suffix(&self, directory: &Path, suffix: &str) -> Vec<PathBuf> {
        self.matching(directory, |name| name.ends_with(suffix))
    }

    /// What a path with a `*` or without one in its last part means (glob(7), as far as
    /// configurations use it).
    pub(super) fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let (Some(directory), Some(name)) =
            (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
        else {
            return Vec::new();
        };
        match name.split_once('*') {
            Some((start, end)) => self.matching(directory, |name| {
                name.len() >= start.len() + end.len()
                    && name.starts_with(start)
                    && name.ends_with(end)
            }),
            None => vec![pattern.to_owned()],
        }
    }

    fn matching(&self, directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.here(directory)).into_iter().flatten().take(ENTRIES).flatten();
        let names = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && wanted(name));
        let mut paths: Vec<_> = names.map(|name| directory.join(name)).collect();
        paths.sort();
        paths
    }
}
