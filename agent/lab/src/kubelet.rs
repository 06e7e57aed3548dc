//! Projected volumes, written as kubelet writes them (kubernetes
//! pkg/volume/util/atomic_writer.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tokenwatch_core::base::time::Wall;

use crate::Error;

/// The link that readers follow. Replacing it replaces every file of the volume at once.
const DATA: &str = "..data";
/// The link before it is renamed over [`DATA`].
const DATA_NEW: &str = "..data_tmp";
/// Mode of kubelet's timestamped directories.
const DIR_MODE: u32 = 0o755;
/// Default mode of a projected volume's files.
const FILE_MODE: u32 = 0o644;

/// The files of a volume: relative path and content.
pub type Payload = BTreeMap<PathBuf, Vec<u8>>;

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The volume held the same bytes already: nothing was touched.
    Unchanged,
    /// A new directory became the current one.
    Swapped,
}

/// One projected volume of one pod.
#[derive(Clone, Debug)]
pub struct Volume {
    directory: PathBuf,
    ready: PathBuf,
}

impl Volume {
    /// The volume `name` of the pod `pod_uid` under a kubelet's root directory. Nothing is made
    /// yet.
    pub fn new(root: &Path, pod_uid: &str, name: &str) -> Self {
        let pod = pod_directory(root, pod_uid);
        Self {
            directory: pod.join("volumes/kubernetes.io~projected").join(name),
            ready: pod
                .join("plugins/kubernetes.io~empty-dir")
                .join(format!("wrapped_{name}"))
                .join("ready"),
        }
    }

    /// The directory that the pod mounts.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes `payload` the content of the volume, all of it at once. `now` names the new directory.
    pub fn write(&self, payload: &Payload, now: Wall) -> Result<Written, Error> {
        match self.stage(payload, now)? {
            None => Ok(Written::Unchanged),
            Some(staged) => {
                staged.swap()?;
                staged.finish().map(|()| Written::Swapped)
            }
        }
    }

    /// Does everything that precedes the moment of a write; nothing if the volume holds `payload`
    /// already.
    pub fn stage(&self, payload: &Payload, now: Wall) -> Result<Option<Staged>, Error> {
        self.staged(payload, now).map_err(Error::files(&self.directory))
    }

    fn staged(&self, payload: &Payload, now: Wall) -> io::Result<Option<Staged>> {
        self.set_up()?;
        let old = self.current()?;
        if self.holds(old.as_deref(), payload)? {
            return Ok(None);
        }
        let staged = Staged {
            directory: self.directory.clone(),
            visible: user_visible(payload),
            old,
            new: self.new_directory(now)?,
        };
        staged.or_discarded(staged.prepare(payload)).map(|()| Some(staged))
    }

