//! The logs of an API server on this node: its own log, and its audit log. The settings name them
//! (`apiserver.logs`, `apiserver.journal`), and only a control-plane node has any.
//!
//! - `follow`: how files are read, with the means of `sources/logs`;
//! - `journal`: how the journal of systemd is read, with those of `sources/journal`;
//! - `logged`: what one line shows, with the formats in `klog`, `json` and `reason`;
//! - `gather`: what a report has.
//!
//! An audit log of level RequestResponse has the tokens of TokenReview and TokenRequest. The JSON
//! parser skips what nobody asks for.

mod follow;
mod gather;
mod journal;
mod json;
mod klog;
mod logged;
#[cfg(test)]
mod places_tests;
mod reason;
#[cfg(test)]
mod tests;

pub use follow::run;
pub use journal::run as run_journal;
use tokenwatch_core::world::refusals::{Accepted, RefusalReason, Suspect};

/// What one line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Logged {
    /// A request was refused (server's log).
    Refused(RefusalReason),
    /// Who sent a request that was refused.
    Suspect(Suspect),
    /// A request was refused, and nothing shows who sent it (audit log).
    RefusedUnnamed,
    /// A request was accepted (audit log).
    Accepted(Accepted),
}
