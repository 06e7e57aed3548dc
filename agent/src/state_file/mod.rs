//! The state file: the active findings, so that a restart neither loses nor repeats one.

mod read;
mod write;

pub use read::{Left, read};
pub use write::*;
