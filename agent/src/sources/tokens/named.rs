//! Opens a file that a person names, by the rules for token files: no link is followed by the
//! kernel, no device or named pipe is opened, and nothing blocks.
//!
//! From Kubernetes 1.36 on the links in a token volume belong to the pod's user, in a sticky
//! directory of root's. Where fs.protected_symlinks is 1, the kernel follows such a link for
//! nobody else, root included. So each link is read, and its target opened.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use crate::sys;

/// Links in one path, as in the kernel.
const MAX_LINKS: usize = 40;
/// A link that leads into the file system of a process.
const ROOT_OF_A_PROCESS: &str = "root";

/// Why a file is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// It is a directory.
    Directory,
    /// It is a named pipe, a device or a socket: its kind.
    Special(&'static str),
    /// It cannot be opened.
    Failed(Errno),
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("it is a directory: name a file in it"),
            Self::Special(kind) => write!(
                f,
                "it is a {kind}, which could block: write its content to standard input instead"
            ),
            Self::Failed(errno @ (Errno::EACCES | Errno::EPERM)) => write!(
                f,
                "{} ({errno:?}): reading the files of other users needs root or \
                 CAP_DAC_READ_SEARCH",
                errno.desc()
            ),
            Self::Failed(errno) => write!(f, "{} ({errno:?})", errno.desc()),
        }
    }
}

impl std::error::Error for NotOpened {}

impl From<Errno> for NotOpened {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// The descriptor that a path names, if this process was started with it: standard input, or the
/// pipe of a process substitution, `<(…)`. Reading it may wait for the process that writes.
pub fn inherited(path: &Path) -> Option<std::io::Result<File>> {
    let parts: Vec<&OsStr> = path.iter().collect();
    let parts: Vec<&str> = parts.iter().filter_map(|part| part.to_str()).collect();
    let number = match parts.as_slice() {
        ["/", "dev", "stdin"] => "0",
        ["/", "dev", "fd", number] | ["/", "proc", "self", "fd", number] => number,
        _ => return None,
    };
    number.parse().ok().map(|number| sys::copy_of_descriptor(number).map(File::from))
}

/// Opens a regular file.
pub fn open(path: &Path) -> Result<File, NotOpened> {
    let mut walk = Walk::new(path)?;
    loop {
        if let Some(file) = walk.step()? {
            return Ok(file);
        }
    }
}

/// A path on the way to its end.
struct Walk {
    /// Where absolute links start: at the root of the process whose file system the path is in.
    root: OwnedFd,
    at: OwnedFd,
    /// The components that are left, the next one last.
    left: Vec<OsString>,
    links: usize,
}

impl Walk {
    fn new(path: &Path) -> Result<Self, NotOpened> {
        let here = |name| openat(nix::fcntl::AT_FDCWD, name, DIRECTORY, Mode::empty());
        let mut walk = Self { root: here("/")?, at: here(".")?, left: Vec::new(), links: 0 };
        walk.push(path)?;
        Ok(walk)
    }

    /// Pushes the components so that the first is the next one.
    fn push(&mut self, path: &Path) -> nix::Result<()> {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push(name.to_owned()),
                Component::ParentDir => self.left.push("..".into()),
                Component::CurDir | Component::Prefix(_) => {}
                Component::RootDir => self.at = self.root.try_clone().map_err(|_| Errno::EMFILE)?,
            }
        }
        Ok(())
    }

    /// Takes one component; the file at the end.
    fn step(&mut self) -> Result<Option<File>, NotOpened> {
        let Some(name) = self.left.pop() else { return Err(NotOpened::Directory) };
        let stat = fstatat(&self.at, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match kind(stat.st_mode) {
            SFlag::S_IFLNK if self.is_in_procfs() => self.cross(&name),
            SFlag::S_IFLNK => self.follow(&name).map(|()| None),
            SFlag::S_IFDIR => self.enter(&name, OFlag::O_NOFOLLOW).map(|()| None),
            _ if !self.left.is_empty() => Err(Errno::ENOTDIR.into()),
            kind => self.open(&name, kind, OFlag::O_NOFOLLOW).map(Some),
        }
    }

    fn is_in_procfs(&self) -> bool {
        fstatfs(&self.at).is_ok_and(|stat| stat.filesystem_type() == PROC_SUPER_MAGIC)
    }

    /// A link of procfs leads where its text does not say. The kernel restricts none of them to
    /// their owner.
    fn cross(&mut self, name: &OsStr) -> Result<Option<File>, NotOpened> {
        let kind = kind(fstatat(&self.at, name, AtFlags::empty())?.st_mode);
        if kind != SFlag::S_IFDIR {
            return if self.left.is_empty() {
                self.open(name, kind, OFlag::empty()).map(Some)
            } else {
                Err(Errno::ENOTDIR.into())
            };
        }
        self.enter(name, OFlag::empty())?;
        if name == ROOT_OF_A_PROCESS {
            self.root = self.at.try_clone().map_err(|_| Errno::EMFILE)?;
        }
        Ok(None)
    }

    fn follow(&mut self, name: &OsStr) -> Result<(), NotOpened> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = readlinkat(&self.at, name)?;
        Ok(self.push(Path::new(&target))?)
    }

    fn enter(&mut self, name: &OsStr, flags: OFlag) -> Result<(), NotOpened> {
        self.at = openat(&self.at, name, DIRECTORY | flags, Mode::empty())?;
        Ok(())
    }

    fn open(&self, name: &OsStr, kind: SFlag, flags: OFlag) -> Result<File, NotOpened> {
        check(kind)?;
        let reading = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = openat(self.at.as_fd(), name, reading | flags, Mode::empty())?;
        check(self::kind(fstat(&file)?.st_mode))?; // it may have been replaced meanwhile
        Ok(File::from(file))
    }
}

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

