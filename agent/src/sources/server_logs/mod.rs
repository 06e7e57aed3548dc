//! The logs of an API server on this node: its own log, and its audit log. The settings name them
//! (`apiserver.logs`, `apiserver.journal`), and only a control-plane node has any.
//!
//! - `follow`: how files are read, with the means of `sources/logs`;
//! - `journal`: how the journal of systemd is read, with those of `sources/journal`;
//! - `logged`: what one line shows, with the formats in `klog`, `json`, `audit` and `reason`;
//! - `issued`: tokens that kubelets requested;
//! - `gather`: what a report has, and `timed` of it what has a time.
//!
//! An audit log of level RequestResponse has the tokens of TokenReview and TokenRequest. The JSON
//! parser skips what nobody asks for.

mod audit;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod gather;
mod issued;
#[cfg(test)]
mod join_tests;
mod journal;
mod json;
mod klog;
mod logged;
#[cfg(test)]
mod places_tests;
mod reason;
#[cfg(test)]
mod tests;
mod timed;

use std::net::IpAddr;

pub use follow::run;
pub use journal::run as run_journal;
use tokenwatch_core::world::refusals::{
    Accepted, AuditedRefusal, IssuedToken, RefusalReason, Suspect,
};

use crate::sources::logs::time::LineTime;

/// What one line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Logged {
    /// A request was refused (server's log).
    Refused(RefusalReason, Option<LineTime>),
    /// Who sent a request that was refused (server's log).
    Named(Suspect),
    /// A request was refused (audit log).
    Audited(Audited),
    /// A request was accepted (audit log).
    Accepted(Accepted),
    /// A kubelet requested a token (audit log).
    Issued(IssuedToken, Accepted),
}

/// A refused request of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Audited {
    /// Where it came from.
    address: Option<IpAddr>,
    /// The same with its times, if it has some.
    timed: Option<AuditedRefusal>,
}
