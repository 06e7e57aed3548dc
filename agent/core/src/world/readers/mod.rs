//! Who reads the tokens, and how.

pub mod libraries;
mod versions;
