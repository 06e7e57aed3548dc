//! Token files: opened without leaving their volume ([`open`]), read into one buffer that is wiped,
//! and decoded ([`read`]). A file that a person names is opened by the same rules ([`named`]).

pub mod named;
mod open;
mod read;

pub use read::{At, Look, Other, Reader, Stamp};
