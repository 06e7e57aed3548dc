//! Names in a directory, read into one buffer without allocations.

use std::ffi::{CStr, OsStr, OsString};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use nix::dir::Type;
use nix::errno::Errno;
use nix::libc;

use crate::sources::tokens::Reader;
use crate::sys;

/// Bytes of a name that is taken (NAME_MAX). A pod's UID has 36 characters, a static pod's 32.
const MAX_NAME: usize = 255;

/// struct linux_dirent64 (include/linux/dirent.h): inode and offset, 8 bytes each, then the
/// record's length, the type and the name.
const LENGTH: std::ops::Range<usize> = 16..18;
const KIND: usize = 18;
const NAME: usize = 19;

/// Calls `take` with every name except `.` and `..`, and its type where the file system stores it,
/// until `take` breaks.
pub(super) fn for_each_name(
    directory: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut take: impl FnMut(&OsStr, Option<Type>) -> ControlFlow<()>,
) -> nix::Result<()> {
    loop {
        let filled = sys::getdents64(directory, buffer)?;
        let records = buffer.get(..filled).unwrap_or_default();
        if records.is_empty() || take_each(records, &mut take)?.is_break() {
            return Ok(());
        }
    }
}

pub(super) fn take_each(
    mut records: &[u8],
    take: &mut impl FnMut(&OsStr, Option<Type>) -> ControlFlow<()>,
) -> nix::Result<ControlFlow<()>> {
    while !records.is_empty() {
        let (name, kind, after) = first(records).ok_or(Errno::EIO)?;
        if name != "." && name != ".." && take(name, kind).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        records = after;
    }
    Ok(ControlFlow::Continue(()))
}

/// The names of the directories in a directory, sorted. Links are left out.
pub(super) fn subdirectories(
    directory: BorrowedFd<'_>,
    reader: &mut Reader,
) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for_each_name(directory, &mut reader.names, |name, kind| {
        if matches!(kind, Some(Type::Directory) | None) && name.len() <= MAX_NAME {
            names.push(name.to_owned());
        }
        ControlFlow::Continue(())
    })?;
    names.sort_unstable();
    Ok(names)
}

/// The first record, and the bytes after it; none if it is truncated, or if its name is not that of
/// something in the directory. Linux checks names since 5.4 (verify_dirent_name in fs/readdir.c).
fn first(records: &[u8]) -> Option<(&OsStr, Option<Type>, &[u8])> {
    let length = usize::from(u16::from_ne_bytes(records.get(LENGTH)?.try_into().ok()?));
    let name = CStr::from_bytes_until_nul(records.get(NAME..length)?).ok()?.to_bytes();
    let is_name = !name.is_empty() && !name.contains(&b'/');
    let name = is_name.then(|| OsStr::from_bytes(name))?;
    Some((name, kind(*records.get(KIND)?), records.get(length..)?))
}

fn kind(value: u8) -> Option<Type> {
    match value {
        libc::DT_REG => Some(Type::File),
        libc::DT_DIR => Some(Type::Directory),
        libc::DT_LNK => Some(Type::Symlink),
        libc::DT_FIFO => Some(Type::Fifo),
        libc::DT_SOCK => Some(Type::Socket),
        libc::DT_CHR => Some(Type::CharacterDevice),
        libc::DT_BLK => Some(Type::BlockDevice),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::fd::AsFd;

    #[test]
    fn every_name_is_read_once_whatever_the_size_of_the_buffer() {
        let dir = tempfile::tempdir().unwrap();
        let names: BTreeSet<String> =
            (0..300).map(|n| format!("{n}{}", "x".repeat(n % 200))).collect();
        for name in &names {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        for size in [280, 4_096, 65_536] {
            let opened = std::fs::File::open(dir.path()).unwrap();
            let mut read = Vec::new();
            for_each_name(opened.as_fd(), &mut vec![0; size], |name, _| {
                read.push(name.to_str().unwrap().to_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(
                (read.len(), read.into_iter().collect::<BTreeSet<_>>()),
                (300, names.clone()),
                "{size}"
            );
        }
    }

    #[test]
    fn a_truncated_record_is_none() {
        let mut record = [0; 24];
        record[LENGTH].copy_from_slice(&24_u16.to_ne_bytes());
        record[NAME] = b'a';
        assert!(first(&record).is_some_and(|(name, _, after)| name == "a" && after.is_empty()));
        for length in [0_u16, 10, 25, u16::MAX] {
            record[LENGTH].copy_from_slice(&length.to_ne_bytes());
            assert!(first(&record).is_none(), "{length}");
        }
        assert!(first(&record[..17]).is_none());
    }

    #[test]
    fn a_record_with_a_path_as_its_name_is_none() {
        let mut record = [0; 24];
        record[LENGTH].copy_from_slice(&24_u16.to_ne_bytes());
        for (name, expected) in [("", false), ("a/b", false), ("/", false), ("..", true)] {
            record[NAME..].fill(0);
            record[NAME..][..name.len()].copy_from_slice(name.as_bytes());
            assert_eq!(first(&record).is_some(), expected, "{name}");
        }
    }
}
