//! What is: everything that the sources have observed, kept as plain state. No findings, no spans.

pub mod clocks;
pub mod cluster;
pub mod observation;
pub mod privileges;
pub mod tokens;
