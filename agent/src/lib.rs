//! tokenwatch, the agent: the world (sources, sinks), the wiring, and the commands.
//!
//! Data goes one way: `sources` observe, [`tokenwatch_core::engine`] decides, `sinks` ship.

pub mod apiserver;
pub mod app;
pub mod cli;
pub mod clocks;
pub mod config;
pub mod confinement;
pub mod demo;
pub mod environment;
#[cfg(test)]
#[path = "../../tests/support/golden.rs"]
mod golden;
pub mod run;
pub mod sinks;
pub mod sources;
pub mod sys;
