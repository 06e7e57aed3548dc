//! The demo as a new user runs it: off line, without settings, as an ordinary user, to its end.

#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The user `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

#[test]
fn everything_it_promises_arrives() {
    // A copy that the user `nobody` may run.
    let open =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let binary = open.path().join("tokenwatch");
    std::fs::copy(env!("CARGO_BIN_EXE_tokenwatch"), &binary).unwrap();
    let mut command = Command::new(binary);
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.arg("demo").env_clear().output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{shown}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(shown.contains("14 of 14 shown"), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours where there is no terminal");
}
