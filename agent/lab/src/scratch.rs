//! A temporary folder that goes away with its owner.

use std::io;
use std::path::{Path, PathBuf};

/// Owns a folder that only this user can enter; dropping it removes all of it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder in `parent`, with a name nobody else has.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let template = parent.join("tokenwatch-demo-XXXXXX");
        nix::unistd::mkdtemp(&template).map(Self).map_err(|error| {
            io::Error::other(format!(
                "cannot make a temporary folder in {}: {error}; set TMPDIR to one that is writable",
                parent.display()
            ))
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to be told, and what stays lies in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_everything_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path()).unwrap();
        std::fs::create_dir_all(scratch.path().join("pods/a")).unwrap();
        std::os::unix::fs::symlink("/etc", scratch.path().join("pods/link")).unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(Path::new("/etc").exists(), "links are removed, not followed");
    }

    #[test]
    fn a_missing_parent_is_said_with_the_way_out() {
        let error = Scratch::new(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains("TMPDIR"), "{error}");
    }
}
