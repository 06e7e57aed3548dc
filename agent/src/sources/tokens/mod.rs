//! Token files: opened without leaving their volume ([`open`]), read into one buffer that is wiped,
//! and decoded ([`read`]).

mod open;
mod read;

pub use read::{At, Look, Other, Reader, Stamp};
