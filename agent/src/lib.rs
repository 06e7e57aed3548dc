//! tokenwatch, the agent: the world (sources, sinks), the wiring, and the commands.
//!
//! Data goes one way: `sources` observe, [`tokenwatch_core::engine`] decides, `sinks` ship.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests take times and make folders

pub mod agent;
pub mod cli;
pub mod clocks;
pub mod config;
pub mod confinement;
#[cfg(feature = "demo")]
pub mod demo;
pub mod discovery;
pub mod environment;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
#[cfg(test)]
#[path = "../../tests/support/golden.rs"]
mod golden;
pub mod kubernetes;
pub mod limits;
pub mod network;
pub mod proc;
pub mod reader_list;
pub mod recorder;
pub mod recurring;
pub mod regular_file;
pub mod setup;
pub mod sinks;
pub mod sources;
pub mod state_file;
pub mod streams;
pub mod sys;
