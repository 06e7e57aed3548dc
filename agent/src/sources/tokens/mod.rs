//! Token files: opened safely, read into one buffer that is wiped, decoded.

pub(crate) mod beneath;
mod reader;

pub use reader::{At, Look, Other, Reader, Stamp};
