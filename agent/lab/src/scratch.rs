//! A temporary directory that its owner removes.

use std::path::{Path, PathBuf};

use crate::Error;

/// Owns a directory that only this user can enter. Dropping it removes the directory with all its
/// content.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory in `parent`, with a name that nothing else has.
    pub fn new(parent: &Path) -> Result<Self, Error> {
        let template = parent.join("tokenwatch-demo-XXXXXX");
        nix::unistd::mkdtemp(&template)
            .map(Self)
            .map_err(|why| Error::Scratch { parent: parent.to_owned(), why: why.into() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody can handle an error here; what remains is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_it_removes_its_content() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path()).unwrap();
        std::fs::create_dir_all(scratch.path().join("pods/a")).unwrap();
        std::os::unix::fs::symlink("/etc", scratch.path().join("pods/link")).unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(Path::new("/etc").exists(), "links are removed, not followed");
    }

    #[test]
    fn the_error_for_a_missing_parent_names_it_and_the_remedy() {
        let error = Scratch::new(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains("TMPDIR"), "{error}");
    }
}
