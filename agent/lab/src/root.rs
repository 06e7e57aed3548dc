//! A kubelet root directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::kubelet::{self, Volume};
use crate::scratch::Scratch;

/// A kubelet root directory, as /var/lib/kubelet is on a node.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// Removed with the root; nothing where the root lies in somebody else's directory.
    _scratch: Option<Scratch>,
}

impl Root {
    /// A root without pods at `path`. Directories that are missing are made.
    pub fn at(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path.join("pods")).map_err(Error::files(path))?;
        Ok(Self { path: path.to_owned(), _scratch: None })
    }

    /// A root without pods in a new temporary directory below `parent`: the directory itself, or
    /// `name` in it where that is not empty. Dropping the root removes it.
    pub fn temporary(parent: &Path, name: &str) -> Result<Self, Error> {
        let scratch = Scratch::new(parent)?;
        let root = Self::at(&scratch.path().join(name))?;
        Ok(Self { _scratch: Some(scratch), ..root })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The projected volume `name` of the pod `pod_uid`. Nothing is made yet.
    pub fn volume(&self, pod_uid: &str, name: &str) -> Volume {
        Volume::new(&self.path, pod_uid, name)
    }

    /// Removes a pod with all its volumes.
    pub fn remove_pod(&self, pod_uid: &str) -> Result<(), Error> {
        kubelet::remove_pod(&self.path, pod_uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenwatch_core::base::time::Wall;

    #[test]
    fn a_temporary_root_is_removed_with_its_pods() {
        let parent = tempfile::tempdir().unwrap();
        let root = Root::temporary(parent.path(), "kubelet").unwrap();
        let payload = kubelet::Payload::from([("token".into(), b"one".to_vec())]);
        root.volume("0d8b", "v").write(&payload, Wall::from_secs(0)).unwrap();
        assert!(root.path().ends_with("kubelet") && root.path().join("pods/0d8b").is_dir());
        drop(root);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_root_elsewhere_stays() {
        let parent = tempfile::tempdir().unwrap();
        drop(Root::at(parent.path()).unwrap());
        assert!(parent.path().join("pods").is_dir());
    }
}
