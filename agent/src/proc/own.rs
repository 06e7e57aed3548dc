//! What the kernel reports about this process itself.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use procfs::process::{Process, Stat};

use super::Error;

/// Bits of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)).
const READ_ALL_FILES: u64 = 1 << 1 | 1 << 2;
/// Bit of CAP_SYS_ADMIN.
const SYS_ADMIN: u64 = 1 << 21;
/// Inode of the initial PID namespace (PROC_PID_INIT_INO in the kernel's
/// include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Effective capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Whether files and directories of all users can be read.
    pub fn can_read_all_files(self) -> bool {
        self.0 & READ_ALL_FILES != 0
    }

    /// Whether it has CAP_SYS_ADMIN, in its own user namespace.
    pub fn can_administrate(self) -> bool {
        self.0 & SYS_ADMIN != 0
    }
}

/// Resources that a process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processor time in user mode, seconds.
    pub user_seconds: f64,
    /// Processor time in the kernel, seconds.
    pub system_seconds: f64,
    /// Resident set, bytes.
    pub resident_bytes: u64,
}

/// The effective capabilities of this process (proc_pid_status(5)).
pub fn own_capabilities() -> Result<Capabilities, Error> {
    let status = Process::myself().and_then(|process| process.status());
    let status = status.map_err(|error| Error::new("/proc/self/status", &error))?;
    Ok(Capabilities(status.capeff))
}

/// Whether this process ignores a signal, because whoever started it does. False if that cannot be
/// known.
pub fn ignores(signal: i32) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    let bit = u32::try_from(signal - 1).ok().and_then(|at| 1_u64.checked_shl(at));
    status.ok().zip(bit).is_some_and(|(status, bit)| status.sigign & bit != 0)
}

/// What this process has used so far (proc_pid_stat(5)).
pub fn own_usage() -> Result<Usage, Error> {
    let stat = Process::myself().and_then(|process| process.stat());
    stat.map(|stat| usage(&stat)).map_err(|error| Error::new("/proc/self/stat", &error))
}

fn usage(stat: &Stat) -> Usage {
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    Usage {
        user_seconds: seconds(stat.utime),
        system_seconds: seconds(stat.stime),
        resident_bytes: stat.rss * procfs::page_size(),
    }
}

/// Ticks of the clock in a second, in which the kernel counts the start of a process.
pub(super) fn ticks_per_second() -> u64 {
    procfs::ticks_per_second()
}

/// Whether this process is in the machine's initial PID namespace.
pub fn is_in_initial_pid_namespace() -> bool {
    fs::metadata("/proc/self/ns/pid")
        .is_ok_and(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE)
}

/// The path of an open file, as this mount namespace shows it (proc_pid_fd(5)).
pub fn descriptor_path(open: impl AsFd) -> Result<PathBuf, Error> {
    let link = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    fs::read_link(&link).map_err(|error| Error::new(link, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_of_two_capabilities_reads_all_files() {
        let table = [(0, false), (1 << 1, true), (1 << 2, true), (!0b110, false)];
        for (bits, expected) in table {
            assert_eq!(Capabilities(bits).can_read_all_files(), expected, "{bits:x}");
        }
    }

    /// The runtime of Rust programs ignores SIGPIPE.
    #[test]
    fn the_signals_that_are_ignored_are_known() {
        assert!(ignores(libc::SIGPIPE) && !ignores(libc::SIGTERM) && !ignores(0) && !ignores(99));
    }

    #[test]
    fn this_process_uses_memory_and_a_descriptor_has_a_path() {
        assert!(own_usage().unwrap().resident_bytes > 1 << 20);
        let folder = tempfile::tempdir().unwrap();
        let opened = fs::File::open(folder.path()).unwrap();
        assert_eq!(descriptor_path(&opened).unwrap(), folder.path().canonicalize().unwrap());
    }
}
