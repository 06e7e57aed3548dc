//! The host's configuration files, below the mount of the host's root directory. Number and size of
//! what is read are bounded.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use tokenwatch_core::world::clocks::ServerName;

use super::Discovered;

/// Bytes read of a file. A time daemon's configuration has a few kilobytes.
const FILE_SIZE: u64 = 256 * 1024;
/// Files read in total. Directories of fragments hold a handful.
const FILES: usize = 64;
/// Entries read of a directory.
const ENTRIES: usize = 256;

/// A server named in a file; none if the text cannot be a host name.
pub(super) fn named(host: &str, port: Option<u16>, file: &Path) -> Option<Discovered> {
    let mut server: ServerName = host.parse().ok()?;
    server.port = port.unwrap_or(server.port);
    Some(Discovered { server, named_by: file.display().to_string() })
}

/// Reads files by their paths on the host.
pub(super) struct HostFiles<'a> {
    root: &'a Path,
    left: Cell<usize>,
}

impl<'a> HostFiles<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, left: Cell::new(FILES) }
    }

    /// A path of the host, below the mount. `..` in a configuration does not lead out of it.
    fn here(&self, path: &Path) -> PathBuf {
        let inside = path.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join(inside.collect::<PathBuf>())
    }

    /// The file's text; none if it does not exist, is not a regular file or cannot be read.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        let file = self.open(path).ok().filter(is_regular)?;
        let mut bytes = Vec::new();
        file.take(FILE_SIZE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// With O_NONBLOCK, because the path may be a FIFO.
    fn open(&self, path: &Path) -> std::io::Result<File> {
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        OpenOptions::new().read(true).custom_flags(flags).open(self.here(path))
    }

    /// Files of a directory whose names end in `suffix`, sorted by name, as paths of the host.
    pub(super) fn with_suffix(&self, directory: &Path, suffix: &str) -> Vec<PathBuf> {
        self.matching(directory, |name| name.ends_with(suffix))
    }

    /// The paths that match a pattern with at most one `*`, in its last component (the part of
    /// glob(7) that configurations use).
    pub(super) fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let (Some(directory), Some(name)) =
            (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
        else {
            return Vec::new();
        };
        match name.split_once('*') {
            Some((start, end)) => self.matching(directory, |name| has_ends(name, start, end)),
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

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file())
}

/// Whether a name starts and ends with these, which do not overlap.
fn has_ends(name: &str, start: &str, end: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end))
}
