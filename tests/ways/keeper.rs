//! A program that opens a token and keeps the file, while kubelet replaces the token.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::node::{payload, token};
use crate::situations::{POD, Scene};

/// Time after the first scan in which the agent sets its watches, and in which it takes an event
/// for one of before the rotation.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two reads.
const PAUSE: Duration = Duration::from_millis(500);

/// The running program. Dropping it ends it.
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Opens the token, lets kubelet replace it, and goes on reading the old one.
    pub(crate) fn start(scene: &Scene) -> Self {
        std::thread::sleep(SETTLE);
        let file = File::open(scene.node.volume(POD).directory().join("token")).unwrap();
        std::thread::sleep(SETTLE);
        scene.node.pod(POD, &token(&payload(POD, 0, 3_607)));
        std::thread::sleep(SETTLE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while !stopped.load(Ordering::Relaxed) {
                let _ = file.read_at(&mut bytes, 0).unwrap();
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, reading: Some(reading) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reading.take().map(JoinHandle::join);
    }
}
