//! How far up the privilege ladder the agent stands: found out by trying, not by what somebody
//! configured.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use procfs::process::{Process, all_processes};
use tokenwatch_core::world::privileges::{Level, Privileges};

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)): either opens directories and files
/// of any user for reading.
const READ_ANYTHING: u64 = 1 << 1 | 1 << 2;
/// The inode of the first PID namespace (PROC_PID_INIT_INO in the kernel's
/// include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// What the process is called that writes the token files: kubelet, or what it is part of in k3s,
/// RKE2 and MicroK8s.
const KUBELETS: [&str; 5] = ["kubelet", "kubelite", "k3s-server", "k3s-agent", "rke2"];

/// What the agent is allowed to do, now.
pub fn read() -> Privileges {
    let lacking = (!reads_anything()).then(|| {
        "CAP_DAC_READ_SEARCH: directories and token files that belong to others cannot be opened; \
         kubelet's belong to root"
            .to_owned()
    });
    Privileges {
        rung: level(sees_processes(), sees_who_opens()),
        lacking: lacking.into_iter().collect(),
    }
}

/// Each level includes the one before.
fn level(processes: bool, openers: bool) -> Level {
    match (processes, openers) {
        (true, true) => Level::Fanotify,
        (true, false) => Level::HostPid,
        (false, _) => Level::Files,
    }
}

fn reads_anything() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.capeff & READ_ANYTHING != 0)
}

/// The node's own PID namespace, or one in which its kubelet is: a node may be a container itself.
fn sees_processes() -> bool {
    let first = fs::metadata("/proc/self/ns/pid")
        .is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE);
    first
        || all_processes()
            .is_ok_and(|processes| processes.flatten().any(|process| is_kubelet(&process)))
}

fn is_kubelet(process: &Process) -> bool {
    process.stat().is_ok_and(|stat| KUBELETS.contains(&stat.comm.as_str()))
}

/// A group whose events carry open files is for CAP_SYS_ADMIN alone (fanotify_init(2)).
fn sees_who_opens() -> bool {
    Fanotify::init(
        InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC,
        EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC,
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openers_without_processes_give_the_lowest_level() {
        let table = [
            (false, false, Level::Files),
            (false, true, Level::Files),
            (true, false, Level::HostPid),
            (true, true, Level::Fanotify),
        ];
        for (processes, openers, expected) in table {
            assert_eq!(level(processes, openers), expected);
        }
    }

    #[test]
    fn what_is_lacking_is_what_the_kernel_says() {
        let lacks = !read().lacking.is_empty();
        let capabilities = Process::myself().unwrap().status().unwrap().capeff;
        assert_eq!(lacks, capabilities & READ_ANYTHING == 0);
    }
}
