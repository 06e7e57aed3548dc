//! The agent's privilege level, found by trying what each level allows rather than by reading the
//! configuration.

use tokenwatch_core::world::privileges::{Level, Privileges};

use crate::proc::{self, Capabilities, ProcFs, Process};
use crate::sources::kubelets::is_kubelet;
use crate::sources::readers::fanotify::{Access, Group, Openers, Refused};

const CANNOT_READ_ALL: &str = "CAP_DAC_READ_SEARCH: the agent cannot open directories and token \
                               files of other users; kubelet's belong to root";

/// The agent's privileges now. `fanotify` is what [`fanotify`] found before the agent gave up the
/// capability.
pub fn read(fanotify: &Access) -> Privileges {
    let can_read_all = proc::own_capabilities().is_ok_and(Capabilities::can_read_all_files);
    let lacking = (!can_read_all).then(|| CANNOT_READ_ALL.to_owned());
    let (has_fanotify, refused) = match fanotify {
        Access::Granted(_) => (true, None),
        Access::Refused(why) => (false, Some(refusal(*why))),
        Access::NotGranted => (false, None),
    };
    Privileges {
        rung: level(sees_processes(), has_fanotify),
        lacking: lacking.into_iter().chain(refused).collect(),
    }
}

/// The kernel's queue of events about who opens files, if the agent has the privileges of the level
/// `fanotify`. Must be called before it gives up CAP_SYS_ADMIN. Without the processes of the node
/// the events would name nobody.
pub fn fanotify() -> Access {
    let is_granted = proc::own_capabilities().is_ok_and(Capabilities::can_administrate);
    if !is_granted || !sees_processes() {
        return Access::NotGranted;
    }
    match Group::open() {
        Ok(group) => Access::Granted(Openers::new(group)),
        Err(refused) => Access::Refused(refused),
    }
}

fn refusal(why: Refused) -> String {
    format!(
        "fanotify: the agent has CAP_SYS_ADMIN, and the kernel refuses ({why}): it sees that a \
         token file is opened, and not by whom"
    )
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
    let runs_kubelet = |process: Process| process.name().is_some_and(|name| is_kubelet(&name));
    proc::is_in_initial_pid_namespace()
        || ProcFs::default().processes().is_ok_and(|mut all| all.any(runs_kubelet))
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
        assert_eq!(read(&Access::NotGranted).lacking.is_empty(), can_read_all);
    }

    #[test]
    fn a_refused_call_is_reported_with_what_follows() {
        let lacking = read(&Access::Refused(Refused::Forbidden)).lacking;
        assert!(lacking.iter().any(|text| text.contains("seccomp forbids fanotify_init")));
    }
}
