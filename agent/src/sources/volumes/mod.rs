//! Projected volumes below kubelet roots, and the token files in them.
//!
//! - `layout`: what kubelet keeps where, and what a changed path means;
//! - `scan`: reads roots, pods and volumes, and reports what changed since the last scan;
//! - `watch`: decides when to scan what: everything each minute, and what an event names at once.
//!
//! Files are the truth; an event only makes a scan happen sooner, and may be lost.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod layout;
mod scan;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use tokenwatch_core::world::observation::Observation;

use crate::clocks;
use crate::sources::expected::ExpectedTokens;
use crate::sources::signatures::SharedKeys;
use scan::absences::AbsentFile;
use scan::held_back::{HOLD_BACK, HeldBack};
use scan::{absences, blind_spots, secrets};

pub use layout::PodId;
pub use scan::{Scanner, Summary, VolumeOutcome};
pub use watch::{FilesConfig, run};

/// How long an empty volume must stay empty for `check`. Kubelet mounts a volume and writes it
/// within milliseconds.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// Scans these roots once, for `check`: every token, and what is missing or hidden. Blocks; for ten
/// seconds if a volume looks hidden, because a volume that kubelet is setting up looks the same.
/// Roots that cannot be read are in the summary.
///
/// The scanner can check the signatures later, once the keys are known ([`check_again`]).
pub fn check(roots: Vec<PathBuf>) -> (Vec<Observation>, Summary, Scanner) {
    let (mut scanner, mut out) = (Scanner::new(roots), Vec::new());
    let mut summary = scanner.scan(&mut out);
    let mut hidden = HeldBack::default();
    hidden.update(clocks::now().monotonic, blind_spots::volumes(&scanner));
    let absent = absences::all(&scanner);
    if let Some(wait) = wait(hidden.due().is_some(), !absent.is_empty()) {
        std::thread::sleep(wait);
        summary = scanner.scan(&mut out);
        let spots = hidden.update(clocks::now().monotonic, blind_spots::volumes(&scanner));
        out.extend(spots.map(Observation::Blind));
        let still_absent = absences::all(&scanner);
        out.extend(
            absent.iter().filter(|one| still_absent.contains(one)).map(AbsentFile::observed),
        );
    }
    let bare = scanner.pods_without_tokens();
    out.extend((!bare.is_empty()).then_some(Observation::WithoutTokens(bare)));
    let legacy = secrets::legacy(&scanner);
    out.extend((!legacy.is_empty()).then_some(Observation::Legacy(legacy)));
    (out, summary, scanner)
}

/// Scans again with these keys, against which the signature of every token is checked, and where
/// tokens are expected: what is reported about them. Blocks.
pub fn check_again(
    mut scanner: Scanner,
    keys: SharedKeys,
    expected: ExpectedTokens,
) -> Vec<Observation> {
    let mut out = Vec::new();
    scanner.check_signatures(keys);
    scanner.expect(expected);
    let _ = scanner.scan(&mut out); // what cannot be read was reported
    out
}

fn wait(is_hidden: bool, is_empty: bool) -> Option<Duration> {
    let for_empty = is_empty.then_some(EMPTY_FOR);
    if is_hidden { Some(HOLD_BACK.to_std()) } else { for_empty }
}
