//! What is true of service-account tokens and clocks, and what it means.
//!
//! Pure: no I/O, no async, no clock, no environment. Observations go in, actions come out; whatever
//! needs the time is given a reading.

pub mod action;
pub mod clock;
pub mod cluster;
pub mod diagnosis;
pub mod engine;
pub mod findings;
pub mod ids;
pub mod ledger;
pub mod lifecycle;
pub mod observation;
pub mod privilege;
pub mod remembered;
pub mod schema;
pub mod text;
pub mod time;
pub mod token;
pub mod value;
