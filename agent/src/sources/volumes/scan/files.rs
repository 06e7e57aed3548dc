//! The files of a volume, in bounded number and depth.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::dir::Type;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};

use super::directory::for_each_name;
use crate::sources::tokens::{At, Reader};
use crate::sources::volumes::layout;

/// Components of a path. In practice a token's `path` has one or two; kubelet's own limit is the
/// length of a path.
const MAX_DEPTH: usize = 8;
/// Files of a volume. ConfigMaps projected beside a token have a few dozen keys; etcd's limit of
/// 1.5 MB allows more.
const MAX_FILES: usize = 1024;

/// What is in a volume.
#[derive(Debug)]
pub(super) struct Files {
    /// Regular files, and links to regular files within the volume.
    pub(super) paths: Vec<PathBuf>,
    /// Links that lead out of the volume.
    pub(super) outward_links: Vec<PathBuf>,
    /// What is neither a file nor a directory, and links that lead to no file.
    pub(super) odd: Vec<PathBuf>,
    /// Directories that are still to be listed.
    directories: Vec<PathBuf>,
    /// There are no subdirectories.
    pub(super) is_flat: bool,
    /// There is more than is listed here.
    pub(super) is_truncated: bool,
    /// There is nothing at all, not even what belongs to the AtomicWriter.
    pub(super) is_bare: bool,
}

/// Lists a directory of a volume and what is below it.
pub(super) fn list(at: At<'_>, reader: &mut Reader) -> nix::Result<Files> {
    let mut buffer = std::mem::take(&mut reader.names);
    let listed = list_into(at, reader, &mut buffer);
    reader.names = buffer;
    listed
}

fn list_into(at: At<'_>, reader: &mut Reader, buffer: &mut [u8]) -> nix::Result<Files> {
    let mut files = Files::none();
    files.list_top(at, reader, buffer)?;
    files.is_flat = files.directories.is_empty();
    while let Some(below) = files.directories.pop() {
        let opened = reader.directory(at.directory, &below)?;
        for_each_name(opened.as_fd(), buffer, |name, kind| {
            files.take(at, below.join(name), kind, reader)
        })?;
    }
    Ok(files)
}

impl Files {
    fn none() -> Self {
        Self {
            paths: Vec::new(),
            outward_links: Vec::new(),
            odd: Vec::new(),
            directories: Vec::new(),
            is_flat: true,
            is_truncated: false,
            is_bare: true,
        }
    }

    fn count(&self) -> usize {
        self.paths.len() + self.outward_links.len() + self.odd.len() + self.directories.len()
    }

    /// Takes the names of the directory itself.
    fn list_top(&mut self, at: At<'_>, reader: &mut Reader, buffer: &mut [u8]) -> nix::Result<()> {
        let is_volume = at.base == Path::new(".");
        for_each_name(at.directory, buffer, |name, kind| {
            self.is_bare = false;
            if is_volume && layout::is_internal(name) {
                return ControlFlow::Continue(());
            }
            self.take(at, PathBuf::from(name), kind, reader)
        })
    }

    /// Takes one file. Breaks when there are too many.
    fn take(
        &mut self,
        at: At<'_>,
        path: PathBuf,
        kind: Option<Type>,
        reader: &mut Reader,
    ) -> ControlFlow<()> {
        if self.count() >= MAX_FILES {
            self.is_truncated = true;
            return ControlFlow::Break(());
        }
        self.add(at, path, kind, reader);
        ControlFlow::Continue(())
    }

    fn add(&mut self, at: At<'_>, path: PathBuf, kind: Option<Type>, reader: &mut Reader) {
        match kind.or_else(|| type_of(at.directory, &path)) {
            Some(Type::File) => self.paths.push(path),
            Some(Type::Symlink) => self.add_link(at, path, reader),
            Some(Type::Directory) if path.components().count() <= MAX_DEPTH => {
                self.directories.push(path);
            }
            Some(Type::Directory) => self.is_truncated = true,
            _ => self.odd.push(path),
        }
    }

    fn add_link(&mut self, at: At<'_>, path: PathBuf, reader: &mut Reader) {
        let link = at.base.join(&path);
        if reader.leads_to_file(at.volume, &link) {
            self.paths.push(path);
        } else if reader.leads_out(at.volume, &link) {
            self.outward_links.push(path);
        } else {
            self.odd.push(path);
        }
    }
}

/// The type of a file, for file systems that do not store it in the directory.
fn type_of(directory: BorrowedFd<'_>, path: &Path) -> Option<Type> {
    let stat = fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Some(Type::File),
        SFlag::S_IFDIR => Some(Type::Directory),
        SFlag::S_IFLNK => Some(Type::Symlink),
        _ => None, // something odd
    }
}
