//! Sources of observations, one folder per thing observed.
//!
//! A source runs until the engine drops the channel. It reports what it observed and whether it
//! works ([`health`]); what that means is decided in the core.

pub mod api_clock;
pub mod api_once;
pub mod controller_lease;
pub mod copies;
pub mod expected;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod health;
pub mod journal;
pub mod kernel;
pub mod keys;
pub mod kubelet_log;
pub mod kubelet_metrics;
mod kubelets;
mod left_out;
pub mod logs;
mod names;
pub mod ntp;
mod object_watch;
mod own_opens;
pub mod pod_addresses;
pub mod pods;
pub mod privileges;
pub mod readers;
mod send;
pub mod server_logs;
pub mod service_accounts;
pub mod signatures;
pub(crate) mod token_review;
pub mod token_volumes;
pub mod tokens;
pub mod volumes;
mod watch_error;
pub mod watchdog;
