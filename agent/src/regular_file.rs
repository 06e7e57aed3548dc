//! Opens files by their path, where somebody may have put something else at that path: a named
//! pipe, whose open waits for the other end; a device, which may never end; a socket, a directory
//! or a link. Each is refused, and nothing here waits for another process.
//!
//! - `reads`: for async code, which must not wait for a disk either.

mod reads;

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::sys::stat::makedev;

pub use reads::{NoAnswer, Reads, reading};

const DEVICE: &str = "device";
const NULL: &str = "/dev/null";

/// Whether the last component of a path may be a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Kubelet makes each file of a mounted ConfigMap or Secret a link.
    Follow,
    /// Nothing but the agent puts files there, and it makes no links.
    Refuse,
}

/// What is at the path instead of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRegular(&'static str);

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind) = self;
        let advice = if *kind == DEVICE { "name" } else { "remove it, or name" };
        write!(f, "it is a {kind}, and no regular file; {advice} another path")
    }
}

impl std::error::Error for NotRegular {}

impl From<NotRegular> for io::Error {
    fn from(why: NotRegular) -> Self {
        Self::new(ErrorKind::InvalidInput, why)
    }
}

/// Opens a file for reading. /dev/null is a usual name for an empty one.
pub fn open(path: &Path, links: Links) -> io::Result<File> {
    reading(path.display());
    if seen(path, links).is_ok_and(|found| is_null(&found)) {
        return File::open(NULL);
    }
    opened(path, links, OpenOptions::new().read(true))
}

/// Whether it is the kernel's null device, by the numbers that Linux gives it (devices.txt).
fn is_null(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == makedev(1, 3)
}

/// Opens an empty file for writing, for its owner alone: a new one, or the one that is there. A
/// link is never followed.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Not O_TRUNC: what is opened may prove to be another kind of file.
    let file = opened(path, Links::Refuse, options.write(true).create(true).mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

/// Fails unless this is a regular file that can be read: for a library that opens by path.
pub fn check(path: &Path) -> io::Result<()> {
    open(path, Links::Follow).map(drop)
}

/// Looks before it opens, because the open of a device can have effects, and again afterwards,
/// because the path may lead elsewhere by then. The flags make an open in between harmless.
fn opened(path: &Path, links: Links, options: &mut OpenOptions) -> io::Result<File> {
    match seen(path, links) {
        Ok(found) => regular(&found)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {} // it may be created
        Err(error) => return Err(error),
    }
    let no_link = match links {
        Links::Follow => 0,
        Links::Refuse => libc::O_NOFOLLOW,
    };
    // O_CLOEXEC is the default of the standard library.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | no_link;
    let file = options.custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

fn seen(path: &Path, links: Links) -> io::Result<Metadata> {
    match links {
        Links::Follow => path.metadata(),
        Links::Refuse => path.symlink_metadata(),
    }
}

fn regular(found: &Metadata) -> Result<(), NotRegular> {
    kind(found.file_type()).map_or(Ok(()), |kind| Err(NotRegular(kind)))
}

/// The kind of what is no regular file.
fn kind(found: FileType) -> Option<&'static str> {
    let kinds = [
        (found.is_dir(), "directory"),
        (found.is_symlink(), "symbolic link"),
        (found.is_fifo(), "named pipe"),
        (found.is_socket(), "socket"),
        (!found.is_file(), DEVICE),
    ];
    kinds.into_iter().find(|(is_it, _)| *is_it).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A folder with one of each kind, and one link to each.
    fn kinds() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        std::fs::write(of("file"), "content").unwrap();
        std::fs::create_dir(of("directory")).unwrap();
        nix::unistd::mkfifo(&of("named pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        drop(UnixListener::bind(of("socket")).unwrap());
        symlink("/dev/zero", of("device")).unwrap();
        for kind in ["file", "directory", "named pipe", "socket"] {
            symlink(kind, of(&format!("to {kind}"))).unwrap();
        }
        folder
    }

    fn refusal(opened: io::Result<File>) -> String {
        opened.unwrap_err().to_string()
    }

    #[test]
    fn what_could_block_is_refused_by_its_kind() {
        let folder = kinds();
        let of = |name: &str| folder.path().join(name);
        for kind in ["directory", "named pipe", "socket"] {
            let expected = format!("it is a {kind}, and no regular file");
            let link = of(&format!("to {kind}"));
            for opened in [
                open(&of(kind), Links::Refuse),
                open(&of(kind), Links::Follow),
                open(&link, Links::Follow),
                create(&of(kind)),
            ] {
                assert!(refusal(opened).starts_with(&expected), "{kind}");
            }
            assert!(refusal(create(&link)).starts_with("it is a symbolic link"), "{kind}");
        }
        assert!(refusal(open(&of("device"), Links::Follow)).starts_with("it is a device"));
        assert!(refusal(create(Path::new(NULL))).starts_with("it is a device"));
    }

    #[test]
    fn the_null_device_is_an_empty_file() {
        let mut text = String::new();
        open(Path::new(NULL), Links::Follow).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
        let other = refusal(open(Path::new("/dev/zero"), Links::Follow));
        assert_eq!(other, "it is a device, and no regular file; name another path");
    }

    #[tokio::test]
    async fn a_file_whose_disk_hangs_is_named() {
        let (file, reads) = (tempfile::NamedTempFile::new().unwrap(), Reads::default());
        let path = file.path().to_owned();
        let _release = reads.hang(move || check(&path).unwrap()).await;
        let error = reads.run(|| ()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} has not answered", file.path().display())));
    }

    /// The flags alone must do, if the path leads elsewhere after the first look.
    #[test]
    fn a_pipe_that_appears_after_the_look_blocks_nobody() {
        let folder = kinds();
        let pipe = folder.path().join("named pipe");
        let reading = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
        assert_eq!(regular(&reading.unwrap().metadata().unwrap()), Err(NotRegular("named pipe")));
        let writing = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
        assert_eq!(writing.unwrap_err().raw_os_error(), Some(libc::ENXIO));
    }

    #[test]
    fn a_file_is_read_and_replaced() {
        let folder = kinds();
        let of = |name: &str| folder.path().join(name);
        let mut text = String::new();
        open(&of("to file"), Links::Follow).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert!(refusal(open(&of("to file"), Links::Refuse)).contains("symbolic link"));
        create(&of("file")).unwrap().write_all(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(of("file")).unwrap(), "new");
        create(&of("other")).unwrap();
        let mode = of("other").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let missing = open(&of("missing"), Links::Refuse).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(check(&of("file")).is_ok() && check(&of("named pipe")).is_err());
    }
}
