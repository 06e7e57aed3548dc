//! The lines of mountinfo (proc_pid_mountinfo(5)):
//!
//! ```text
//! 1761 1277 0:54 /..2026_11_28/token /run/token ro,relatime shared:1 - tmpfs tmpfs rw,size=64k
//! ```

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Index of the field of device numbers.
const DEVICE: usize = 2;
/// Ends the optional fields.
const SEPARATOR: &[u8] = b"-";

/// Number of a device, `st_dev` of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    major: u32,
    minor: u32,
}

impl Device {
    /// By its two parts.
    pub fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl FromStr for Device {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once(':').ok_or(())?;
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// A mount, as the process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The file system's device.
    pub device: Device,
    /// The directory or file of the file system that is mounted, with `//deleted` at the end once
    /// it is deleted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// Whether the mount is read-only.
    pub is_read_only: bool,
    /// Whether the file system is a tmpfs.
    pub is_tmpfs: bool,
}

/// The mount of a line; none for a line of another form.
pub(super) fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = std::str::from_utf8(fields.nth(DEVICE)?).ok()?.parse().ok()?;
    let (root, point, options) = (fields.next()?, fields.next()?, fields.next()?);
    fields.find(|field| *field == SEPARATOR)?;
    Some(Mount {
        device,
        root: path(root),
        point: path(point),
        is_read_only: options.split(|byte| *byte == b',').any(|option| option == b"ro"),
        is_tmpfs: fields.next()? == b"tmpfs",
    })
}

/// The path in a field.
pub(super) fn path(field: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(&unescaped(field))).to_owned()
}

/// The kernel writes blank, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match escaped(byte, after) {
            Some(escaped) => (plain.push(escaped), rest = &after[3..]).1,
            None => (plain.push(byte), rest = after).1,
        }
    }
    plain
}

fn escaped(byte: u8, after: &[u8]) -> Option<u8> {
    let digits = after.get(..3).filter(|_| byte == b'\\')?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mount() {
        let line = b"1761 1277 0:54 /..2026_11_28/token//deleted /run/a\\040b ro,relatime \
                     shared:1 master:2 - tmpfs tmpfs rw,size=64k";
        let expected = Mount {
            device: Device::new(0, 54),
            root: "/..2026_11_28/token//deleted".into(),
            point: "/run/a b".into(),
            is_read_only: true,
            is_tmpfs: true,
        };
        assert_eq!(mount(line), Some(expected));
        let bare = mount(b"1 2 254:16 / / rw - ext4 /dev/vda rw").unwrap();
        assert_eq!((bare.device, bare.is_read_only), (Device::new(254, 16), false));
        assert!(!bare.is_tmpfs);
    }

    #[test]
    fn a_line_of_another_form_is_none() {
        let lines = [
            "",
            "1",
            "nonsense",
            "1 2 0:54 / /a",
            "1 2 0:54 / /a rw",
            "1 2 0:54 / /a rw -",
            "1 2 054 / /a rw - tmpfs tmpfs rw",
            "1 2 x:54 / /a rw - tmpfs tmpfs rw",
            "1 2 0:99999999999 / /a rw - tmpfs tmpfs rw",
            "1 2 0:54 / /a rw tmpfs tmpfs rw",
        ];
        for line in lines {
            assert_eq!(mount(line.as_bytes()), None, "{line}");
        }
    }
}
