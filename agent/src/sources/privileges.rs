//! The agent's privilege level, found by trying what each level allows rather than by reading the
//! configuration.

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use tokenwatch_core::world::privileges::{Level, Privileges};

use crate::proc::{self, Capabilities, ProcFs, Process};

/// Names of the processes that run kubelet: kubelet itself, or the program that contains it in k3s,
/// RKE2 and MicroK8s.
const KUBELETS: [&str; 5] = ["kubelet", "kubelite", "k3s-server", "k3s-agent", "rke2"];

const CANNOT_READ_ALL: &str = "CAP_DAC_READ_SEARCH: the agent cannot open directories and token \
                               files of other users; kubelet's belong to root";

/// The agent's privileges now.
pub fn read() -> Privileges {
    let can_read_all = proc::own_capabilities().is_ok_and(Capabilities::can_read_all_files);
    let lacking = (!can_read_all).then(|| CANNOT_READ_ALL.to_owned());
    Privileges {
        rung: level(sees_processes(), has_fanotify()),
        lacking: lacking.into_iter().collect(),
    }
}

/// Each level includes the one below.
fn level(sees_processes: bool, has_fanotify: bool) -> Level {
    match (sees_processes, has_fanotify) {
        (true, true) => Level::Fanotify,
        (true, false) => Level::HostPid,
        (false, _) => Level::Files,
    }
}

/// Whether the agent is in the node's PID namespace: the initial one, or, where the node is itself
/// a container, the one of its kubelet.
fn sees_processes() -> bool {
    let is_kubelet =
        |process: Process| process.name().is_some_and(|name| KUBELETS.contains(&name.as_str()));
    proc::is_in_initial_pid_namespace()
        || ProcFs::default().processes().is_ok_and(|mut all| all.any(is_kubelet))
}

/// Only CAP_SYS_ADMIN may create a group whose events carry open files (fanotify_init(2)).
fn has_fanotify() -> bool {
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
    fn fanotify_without_processes_is_the_lowest_level() {
        let table = [
            (false, false, Level::Files),
            (false, true, Level::Files),
            (true, false, Level::HostPid),
            (true, true, Level::Fanotify),
        ];
        for (processes, fanotify, expected) in table {
            assert_eq!(level(processes, fanotify), expected);
        }
    }

    #[test]
    fn a_missing_capability_is_reported() {
        let can_read_all = proc::own_capabilities().unwrap().can_read_all_files();
        assert_eq!(read().lacking.is_empty(), can_read_all);
    }
}
