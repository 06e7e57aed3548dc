//! Tests that run alone, in a mount namespace of their own: what they mount is gone with them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// Set for a test that runs alone.
pub(crate) const ALONE: &str = "TEST_IS_ALONE";

/// Starts a child process in a mount namespace of its own. An ordinary user needs a user namespace,
/// too.
pub(crate) fn unshared(propagation: &str) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", propagation]);
    command
}

/// Runs this test again, alone. True within it. Its name may begin with that of the crate.
pub(crate) fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let may = unshared("private").arg("true").stderr(Stdio::null()).status();
    if !can_run(may.is_ok_and(|status| status.success()), "`unshare --mount`") {
        return false;
    }
    let again = unshared("private")
        .arg(std::env::current_exe().unwrap())
        .args([test.split_once("::").map_or(test, |(_, name)| name), "--exact", "--nocapture"])
        .env(ALONE, "1")
        .status();
    assert!(again.unwrap().success(), "{test}, alone");
    false
}

/// Whether a test has what it needs. In CI it has to run.
pub(crate) fn can_run(has_it: bool, needs: &str) -> bool {
    if !has_it {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this: it needs {needs}");
        eprintln!("SKIPPED: it needs {needs}");
    }
    has_it
}

/// Unmounts it as kubelet does, which tries again while a scan of the agent keeps it busy.
pub(crate) fn unmount(directory: &Path) {
    let started = Instant::now();
    while let Err(error) = umount2(directory, MntFlags::empty()) {
        let is_busy = error == Errno::EBUSY && started.elapsed() < Duration::from_secs(10);
        assert!(is_busy, "{}: {error}", directory.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}
