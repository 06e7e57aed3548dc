//! Projected token files under kubelet roots: found, read safely, and watched. Files are the truth,
//! events only say "look sooner".

mod blind;
mod hints;
mod listing;
mod mounts;
mod scan;
mod settled;
mod volume;
mod watch;
mod watches;
mod worker;

use std::path::PathBuf;

use tokenwatch_core::world::observation::Observation;

pub use blind::BlindTracker;
pub use scan::{PodId, Scanner, Summary, VolumeLook};
pub use watch::{FilesConfig, run};

/// One pass over these roots, for `check`: everything there is, blind spots too. Blocks; for ten
/// seconds if a volume looks hidden, because one that kubelet is just setting up looks the same.
/// Roots that cannot be read are in the summary.
pub fn check(roots: Vec<PathBuf>) -> (Vec<Observation>, Summary) {
    let (mut scanner, mut out) = (Scanner::new(roots), Vec::new());
    let mut summary = scanner.scan(&mut out);
    let mut tracker = BlindTracker::default();
    tracker.update(crate::clocks::now().monotonic, blind::volumes(&scanner));
    if tracker.due().is_some() {
        std::thread::sleep(blind::SETTLE.to_std());
        summary = scanner.scan(&mut out);
        out.extend(
            tracker
                .update(crate::clocks::now().monotonic, blind::volumes(&scanner))
                .map(Observation::Blind),
        );
    }
    (out, summary)
}
