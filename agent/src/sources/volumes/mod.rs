//! Projected volumes below kubelet roots, and the token files in them.
//!
//! - `layout`: what kubelet keeps where, and what a changed path means;
//! - `scan`: reads roots, pods and volumes, and reports what changed since the last scan;
//! - `watch`: decides when to scan what: everything each minute, and what an event names at once.
//!
//! Files are the truth; an event only makes a scan happen sooner, and may be lost.

mod layout;
mod scan;
mod watch;

use std::path::PathBuf;

use tokenwatch_core::world::observation::Observation;

use crate::clocks;
use scan::blind_spots::{self, BlindSpotTracker};

pub use layout::PodId;
pub use scan::{Scanner, Summary, VolumeOutcome};
pub use watch::{FilesConfig, run};

/// Scans these roots once, for `check`: every token, and every blind spot. Blocks; for ten seconds
/// if a volume looks hidden, because a volume that kubelet is setting up looks the same. Roots that
/// cannot be read are in the summary.
pub fn check(roots: Vec<PathBuf>) -> (Vec<Observation>, Summary) {
    let (mut scanner, mut out) = (Scanner::new(roots), Vec::new());
    let mut summary = scanner.scan(&mut out);
    let mut tracker = BlindSpotTracker::default();
    tracker.update(clocks::now().monotonic, blind_spots::volumes(&scanner));
    if tracker.due().is_some() {
        std::thread::sleep(blind_spots::HOLD_BACK.to_std());
        summary = scanner.scan(&mut out);
        let spots = tracker.update(clocks::now().monotonic, blind_spots::volumes(&scanner));
        out.extend(spots.map(Observation::Blind));
    }
    (out, summary)
}
