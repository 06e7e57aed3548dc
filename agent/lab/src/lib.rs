//! The laboratory: the surroundings of an agent, made in one process.
//!
//! Tests and `tokenwatch demo` use it; no other part of the product may. Each piece stands alone:
//! [`kubelet`] writes projected volumes as kubelet does, [`root`] holds them, [`client`] reads
//! them, [`signer`] signs tokens as an API server does, [`time_server`] answers NTP requests with
//! any time, [`receiver`] accepts OTLP and passes on what it holds as [`received`] values,
//! [`scratch`] owns a temporary directory.
//!
//! No piece reads a clock: whoever starts one supplies the time. The crate depends on the core for
//! its values, never on the agent.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // its tests read clocks

pub mod client;
mod error;
pub mod kubelet;
pub mod received;
pub mod receiver;
pub mod root;
pub mod scratch;
pub mod signer;
pub mod time_server;

pub use error::Error;
