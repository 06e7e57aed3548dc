//! What is true of service-account tokens and clocks, and what it means.
//!
//! Pure: no I/O, no async, no clock, no environment. Observations go in, actions come out; whatever
//! needs the time is given a reading.

pub mod base;
pub mod diagnosis;
pub mod engine;
pub mod findings;
pub mod ledger;
pub mod replay;
pub mod traces;
pub mod world;
