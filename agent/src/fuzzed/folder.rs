//! A folder for one input, where a parser takes a path.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

/// In memory on every Linux: an input costs no disk. The number of the process and a random text
/// follow; `tests/fuzz` removes the folder of a process that ended within an input.
const PREFIX: &str = "/dev/shm/tokenwatch-fuzz-";

/// A folder that is removed with its files.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one; none where there is no room.
    pub(crate) fn new() -> Option<Self> {
        let template = format!("{PREFIX}{}-XXXXXX", std::process::id());
        mkdtemp(template.as_str()).ok().map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file at this path below the folder.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(path);
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&path, bytes));
        assert!(written.is_ok(), "{}: {written:?}", path.display());
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left is in memory, and small
    }
}
