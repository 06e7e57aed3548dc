//! Ways out: one file per way. Each takes actions, none ever blocks the engine.

pub mod console;
pub mod otlp;
