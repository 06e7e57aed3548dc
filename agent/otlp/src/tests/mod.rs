#![allow(clippy::unwrap_used)]

mod envelope;
mod logs;
pub(crate) mod sample;
mod spans;
