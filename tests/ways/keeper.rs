//! A program that opens a token and keeps the file, while kubelet replaces the token. It is a
//! process of its own: this one writes the volume, as kubelet does.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::node::{payload, token};
use crate::situations::{POD, Scene};

/// Time after the first scan in which the agent sets its watches, and in which it takes an event
/// for one of before the rotation.
const SETTLE: Duration = Duration::from_secs(3);
/// Opens the file, waits for a line, and reads what it has opened, twice a second.
const KEEP: &str =
    r#"exec 3<"$0"; read -r _; while :; do cat /proc/self/fd/3 >/dev/null; sleep 0.5; done"#;

/// The running program. Dropping it ends it.
pub(crate) struct Keeper(Child);

impl Keeper {
    /// Opens the token, lets kubelet replace it, and goes on reading the old one.
    pub(crate) fn start(scene: &Scene) -> Self {
        std::thread::sleep(SETTLE);
        let file = scene.node.volume(POD).directory().join("token");
        let mut command = Command::new("sh");
        let child = command.args(["-c", KEEP]).arg(file).stdin(Stdio::piped()).spawn().unwrap();
        let mut keeper = Self(child);
        std::thread::sleep(SETTLE);
        scene.node.pod(POD, &token(&payload(POD, 0, 3_607)));
        std::thread::sleep(SETTLE);
        keeper.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        keeper
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it runs until then
        let _ = self.0.wait();
    }
}
