//! The file of a recording: always a new one.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;

/// A file that did not exist before, open for writing, for its owner alone to read.
#[derive(Debug)]
pub struct NewFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl NewFile {
    /// To write to.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// Why there is no new file.
#[derive(Debug)]
pub enum CreateError {
    /// There is a file of that name.
    Exists(PathBuf),
    /// There is something of that name, and it is no file: a link, a directory, a device, a pipe.
    Special(PathBuf),
    /// It could not be created.
    Failed(PathBuf, io::Error),
}

/// What failed, on what, and what to do.
impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(
                f,
                "{} exists, and a recording never replaces a file: name another file, or remove \
                 this one",
                named(path)
            ),
            Self::Special(path) => write!(
                f,
                "{} is no regular file, and a recording is written to a new one: name a file that \
                 does not exist",
                named(path)
            ),
            Self::Failed(path, why) => write!(
                f,
                "{} cannot be created ({why}): name a file in a directory that exists and that \
                 tokenwatch may write to",
                named(path)
            ),
        }
    }
}

impl std::error::Error for CreateError {}

/// The file for a recording at `path`: the path itself, or a new name in it if it is a directory.
/// An agent that a container restarts finds its earlier recording there, and must not end because
/// of it.
pub(super) fn in_directory(path: &Path, now: Wall) -> PathBuf {
    let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let name = || format!("tokenwatch-{}.jsonl", now.rfc3339().replace(':', ""));
    if is_directory { path.join(name()) } else { path.to_owned() }
}

/// Creates the file. What is there already is neither followed nor changed.
pub fn create(path: &Path) -> Result<NewFile, CreateError> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true) // O_EXCL: fails on everything that exists, links included
        .mode(0o600)
        .open(path);
    match opened {
        Ok(file) => Ok(NewFile { path: path.to_owned(), file }),
        Err(why) if why.kind() == ErrorKind::AlreadyExists => Err(existing(path)),
        Err(why) => Err(CreateError::Failed(path.to_owned(), why)),
    }
}

fn existing(path: &Path) -> CreateError {
    match path.symlink_metadata() {
        Ok(found) if !found.file_type().is_file() => CreateError::Special(path.to_owned()),
        Ok(_) | Err(_) => CreateError::Exists(path.to_owned()),
    }
}

/// A path as people may see it.
pub(super) fn named(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incident.jsonl");
        create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn in_a_directory_each_start_gets_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (Wall::from_secs(1_800_000_000), Wall::from_secs(1_800_000_001));
        let path = in_directory(folder.path(), first);
        assert_eq!(path, folder.path().join("tokenwatch-2027-01-15T080000Z.jsonl"));
        assert_ne!(path, in_directory(folder.path(), second));
        let file = folder.path().join("record.jsonl");
        assert_eq!(in_directory(&file, first), file);
    }

    #[test]
    fn what_exists_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        std::fs::write(of("file"), "kept").unwrap();
        std::os::unix::fs::symlink(of("nowhere"), of("link")).unwrap();
        nix::unistd::mkfifo(&of("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (name, says) in [
            ("file", "never replaces a file"),
            ("link", "is no regular file"),
            ("pipe", "is no regular file"),
            (".", "is no regular file"),
            ("no/such/directory", "cannot be created"),
        ] {
            let refused = create(&of(name)).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        assert_eq!(std::fs::read_to_string(of("file")).unwrap(), "kept");
        assert!(!of("nowhere").exists());
    }
}
