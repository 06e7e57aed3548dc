//! The unit of `deploy/systemd` under the real systemd, which boots on a copy of this machine's
//! files: `boot` makes the namespaces that it needs.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "../support/running.rs"]
mod running;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use node::{Node, payload, token};
use running::Running;

const SYSTEMD: &str = "/lib/systemd/systemd";
/// systemd boots in a second, and a debug build of the agent needs one more. A busy machine takes
/// many times that.
const PATIENCE: Duration = Duration::from_mins(1);

/// A machine of its own with the agent as its service.
struct Machine {
    /// Ends it, because its process 1 ends.
    unshare: Running,
    folder: tempfile::TempDir,
}

impl Machine {
    fn boot(kubelet: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/systemd/boot"));
        command.arg(folder.path()).arg(env!("CARGO_BIN_EXE_tokenwatch")).arg(kubelet);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self { unshare: Running::start(&mut command), folder }
    }

    /// systemd's process, as this machine numbers it.
    fn first(&self) -> Option<String> {
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let first = children.split_whitespace().next()?.to_owned();
        let name = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
        (name.trim() == "systemd").then_some(first)
    }

    /// What a command of that machine prints.
    fn shell(&self, line: &str) -> String {
        let Some(first) = self.first() else { return String::new() };
        let mut command = Command::new("nsenter");
        command.args(["--target", &first, "--mount", "--pid", "--ipc", "--uts", "--net"]);
        command.args(["--cgroup", "--root", "--wd", "sh", "-c", line]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// Waits until the command prints such a text.
    fn until(&self, line: &str, is_it: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let shown = self.shell(line);
            if is_it(&shown) {
                return shown;
            }
            let log = || self.shell("systemctl status tokenwatch; journalctl --no-pager");
            assert!(started.elapsed() < PATIENCE, "{line}: {shown}\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.unshare.kill(); // it may have ended by itself
        let _ = self.unshare.wait();
        let started = Instant::now();
        while !removed(self.folder.path()) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Removes the group of processes that `boot` made, with those of systemd in it, once they are
/// empty.
fn removed(folder: &Path) -> bool {
    let name = folder.file_name().unwrap().display();
    let script = format!(
        "cd {} && mount -t cgroup2 cgroup2 groups && [ ! -d groups/{name} ] || find groups/{name} \
         -depth -type d -exec rmdir {{}} +",
        folder.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn can_boot() -> bool {
    let can = nix::unistd::geteuid().is_root() && Path::new(SYSTEMD).exists();
    assert!(can || std::env::var_os("CI").is_none(), "this test needs root and systemd");
    if !can {
        eprintln!("SKIPPED: the unit under systemd, which needs root and {SYSTEMD}");
    }
    can
}

/// It starts, names an expired token, keeps its state, and stops on SIGTERM.
#[test]
fn the_unit_runs_under_systemd() {
    if !can_boot() {
        return;
    }
    let node = Node::new();
    node.pod("dead-0", &token(&payload("dead-0", 4_000, 3_600)));
    let machine = Machine::boot(node.root());
    machine.until("journalctl --no-pager --unit tokenwatch", |log| {
        log.contains("token.expired") && log.contains("dead-0")
    });
    machine.until("curl --silent http://127.0.0.1:9723/livez", |answer| answer.trim() == "ok");
    let shown = machine.shell("systemctl show tokenwatch --property=ActiveState,NRestarts");
    assert_eq!(shown, "NRestarts=0\nActiveState=active\n");
    machine.until("ls /var/lib/tokenwatch", |files| files.contains("findings.json"));
    machine.shell("systemctl stop tokenwatch");
    let shown =
        machine.shell("systemctl show tokenwatch --property=ActiveState,Result,ExecMainStatus");
    assert_eq!(shown, "Result=success\nExecMainStatus=0\nActiveState=inactive\n");
}
