//! Opens files below a directory without following anything out of it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

/// Links followed in one path. Kubelet's own layout has two (`token -> ..data/token`, and
/// `..data`); more are a loop or an attack.
const MAX_LINKS: usize = 8;

/// How symbolic links in a path are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Any link is an error, ELOOP.
    Refuse,
    /// Links are followed as long as they stay beneath the directory; else the error is EXDEV.
    Beneath,
}

/// Opens paths beneath a directory: with openat2 (Linux 5.6), or one component at a time where that
/// is missing or a seccomp profile forbids it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opener {
    without_openat2: bool,
}

impl Opener {
    /// Tries openat2 first.
    pub(super) fn new() -> Self {
        Self { without_openat2: false }
    }

    /// Never tries openat2.
    #[cfg(test)]
    pub(super) fn without_openat2() -> Self {
        Self { without_openat2: true }
    }

    /// Opens `path` beneath `dir`, read-only unless `flags` contain O_PATH. Never blocks, not even
    /// on a FIFO.
    pub(super) fn open(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        flags: OFlag,
        links: Links,
    ) -> nix::Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC | nonblocking(flags);
        if links == Links::Refuse && is_name(path) {
            return open_name(dir, path, flags);
        }
        let opened = self.try_openat2(dir, path, how(flags, links));
        opened.unwrap_or_else(|| open_by_components(dir, Walk::new(path, links)?, flags))
    }

    /// None where openat2 does not exist, or fails for a reason that need not be the file's: EPERM
    /// comes from seccomp profiles, EAGAIN from a rename that raced with a `..`.
    fn try_openat2(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        how: OpenHow,
    ) -> Option<nix::Result<OwnedFd>> {
        if self.without_openat2 {
            return None;
        }
        let opened = openat2(dir, path, how);
        self.without_openat2 = matches!(opened, Err(Errno::ENOSYS));
        let is_final = !matches!(opened, Err(Errno::ENOSYS | Errno::EPERM | Errno::EAGAIN));
        is_final.then_some(opened)
    }
}

/// A single name cannot lead elsewhere, and openat is cheaper than openat2.
///
/// A link that is opened as a directory is ENOTDIR for openat and ELOOP for openat2; this returns
/// ELOOP.
fn open_name(dir: BorrowedFd<'_>, name: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, name, flags | OFlag::O_NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::ENOTDIR if matches!(link_target(dir, name.as_os_str()), Ok(Some(_))) => Errno::ELOOP,
        errno => errno,
    })
}

/// One component and nothing else: not `..`, and no trailing slash, which would follow a link.
fn is_name(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let name = path.as_os_str().as_bytes();
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/')
}

/// Flags for never blocking. O_PATH allows no other flags than O_CLOEXEC, O_DIRECTORY and
/// O_NOFOLLOW (openat2 refuses them).
fn nonblocking(flags: OFlag) -> OFlag {
    if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK | OFlag::O_NOCTTY }
}

fn how(flags: OFlag, links: Links) -> OpenHow {
    let resolve = match links {
        Links::Refuse => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        Links::Beneath => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    };
    OpenHow::new().flags(flags).resolve(resolve)
}

/// Opens one component at a time, each with O_NOFOLLOW. Links are read and resolved the same way;
/// `..` and absolute links are errors.
fn open_by_components(dir: BorrowedFd<'_>, mut walk: Walk, flags: OFlag) -> nix::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    while let Some(name) = walk.left.pop() {
        let here = at.as_ref().map_or(dir, AsFd::as_fd);
        match link_target(here, &name)? {
            Some(target) => walk.follow(&target)?,
            None if walk.left.is_empty() => return last(here, &name, flags),
            None => at = Some(step(here, &name)?),
        }
    }
    Err(Errno::ENOENT)
}

fn step(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    openat(
        dir,
        name,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

fn last(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, name, flags | OFlag::O_NOFOLLOW, Mode::empty())
}

/// A path on the way to its end.
struct Walk {
    /// The components that are left, the next one last.
    left: Vec<OsString>,
    /// How many more links may be followed.
    links: usize,
}

impl Walk {
    fn new(path: &Path, links: Links) -> nix::Result<Self> {
        let mut left = Vec::new();
        push_components(&mut left, path)?;
        let links = match links {
            Links::Refuse => 0,
            Links::Beneath => MAX_LINKS,
        };
        Ok(Self { left, links })
    }

    fn follow(&mut self, target: &OsStr) -> nix::Result<()> {
        self.links = self.links.checked_sub(1).ok_or(Errno::ELOOP)?;
        push_components(&mut self.left, Path::new(target))
    }
}

/// Pushes the components so that the first is popped first.
fn push_components(todo: &mut Vec<OsString>, path: &Path) -> nix::Result<()> {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => todo.push(name.to_owned()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Errno::EXDEV);
            }
        }
    }
    Ok(())
}

fn link_target(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<Option<OsString>> {
    match readlinkat(dir, name) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, write};
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir(at("vol")).unwrap();
        create_dir(at("vol/..2026")).unwrap();
        write(at("vol/..2026/token"), "t").unwrap();
        write(at("secret"), "s").unwrap();
        for (link, target) in [
            ("..data", "..2026"),
            ("token", "..data/token"),
            ("up", "../secret"),
            ("hidden-up", "..2026/../../secret"),
            ("loop", "loop"),
            ("magic", "/proc/self/cwd"),
        ] {
            symlink(target, at("vol").join(link)).unwrap();
        }
        symlink(at("secret"), at("vol/absolute")).unwrap();
        dir
    }

    #[test]
    fn links_are_followed_within_the_directory_and_never_out_of_it() {
        let tree = tree();
        let vol = std::fs::File::open(tree.path().join("vol")).unwrap();
        for mut opener in [Opener::new(), Opener::without_openat2()] {
            let mut open = |path: &str, links| {
                opener.open(vol.as_fd(), Path::new(path), OFlag::O_RDONLY, links).map(drop)
            };
            for path in ["token", "..data/token", "..2026/token", "./token"] {
                assert_eq!(open(path, Links::Beneath), Ok(()), "{path}");
            }
            for path in ["up", "hidden-up", "absolute", "../secret", "/etc/passwd"] {
                assert_eq!(open(path, Links::Beneath), Err(Errno::EXDEV), "{path}");
            }
            assert!(matches!(
                open("magic/secret", Links::Beneath),
                Err(Errno::EXDEV | Errno::ELOOP)
            ));
            assert_eq!(open("loop", Links::Beneath), Err(Errno::ELOOP));
            assert_eq!(open("missing", Links::Beneath), Err(Errno::ENOENT));
            assert_eq!(open("token", Links::Refuse), Err(Errno::ELOOP));
            assert_eq!(open("..2026/token", Links::Refuse), Ok(()));
            for path in
                ["..", "../secret", "/etc/passwd", "..data/", "..data/token", "hidden-up", "magic"]
            {
                assert!(
                    matches!(open(path, Links::Refuse), Err(Errno::EXDEV | Errno::ELOOP)),
                    "{path}"
                );
            }
            let mut place = |path: &str| {
                opener
                    .open(
                        vol.as_fd(),
                        Path::new(path),
                        OFlag::O_PATH | OFlag::O_DIRECTORY,
                        Links::Refuse,
                    )
                    .map(drop)
            };
            assert_eq!(place("..2026"), Ok(()));
            assert!(matches!(place("..data"), Err(Errno::ELOOP)));
        }
    }
}
