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
    hidden: HeldBack<BlindSpot>,
    /// The volumes of which files are left out, that were last reported.
    crowded: Vec<BlindSpot>,
    absences: AbsenceTracker,
    /// The pods without tokens that were last reported.
    bare: Vec<String>,
    /// The Secret-based tokens that were last reported.
    legacy: Vec<LegacyToken>,
}

impl Unseen {
    /// Reports what changed since the last call.
    pub(super) fn update(&mut self, now: Monotonic, scanner: &Scanner, out: &mut Vec<Observation>) {
        let spots = blind_spots::all(scanner).into_iter();
        // That files are left out is certain at once: no volume in the making looks so.
        let (crowded, hidden) = spots.partition(|spot| spot.is_partly);
        let is_other = self.crowded != crowded;
        self.crowded = crowded;
        if self.hidden.update(now, hidden).is_some() || is_other {
            let mut spots = [self.hidden.reported(), &self.crowded].concat();
            spots.sort_unstable();
            out.push(Observation::Blind(spots));
        }
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
        !self.crowded.is_empty()
            || !self.hidden.reported().is_empty()
            || self.absences.has_reported()
    }

    /// When to look again; none if nothing is held back.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.hidden.due().into_iter().chain(self.absences.due()).min()
    }
}