    /// kubelet marks a volume that is set up with a file outside the volume.
    fn set_up(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        self.ready.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&self.ready, b"")
    }

    /// Whether the current generation has these files and no others. kubelet walks over its
    /// directory first, and then reads one file after the other up to the first that differs.
    fn holds(&self, current: Option<&Path>, payload: &Payload) -> io::Result<bool> {
        let Some(current) = current else { return Ok(false) };
        let directory = self.directory.join(current);
        let are_as_many = files_below(&directory)?.iter().eq(payload.keys());
        for (path, content) in payload {
            if !holds_bytes(&directory.join(path), content)? {
                return Ok(false);
            }
        }
        Ok(are_as_many)
    }

    /// Walks over the whole volume, as kubelet does each minute for its statistics (fs.DiskUsage in
    /// pkg/volume/util/fs).
    pub fn measure(&self) -> Result<u64, Error> {
        let mut size = 0;
        let walked = walk(&self.directory, &mut |_, entry| {
            size += entry.metadata()?.len();
            Ok(())
        });
        walked.map(|()| size).map_err(Error::files(&self.directory))
    }

    fn current(&self) -> io::Result<Option<PathBuf>> {
        match fs::read_link(self.directory.join(DATA)) {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `..2006_01_02_15_04_05.<number>`. kubelet draws the number; here it is the nanoseconds of
    /// `now`, or the next number that is free.
    fn new_directory(&self, now: Wall) -> io::Result<PathBuf> {
        let stamp = now.rfc3339().replace(['-', 'T', ':'], "_").replace('Z', "");
        let first = now.as_nanos().rem_euclid(1_000_000_000);
        for number in first.. {
            let name = PathBuf::from(format!("..{stamp}.{number}"));
            match new_directory_at(&self.directory.join(&name)) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// A new generation of a volume, complete but not current yet.
#[derive(Debug)]
pub struct Staged {
    directory: PathBuf,
    /// What is linked in the volume's own directory.
    visible: BTreeSet<PathBuf>,
    old: Option<PathBuf>,
    new: PathBuf,
}

impl Staged {
    /// Makes the new generation the current one: a single rename.
    pub fn swap(&self) -> Result<(), Error> {
        let renamed = fs::rename(self.path(DATA_NEW), self.path(DATA));
        self.or_discarded(renamed).map_err(Error::files(&self.directory))
    }

    /// After the swap: links the files, and removes links that are stale and the old generation.
    pub fn finish(&self) -> Result<(), Error> {
        self.tidied().map_err(Error::files(&self.directory))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    fn prepare(&self, payload: &Payload) -> io::Result<()> {
        write_files(&self.path(&self.new), payload)?;
        symlink(&self.new, self.path(DATA_NEW))
    }

    /// Removes a new directory that cannot become the current one: the next write starts clean.
    fn or_discarded(&self, result: io::Result<()>) -> io::Result<()> {
        result.inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(self.path(&self.new));
        })
    }

    fn tidied(&self) -> io::Result<()> {
        self.link_user_visible()?;
        self.prune_user_visible()?;
        self.old.as_ref().map_or(Ok(()), |old| fs::remove_dir_all(self.path(old)))
    }

    fn link_user_visible(&self) -> io::Result<()> {
        for name in &self.visible {
            match symlink(Path::new(DATA).join(name), self.path(name)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn prune_user_visible(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let stale = !name.as_encoded_bytes().starts_with(b"..")
                && !self.visible.contains(Path::new(&name));
            if stale {
                fs::remove_file(self.path(&name))?;
            }
        }
        Ok(())
    }
}

/// Where kubelet keeps a pod.
fn pod_directory(root: &Path, pod_uid: &str) -> PathBuf {
    root.join("pods").join(pod_uid)
}

/// Removes a pod from the node, with all its volumes.
pub fn remove_pod(root: &Path, pod_uid: &str) -> Result<(), Error> {
    let directory = pod_directory(root, pod_uid);
    fs::remove_dir_all(&directory).map_err(Error::files(&directory))
}

fn new_directory_at(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE))
}

/// The first components of the paths: kubelet links these in the volume's own directory.
fn user_visible(payload: &Payload) -> BTreeSet<PathBuf> {
    let first = |path: &PathBuf| match path.components().next() {
        Some(Component::Normal(first)) => Some(PathBuf::from(first)),
        _ => None,
    };
    payload.keys().filter_map(first).collect()
}

fn write_files(directory: &Path, payload: &Payload) -> io::Result<()> {
    for (path, content) in payload {
        let file = directory.join(path);
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(FILE_MODE))?;
    }
    Ok(())
}

/// Whether a file has this content; false if there is none.
fn holds_bytes(path: &Path, content: &[u8]) -> io::Result<bool> {
    match fs::read(path) {
        Ok(found) => Ok(found == content),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files below a directory, sorted. None of them is opened.
fn files_below(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    walk(directory, &mut |path, entry| {
        if !entry.file_type()?.is_dir() {
            found.extend(path.strip_prefix(directory).map(Path::to_owned));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `take` for everything below a directory. Each directory is read to its end and closed
/// before those in it are opened, as Go's filepath.Walk does.
fn walk(
    directory: &Path,
    take: &mut impl FnMut(&Path, &fs::DirEntry) -> io::Result<()>,
) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        take(&path, &entry)?;
        if entry.file_type()?.is_dir() {
            walk(&path, take)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "kubelet_tests.rs"]
mod tests;
