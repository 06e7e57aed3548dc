//! A kubelet root in a temporary folder. Whatever an input has, nothing is written or removed
//! elsewhere: a link is followed only from `..data` to a directory beside it.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::line::{Line, WHOLE, is_name};
use super::readable::current;
use crate::fuzzed::{Folder, made_token};
use crate::sources::volumes::layout::{self, DATA, PROJECTED, SECRETS};

/// The link before it is renamed over `..data`.
const DATA_NEW: &str = "..data_tmp";
/// The `jti` of a token that is outside of every volume, at `../../../../../../outside/token` from
/// the top of each.
pub(super) const OUTSIDE: &str = "nobody-may-read-this-token";

/// The tree. It is removed with its files.
#[derive(Debug)]
pub(super) struct Tree {
    folder: Folder,
    generations: u32,
}

impl Tree {
    /// Without a pod; none where there is no room.
    pub(super) fn new() -> Option<Self> {
        let folder = Folder::new()?;
        let claims = format!(
            r#"{{"aud":["a"],"exp":1800003607,"iat":1800000000,"jti":"{OUTSIDE}",
                "kubernetes.io":{{"namespace":"shop"}},"sub":"system:serviceaccount:shop:cart"}}"#
        );
        folder.write("outside/token", made_token(claims.as_bytes()).as_bytes());
        let tree = Self { folder, generations: 0 };
        fs::create_dir_all(layout::pods(&tree.root())).ok().map(|()| tree)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Does what a line wants, if that is possible.
    pub(super) fn change(&mut self, line: &Line<'_>) {
        let _ = self.changed(line); // else the tree stays as it is
    }

    /// Removes every pod.
    pub(super) fn remove_pods(&self) {
        let pods = fs::read_dir(layout::pods(&self.root()));
        for pod in pods.into_iter().flatten().flatten() {
            let removed = fs::remove_dir_all(pod.path());
            assert!(removed.is_ok(), "{}: {removed:?}", pod.path().display());
        }
    }

    fn changed(&mut self, line: &Line<'_>) -> io::Result<()> {
        let pod = layout::pods(&self.root()).join(line.pod);
        if line.volume == WHOLE {
            return if line.action == b'r' { fs::remove_dir_all(pod) } else { Ok(()) };
        }
        let volume = volume(&pod, line.volume)?;
        let at = || place(&volume, line.path);
        match line.action {
            b'g' => self.generation(&volume, line),
            b'a' => add(&volume, line),
            b'w' => write(&at()?, &line.bytes()),
            b'l' => link(OsStr::from_bytes(line.content), &at()?),
            b'p' => Ok(mkfifo(&at()?, Mode::S_IRUSR)?),
            b'd' => fs::create_dir(at()?),
            b'm' => fs::rename(at()?, place(&volume, Path::new(OsStr::from_bytes(line.content)))?),
            b'r' => remove(&at()?),
            b'y' => ready(&pod, line.volume),
            _ => Ok(()),
        }
    }

    /// Makes a new generation with one file the current one, as kubelet does.
    fn generation(&mut self, volume: &Path, line: &Line<'_>) -> io::Result<()> {
        self.generations += 1;
        let (old, name) = (current(volume), format!("..{}", self.generations));
        let new = enter(volume, OsStr::new(&name))?;
        write(&place(&new, line.path)?, &line.bytes())?;
        link(OsStr::new(&name), &volume.join(DATA_NEW))?;
        fs::rename(volume.join(DATA_NEW), volume.join(DATA))?;
        show(volume, line.path)?;
        old.map_or(Ok(()), fs::remove_dir_all)
    }
}

/// Adds a file to the current generation.
fn add(volume: &Path, line: &Line<'_>) -> io::Result<()> {
    let generation = current(volume).ok_or(ErrorKind::NotFound)?;
    write(&place(&generation, line.path)?, &line.bytes())?;
    show(volume, line.path)
}

/// Links the first name of a path at the top of the volume.
fn show(volume: &Path, path: &Path) -> io::Result<()> {
    let first = path.iter().next().ok_or(ErrorKind::InvalidInput)?;
    match symlink(Path::new(DATA).join(first), volume.join(first)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The directory of a volume, which is made where it is missing.
fn volume(pod: &Path, name: &OsStr) -> io::Result<PathBuf> {
    let secret = name.as_bytes().strip_prefix(b"$").map(OsStr::from_bytes);
    let parent = pod.join(if secret.is_some() { SECRETS } else { PROJECTED });
    let name = secret.unwrap_or(name);
    fs::create_dir_all(&parent)?;
    if is_name(name) { enter(&parent, name) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// Kubelet's marker of a volume that it has mounted.
fn ready(pod: &Path, volume: &OsStr) -> io::Result<()> {
    let marker = layout::ready_marker(pod, volume);
    marker.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(marker, b"")
}

/// The place of `path` in a volume, whose directories are made.
fn place(volume: &Path, path: &Path) -> io::Result<PathBuf> {
    if path == Path::new(WHOLE) {
        return Ok(volume.to_owned());
    }
    let mut at = volume.to_owned();
    for part in path.parent().ok_or(ErrorKind::InvalidInput)?.components() {
        let Component::Normal(name) = part else { return Err(ErrorKind::InvalidInput.into()) };
        at =
            if name == DATA { current(&at).ok_or(ErrorKind::NotFound)? } else { enter(&at, name)? };
    }
    path.file_name().map(|name| at.join(name)).ok_or(ErrorKind::InvalidInput.into())
}

/// A directory in another one, which is made where it is missing. It is not entered by a link.
fn enter(at: &Path, name: &OsStr) -> io::Result<PathBuf> {
    let at = at.join(name);
    match fs::symlink_metadata(&at) {
        Ok(found) if found.is_dir() => Ok(at),
        Ok(_) => Err(ErrorKind::NotADirectory.into()),
        Err(_) => fs::create_dir(&at).map(|()| at),
    }
}

/// Writes a file, or changes one in its place. Nothing is written through a link or into a named
/// pipe.
fn write(at: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(at)?.write_all(bytes)
}

/// A link in the place of anything but a directory with files.
fn link(target: &OsStr, at: &Path) -> io::Result<()> {
    let _ = fs::remove_file(at).or_else(|_| fs::remove_dir(at)); // else there is no room for it
    symlink(target, at)
}

fn remove(at: &Path) -> io::Result<()> {
    if fs::symlink_metadata(at)?.is_dir() { fs::remove_dir_all(at) } else { fs::remove_file(at) }
}
