//! Opening below a directory without ever leaving it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

/// kubelet's own layout has one link in a path (`..data`), `token -> ..data/token` two; more is a
/// loop or malice.
const MAX_LINKS: usize = 8;

/// What to do about symbolic links on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Any of them fails with ELOOP.
    Refuse,
    /// They are followed as long as they stay beneath the directory; EXDEV else.
    Beneath,
}

/// Opens paths beneath a directory: by openat2 (Linux 5.6), or by hand where it is missing or a
/// seccomp profile forbids it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opener {
    by_hand: bool,
}

impl Opener {
    /// Tries openat2 first.
    pub(crate) fn new() -> Self {
        Self { by_hand: false }
    }

    /// Never tries openat2.
    #[cfg(test)]
    pub(crate) fn by_hand() -> Self {
        Self { by_hand: true }
    }

    /// Opens `path` beneath `dir`, read-only unless `flags` say O_PATH. O_NONBLOCK: opening a FIFO
    /// returns at once.
    pub(crate) fn open(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        flags: OFlag,
        links: Links,
    ) -> nix::Result<OwnedFd> {
        let flags = flags | OFlag::O_CLOEXEC | quiet(flags);
        if links == Links::Refuse && is_name(path) {
            return open_name(dir, path, flags); // a single name leads nowhere else, and costs less this way
        }
        if !self.by_hand {
            match openat2(dir, path, how(flags, links)) {
                Err(Errno::ENOSYS) => self.by_hand = true,
                // EPERM is what a seccomp profile says where the kernel would not; EAGAIN, that a
                // rename elsewhere raced with a `..`. The file may be fine either
                // way, so ask again by hand.
                Err(Errno::EPERM | Errno::EAGAIN) => {}
                result => return result,
            }
        }
        open_by_hand(dir, path, flags, links)
    }
}

/// What is asked for as a directory and is a link is "no directory" to openat, and a link to
/// openat2: told as the latter.
fn open_name(dir: BorrowedFd<'_>, name: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, name, flags | OFlag::O_NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::ENOTDIR if matches!(link_target(dir, name.as_os_str()), Ok(Some(_))) => Errno::ELOOP,
        errno => errno,
    })
}

/// One component and nothing else: not `..`, and no slash at the end, which would have a link
/// followed.
fn is_name(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let name = path.as_os_str().as_bytes();
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/')
}

/// O_PATH takes no other flags than O_CLOEXEC, O_DIRECTORY and O_NOFOLLOW (openat2 refuses them).
fn quiet(flags: OFlag) -> OFlag {
    if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK | OFlag::O_NOCTTY }
}

fn how(flags: OFlag, links: Links) -> OpenHow {
    let resolve = match links {
        Links::Refuse => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        Links::Beneath => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    };
    OpenHow::new().flags(flags).resolve(resolve)
}

/// One component at a time, each with O_NOFOLLOW; links are read and walked the same way, `..` and
/// absolute ones refused.
fn open_by_hand(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    links: Links,
) -> nix::Result<OwnedFd> {
    let mut todo = Vec::new();
    push_components(&mut todo, path)?;
    let (mut at, mut followed): (Option<OwnedFd>, usize) = (None, 0);
    while let Some(name) = todo.pop() {
        let here = at.as_ref().map_or(dir, AsFd::as_fd);
        match link_target(here, &name)? {
            Some(_) if links == Links::Refuse || followed == MAX_LINKS => return Err(Errno::ELOOP),
            Some(target) => {
                followed += 1;
                push_components(&mut todo, Path::new(&target))?;
            }
            None if todo.is_empty() => {
                return openat(here, name.as_os_str(), flags | OFlag::O_NOFOLLOW, Mode::empty());
            }
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
    fn links_are_followed_within_the_volume_and_never_out_of_it() {
        let tree = tree();
        let vol = std::fs::File::open(tree.path().join("vol")).unwrap();
        for mut opener in [Opener::new(), Opener::by_hand()] {
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
