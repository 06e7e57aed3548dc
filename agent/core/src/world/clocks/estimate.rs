//! The estimate of the clock's error at one moment, and the source that it is based on.

use serde::Serialize;

use super::types::ClockState;
use crate::base::time::{Delta, Interval, Wall};

/// Change of the clock's offset from which every token is diagnosed again. kubelet's own jitter is
/// ten times this.
const OFFSET_CHANGE: Delta = Delta::from_secs(1);

/// The estimate of the clock's error at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// True time minus the wall clock; zero where unknown.
    pub offset: Delta,
    /// Largest error of `offset`; the assumed bound where unknown.
    pub bound: Delta,
    /// Whether the bound is assumed, because no source confirms the clock.
    pub assumed: bool,
    /// Whether a single configured time server claims the offset. Alone it does not show whether
    /// the node or the server is wrong, so no finding about a token may be dropped because of it.
    pub alone: bool,
    /// The state of the clock.
    pub state: ClockState,
}

impl Estimate {
    /// The interval that contains true time when the wall clock reads `wall`. With one time server
    /// alone it spans both clocks, because either may be right.
    pub fn interval(&self, wall: Wall) -> Interval {
        let Interval { lo, hi } = Interval::new(wall, self.offset, self.bound);
        if self.alone {
            Interval { lo: lo.min(wall), hi: hi.max(wall) }
        } else {
            Interval { lo, hi }
        }
    }

    /// True time when the node's clock reads `node`, if the two are proven to differ.
    pub fn true_time(&self, node: Wall) -> Option<Wall> {
        self.claimed_time(node).filter(|_| !self.alone)
    }

    /// True time when the node's clock reads `node`, if the two differ according to any source,
    /// which may be one time server alone.
    pub fn claimed_time(&self, node: Wall) -> Option<Wall> {
        let differs = match self.state {
            ClockState::Off | ClockState::Drifting | ClockState::Stepped => {
                self.offset != Delta::ZERO
            }
            ClockState::Synchronised | ClockState::Disagreeing | ClockState::Unknown => false,
        };
        differs.then(|| node + self.offset)
    }

    /// The offset, if it is proven to be beyond `limit`.
    pub fn offset_beyond(&self, limit: Delta) -> Option<Delta> {
        (self.is_beyond(limit) && !self.alone).then_some(self.offset)
    }

    /// Whether the difference to an earlier estimate can change the diagnosis of a token.
    pub fn differs_from(&self, before: &Self) -> bool {
        let moved = (self.offset - before.offset).abs() >= OFFSET_CHANGE;
        let basis = |estimate: &Self| (estimate.state, estimate.assumed, estimate.alone);
        moved || basis(self) != basis(before)
    }

    /// Whether the whole interval of offsets is beyond `limit`. False for an assumed bound.
    pub fn is_beyond(&self, limit: Delta) -> bool {
        !self.assumed && self.offset.abs() - self.bound > limit
    }
}

/// The source that an estimate is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// Time servers that agree.
    Servers,
    /// Fewer time servers than half of those that are configured, and the kernel's report, which
    /// agrees with them.
    ServersAndKernel,
    /// The kernel's report, which a time daemon maintains.
    Kernel,
    /// None: the bound is assumed.
    Nothing,
}

impl TimeSource {
    /// The name in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::ServersAndKernel => "servers_and_kernel",
            Self::Kernel => "kernel",
            Self::Nothing => "nothing",
        }
    }
}
