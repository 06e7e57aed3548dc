//! The texts of findings: summaries, resolutions and remedies.

mod agent;
mod apiserver;
mod audience;
mod by_hand;
mod clock;
mod clock_answers;
mod clock_remedy;
mod controller;
mod copy;
mod copy_remedy;
mod held;
mod kept;
mod keys;
mod kubelet;
mod lifetime;
mod logged;
mod logged_remedy;
mod metrics;
mod missing;
mod mount_frozen;
mod names;
mod parts;
mod posture;
mod reader;
#[cfg(test)]
mod reader_tests;
mod rejecting;
mod remedy;
mod resolved;
#[cfg(test)]
mod resolved_tests;
mod shares;
mod stale_elsewhere;
mod subpath;
mod token;
mod unsynced;

pub(crate) use agent::{blind, delivery};
pub(crate) use apiserver::{BY_TOKENS, skew};
pub(crate) use clock::clock;
pub(crate) use controller::controller;
pub(crate) use copy::{GENERATION as COPY_GENERATION, copy};
pub(crate) use held::WITHOUT_EXTENSION;
pub(crate) use keys::{issuer, key};
pub(crate) use kubelet::kubelet;
pub(crate) use missing::{empty_volumes, missing};
pub(crate) use parts::GENERATION;
pub(crate) use posture::posture;
pub(crate) use rejecting::rejecting;
pub(crate) use resolved::is_unsynced;
pub use resolved::{Resolution, resolved};
pub(crate) use stale_elsewhere::stale_elsewhere;
pub(crate) use token::{ACCOUNT_STATE, token};
pub(crate) use unsynced::UNSYNCED_SINCE;
