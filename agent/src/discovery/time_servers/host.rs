//! The host's files, below the mount of its root directory. Number and size of what is read are
//! bounded.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::OFlag;

use crate::discovery::glob::{is_pattern, matches};
use crate::discovery::inside;

/// Bytes read of a file. A time daemon's configuration has a few kilobytes.
const FILE_SIZE: u64 = 256 * 1024;
/// Files and directories opened in total. A host has a handful of fragments and leases.
const OPENED: usize = 512;
/// Entries read of a directory.
const ENTRIES: usize = 256;
/// Paths that one pattern gives.
const PATHS: usize = 64;

/// Reads files by their paths on the host.
pub(super) struct HostFiles<'a> {
    root: &'a Path,
    left: Cell<usize>,
}

impl<'a> HostFiles<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, left: Cell::new(OPENED) }
    }

    /// The file's text; none if it does not exist, is not a regular file or cannot be read.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// The same, as bytes.
    pub(super) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        // The path may be a FIFO.
        let file = self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).filter(is_regular)?;
        let mut bytes = Vec::new();
        file.take(FILE_SIZE).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn open(&self, path: &Path, flags: OFlag) -> Option<File> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        inside::open(self.root, path, flags).ok().map(File::from)
    }

    /// Files of a directory whose names end in `suffix`, sorted by name, as paths of the host.
    pub(super) fn with_suffix(&self, directory: &Path, suffix: &str) -> Vec<PathBuf> {
        self.matching(directory, |name| name.ends_with(suffix))
    }

    /// The paths that match a pattern, sorted (glob(7): `*`, `?` and `[…]`, in any component). A
    /// path without a pattern is returned as it is.
    pub(super) fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.components() {
            let Component::Normal(name) = part else { continue };
            let name = name.to_string_lossy();
            found = found.iter().flat_map(|at| self.below(at, &name)).take(PATHS).collect();
        }
        found
    }

    fn below(&self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        if is_pattern(pattern) {
            self.matching(directory, |name| matches(pattern, name))
        } else {
            vec![directory.join(pattern)]
        }
    }

    fn matching(&self, directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut names: Vec<String> = self.names(directory).unwrap_or_default();
        names.retain(|name| !name.starts_with('.') && wanted(name));
        names.sort();
        names.iter().map(|name| directory.join(name)).collect()
    }

    fn names(&self, directory: &Path) -> Option<Vec<String>> {
        let opened = self.open(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut directory = Dir::from_fd(opened.into()).ok()?;
        let entries = directory.iter().take(ENTRIES).flatten();
        Some(
            entries
                .filter_map(|entry| entry.file_name().to_str().map(str::to_owned).ok())
                .collect(),
        )
    }
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file())
}
