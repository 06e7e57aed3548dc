//! What all scans share.

use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use tokenwatch_core::base::time::Reading;

use super::VolumeOutcome;
use super::opened::is_own_limit;
use super::room::Room;
use super::stamps::{ClockEras, Moment};
use crate::sources::expected::{Expected, ExpectedTokens};
use crate::sources::tokens::Reader;

/// Made once, so that a scan without changes allocates nothing.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) reader: Reader,
    /// Buffer for paths.
    pub(super) path: PathBuf,
    eras: ClockEras,
    now: fn() -> Reading,
    /// The last error that was due to a limit of the agent itself.
    pub(super) own_limit: Option<Errno>,
    pub(super) room: Room,
    /// Where a token should be, and as it was at the last refresh.
    shared: ExpectedTokens,
    pub(super) expected: Arc<Expected>,
}

impl Tools {
    pub(super) fn new(now: fn() -> Reading) -> Self {
        Self {
            reader: Reader::new(),
            path: PathBuf::new(),
            eras: ClockEras::default(),
            now,
            own_limit: None,
            room: Room::default(),
            shared: ExpectedTokens::default(),
            expected: Arc::default(),
        }
    }

    pub(super) fn moment(&mut self) -> Moment {
        self.eras.moment((self.now)())
    }

    /// Expects tokens there from now on.
    pub(super) fn expect(&mut self, tokens: ExpectedTokens) {
        self.shared = tokens;
        self.refresh_expected();
    }

    /// Takes what is expected by now.
    pub(super) fn refresh_expected(&mut self) {
        self.expected = self.shared.current();
    }

    /// Keeps an error that is due to a limit of the agent itself. Returns the outcome.
    pub(super) fn noted(&mut self, outcome: VolumeOutcome) -> VolumeOutcome {
        if let VolumeOutcome::Unreadable(errno) = outcome
            && is_own_limit(errno)
        {
            self.own_limit = Some(errno);
        }
        outcome
    }
}
