//! Opens files below a mount of the host's root directory. Links are followed as the host follows
//! them: absolute ones and `..` stay below the mount.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open as open_at_path, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

/// Links followed in one path, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;

/// Opens `path` of the host whose root directory is at `root`.
pub(crate) fn open(root: &Path, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let root = open_at_path(root, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let flags = flags | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(&root, path, OpenHow::new().flags(flags).resolve(resolve)) {
        // Linux before 5.6, or a seccomp profile that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(walk(root, path, flags)?),
        opened => Ok(opened?),
    }
}

/// One step of a path.
enum Step {
    Up,
    Into(OsString),
}

/// The same, one component at a time.
fn walk(root: OwnedFd, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let (mut here, mut rest, mut links) = (vec![root], steps(path), 0);
    while let Some(step) = rest.pop() {
        let Step::Into(name) = step else {
            here.truncate((here.len() - 1).max(1)); // the root is its own parent
            continue;
        };
        let directory = here.last().ok_or(Errno::ENOENT)?;
        match readlinkat(directory, name.as_os_str()).map(std::path::PathBuf::from) {
            Ok(_) if links == LINKS => return Err(Errno::ELOOP),
            Ok(target) => {
                links += 1;
                here.truncate(if target.is_absolute() { 1 } else { here.len() });
                rest.extend(steps(&target));
            }
            // Not a link.
            Err(Errno::EINVAL) if rest.is_empty() => {
                return openat(
                    directory,
                    name.as_os_str(),
                    flags | OFlag::O_NOFOLLOW,
                    Mode::empty(),
                );
            }
            Err(Errno::EINVAL) => here.push(enter(directory, &name)?),
            Err(error) => return Err(error),
        }
    }
    openat(here.last().ok_or(Errno::ENOENT)?, ".", flags, Mode::empty())
}

/// The steps of a path, the last one first.
fn steps(path: &Path) -> Vec<Step> {
    let step = |part| match part {
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Into(name.to_owned())),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(step).collect()
}

fn enter(directory: &OwnedFd, name: &OsString) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name.as_os_str(), flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn text(opened: OwnedFd) -> String {
        let mut text = String::new();
        File::from(opened).read_to_string(&mut text).unwrap();
        text
    }

    /// By the kernel's own resolution, and component by component.
    fn both(root: &Path, path: &str) -> [Result<String, Errno>; 2] {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let kernels = open(root, Path::new(path), flags).map(text);
        let top = open_at_path(root, OFlag::O_PATH, Mode::empty()).unwrap();
        let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap());
        [kernels.map_err(errno), walk(top, Path::new(path), flags).map(text)]
    }

    #[test]
    fn links_of_the_host_are_followed_below_its_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        let root = folder.path().join("host");
        fs::create_dir_all(root.join("etc/deep/er")).unwrap();
        fs::create_dir_all(root.join("store/a")).unwrap();
        fs::write(root.join("store/a/file"), "found").unwrap();
        let links = [
            ("/store/a/file", "etc/absolute"),
            ("../store/a/file", "etc/relative"),
            ("../../../../../../../store/a/file", "etc/deep/er/climbing"),
            ("/etc/second", "etc/first"),
            ("third", "etc/second"),
            ("/etc/deep/../../store/./a//file", "etc/third"),
            ("/store", "etc/directory"),
            ("loop", "etc/loop"),
            ("/etc/pong", "etc/ping"),
            ("ping", "etc/pong"),
            ("../secret", "up"),
            ("/nowhere", "etc/dangling"),
        ];
        for (target, link) in links {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(folder.path().join("secret"), root.join("etc/out")).unwrap();
        for path in [
            "/etc/absolute",
            "etc/relative",
            "/etc/deep/er/climbing",
            "/etc/first",
            "/etc/directory/a/file",
            "/etc/deep/../directory/a/../a/file",
            "/../../store/a/file",
        ] {
            assert_eq!(
                both(&root, path),
                [Ok("found".to_owned()), Ok("found".to_owned())],
                "{path}"
            );
        }
        for (path, why) in [
            ("/etc/loop", Errno::ELOOP),
            ("/etc/ping", Errno::ELOOP),
            ("/up", Errno::ENOENT),
            ("/../secret", Errno::ENOENT),
            ("/etc/out", Errno::ENOENT),
            ("/etc/dangling", Errno::ENOENT),
            ("/etc/absolute/file", Errno::ENOTDIR),
        ] {
            assert_eq!(both(&root, path), [Err(why), Err(why)], "{path}");
        }
    }

    #[test]
    fn a_chain_of_links_has_an_end() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("0"), "found").unwrap();
        for n in 1..=41 {
            symlink(format!("/{}", n - 1), root.path().join(n.to_string())).unwrap();
        }
        assert_eq!(both(root.path(), "40"), [Ok("found".to_owned()), Ok("found".to_owned())]);
        assert_eq!(both(root.path(), "41"), [Err(Errno::ELOOP), Err(Errno::ELOOP)]);
    }
}
