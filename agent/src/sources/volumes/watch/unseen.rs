//! What the scans do not find: hidden volumes, missing tokens, pods without tokens.

use tokenwatch_core::base::time::Monotonic;
use tokenwatch_core::world::observation::{BlindSpot, Observation};
use tokenwatch_core::world::tokens::LegacyToken;

use crate::sources::volumes::scan::Scanner;
use crate::sources::volumes::scan::absences::AbsenceTracker;
use crate::sources::volumes::scan::held_back::HeldBack;
use crate::sources::volumes::scan::{blind_spots, secrets};

/// What was reported about it.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    blind_spots: HeldBack<BlindSpot>,
    absences: AbsenceTracker,
    /// The pods without tokens that were last reported.
    bare: Vec<String>,
    /// The Secret-based tokens that were last reported.
    legacy: Vec<LegacyToken>,
}

impl Unseen {
    /// Reports what changed since the last call.
    pub(super) fn update(&mut self, now: Monotonic, scanner: &Scanner, out: &mut Vec<Observation>) {
        let spots = self.blind_spots.update(now, blind_spots::all(scanner));
        out.extend(spots.map(Observation::Blind));
        self.absences.update(now, scanner, out);
    }

    /// Reports the pods without tokens, and the Secret-based tokens, after a rescan of everything,
    /// if they changed.
    pub(super) fn rescanned(&mut self, scanner: &Scanner, out: &mut Vec<Observation>) {
        let bare = scanner.pods_without_tokens();
        if bare != self.bare {
            self.bare.clone_from(&bare);
            out.push(Observation::WithoutTokens(bare));
        }
        let legacy = secrets::legacy(scanner);
        if legacy != self.legacy {
            self.legacy.clone_from(&legacy);
            out.push(Observation::Legacy(legacy));
        }
    }

    /// Whether anything is reported that may be resolved.
    pub(super) fn has_reported(&self) -> bool {
        !self.blind_spots.reported().is_empty() || self.absences.has_reported()
    }

    /// When to look again; none if nothing is held back.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.blind_spots.due().into_iter().chain(self.absences.due()).min()
    }
}
