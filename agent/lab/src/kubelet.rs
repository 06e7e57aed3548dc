//! Projected volumes written as kubelet writes them (kubernetes pkg/volume/util/atomic_writer.go).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tokenwatch_core::base::time::Wall;

/// The link that readers follow; swapping it swaps every file of the volume at once.
const DATA: &str = "..data";
/// The link before it is renamed over [`DATA`].
const DATA_NEW: &str = "..data_tmp";
/// Mode of kubelet's timestamped directories.
const DIR_MODE: u32 = 0o755;
/// Default mode of a projected volume's files.
const FILE_MODE: u32 = 0o644;

/// The files of a volume: relative path and content.
pub type Payload = BTreeMap<PathBuf, Vec<u8>>;

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The same bytes were there already: nothing was touched.
    Unchanged,
    /// A new directory took over.
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

    /// Makes `payload` the content of the volume, all of it at once; `now` names the new directory.
    pub fn write(&self, payload: &Payload, now: Wall) -> io::Result<Written> {
        self.set_up()?;
        let old = self.current()?;
        if let Some(old) = &old
            && files_below(&self.directory.join(old))? == *payload
        {
            return Ok(Written::Unchanged);
        }
        let new = self.new_directory(now)?;
        self.take_over(&new, payload)?;
        self.link_user_visible(payload)?;
        self.prune_user_visible(payload)?;
        old.map_or(Ok(()), |old| fs::remove_dir_all(self.directory.join(old)))?;
        Ok(Written::Swapped)
    }

    /// kubelet keeps a mark outside the volume that says it is set up.
    fn set_up(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        self.ready.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&self.ready, b"")
    }

    fn current(&self) -> io::Result<Option<PathBuf>> {
        match fs::read_link(self.directory.join(DATA)) {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `..2006_01_02_15_04_05.<number>`: kubelet draws the number, here it counts the nanoseconds
    /// of `now` up until one is free.
    fn new_directory(&self, now: Wall) -> io::Result<PathBuf> {
        let stamp = now.rfc3339().replace(['-', 'T', ':'], "_").replace('Z', "");
        let first = now.as_nanos().rem_euclid(1_000_000_000);
        for number in first.. {
            let name = PathBuf::from(format!("..{stamp}.{number}"));
            match fs::create_dir(self.directory.join(&name)) {
                Ok(()) => {
                    return fs::set_permissions(
                        self.directory.join(&name),
                        fs::Permissions::from_mode(DIR_MODE),
                    )
                    .map(|()| name);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// A directory that does not come to be the current one is removed: the next write starts
    /// clean.
    fn take_over(&self, new: &Path, payload: &Payload) -> io::Result<()> {
        let written = write_files(&self.directory.join(new), payload)
            .and_then(|()| symlink(new, self.directory.join(DATA_NEW)))
            .and_then(|()| fs::rename(self.directory.join(DATA_NEW), self.directory.join(DATA)));
        if written.is_err() {
            let _ = fs::remove_dir_all(self.directory.join(new)); // the first error is the one to tell
        }
        written
    }

    fn link_user_visible(&self, payload: &Payload) -> io::Result<()> {
        for name in user_visible(payload) {
            match symlink(Path::new(DATA).join(name), self.directory.join(name)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn prune_user_visible(&self, payload: &Payload) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let stale = !name.as_encoded_bytes().starts_with(b"..")
                && !user_visible(payload).any(|kept| kept == Path::new(&name));
            if stale {
                fs::remove_file(self.directory.join(&name))?;
            }
        }
        Ok(())
    }
}

/// Where kubelet keeps a pod.
fn pod_directory(root: &Path, pod_uid: &str) -> PathBuf {
    root.join("pods").join(pod_uid)
}

/// Takes a pod off the node, with all its volumes.
pub fn remove_pod(root: &Path, pod_uid: &str) -> io::Result<()> {
    fs::remove_dir_all(pod_directory(root, pod_uid))
}

/// The first components of the paths: what is linked in the volume's own directory.
fn user_visible(payload: &Payload) -> impl Iterator<Item = &Path> {
    payload.keys().filter_map(|path| match path.components().next() {
        Some(Component::Normal(first)) => Some(Path::new(first)),
        _ => None,
    })
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

fn files_below(directory: &Path) -> io::Result<Payload> {
    let mut found = Payload::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in fs::read_dir(directory.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else {
                let content = fs::read(directory.join(&path))?;
                found.insert(path, content);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "kubelet_tests.rs"]
mod tests;