fn kind(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())
}

fn check(kind: SFlag) -> Result<(), NotOpened> {
    match kind {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFDIR => Err(NotOpened::Directory),
        SFlag::S_IFIFO => Err(NotOpened::Special("named pipe")),
        SFlag::S_IFSOCK => Err(NotOpened::Special("socket")),
        _ => Err(NotOpened::Special("device")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, read_to_string, write};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// A volume as kubelet writes it, and other things.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir(at("vol")).unwrap();
        create_dir(at("vol/..2026")).unwrap();
        write(at("vol/..2026/token"), "t").unwrap();
        for (link, target) in [
            ("vol/..data", "..2026"),
            ("vol/token", "..data/token"),
            ("up", "vol/../vol/token"),
            ("loop", "loop"),
            ("dangling", "nowhere"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        symlink(at("vol/token"), at("absolute")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        drop(UnixListener::bind(at("socket")).unwrap());
        dir
    }

    #[test]
    fn links_are_followed_to_a_regular_file() {
        let tree = tree();
        for path in ["vol/..2026/token", "vol/..data/token", "vol/token", "up", "absolute", "./up"]
        {
            let mut file = open(&tree.path().join(path)).unwrap();
            assert_eq!(std::io::read_to_string(&mut file).unwrap(), "t", "{path}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let tree = tree();
        for (path, why) in [
            ("vol", NotOpened::Directory),
            ("vol/..data", NotOpened::Directory),
            (".", NotOpened::Directory),
            ("fifo", NotOpened::Special("named pipe")),
            ("socket", NotOpened::Special("socket")),
            ("loop", NotOpened::Failed(Errno::ELOOP)),
            ("dangling", NotOpened::Failed(Errno::ENOENT)),
            ("missing", NotOpened::Failed(Errno::ENOENT)),
            ("vol/token/x", NotOpened::Failed(Errno::ENOTDIR)),
            ("", NotOpened::Directory),
        ] {
            assert_eq!(open(&tree.path().join(path)).unwrap_err(), why, "{path}");
        }
        for device in ["/dev/null", "/dev/zero", "/dev/full"] {
            assert_eq!(open(Path::new(device)).unwrap_err(), NotOpened::Special("device"));
        }
        assert_eq!(open(Path::new("/")).unwrap_err(), NotOpened::Directory);
    }

    #[test]
    fn the_file_system_of_a_process_is_entered_through_procfs() {
        let tree = tree();
        let within = tree.path().strip_prefix("/").unwrap();
        for root in ["self/root", "self/cwd/../../../../../../../../../.."] {
            let path = Path::new("/proc").join(root).join(within).join("absolute");
            assert!(open(&path).is_ok(), "{}", path.display());
        }
        assert!(read_to_string(tree.path().join("absolute")).is_ok());
        assert!(open(Path::new("/proc/self/status")).is_ok());
    }

    #[test]
    fn descriptors_that_were_inherited_are_recognised() {
        for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            assert!(inherited(Path::new(path)).unwrap().is_ok(), "{path}");
        }
        assert!(inherited(Path::new("/dev/fd/987654")).unwrap().is_err());
        assert!(inherited(Path::new("/dev/fd/x")).is_none());
        assert!(inherited(Path::new("dev/fd/0")).is_none());
    }
}
