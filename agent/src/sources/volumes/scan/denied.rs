//! Why a file cannot be read: the step that failed, and what the agent lacks.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};

use crate::proc::{Capabilities, own_capabilities};

/// Bits of the mode that decide who may read a file.
const PERMISSIONS: u32 = 0o7777;

const LACKS: &str = "and the agent lacks CAP_DAC_READ_SEARCH";
const HAS: &str = "although the agent has CAP_DAC_READ_SEARCH: a security module (SELinux, \
                   AppArmor) or a user namespace denies it";

/// `open: Permission denied (EACCES)`
pub(super) fn failed_step(step: &str, errno: Errno) -> String {
    format!("{step}: {} ({errno:?})", errno.desc())
}

/// The step that failed. Where the file's mode is the reason, also the mode and the owner.
pub(super) fn reason(step: &str, errno: Errno, dir: BorrowedFd<'_>, path: &Path) -> String {
    let failed = failed_step(step, errno);
    if !matches!(errno, Errno::EACCES | Errno::EPERM) {
        return failed;
    }
    let has_capability = own_capabilities().is_ok_and(Capabilities::can_read_all_files);
    let found = fstatat(dir, path, AtFlags::AT_SYMLINK_NOFOLLOW);
    let owner = found.as_ref().map(owner).unwrap_or_default();
    format!("{failed}; {owner}{}", if has_capability { HAS } else { LACKS })
}

/// `the file has mode 0440 and belongs to user 1000 and group 1000, `
fn owner(found: &FileStat) -> String {
    format!(
        "the file has mode {:04o} and belongs to user {} and group {}, ",
        found.st_mode & PERMISSIONS,
        found.st_uid,
        found.st_gid
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_a_denied_file_has_its_mode_in_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
        let opened = std::fs::File::open(folder.path()).unwrap();
        let reason = |errno| reason("open", errno, opened.as_fd(), Path::new("token"));
        assert_eq!(reason(Errno::EIO), "open: I/O error (EIO)");
        let denied = reason(Errno::EACCES);
        assert!(
            denied.starts_with(
                "open: Permission denied (EACCES); the file has mode 0440 and belongs to user "
            ) && denied.contains("CAP_DAC_READ_SEARCH"),
            "{denied}"
        );
    }
}
