//! Token files: opened without leaving their volume ([`open`]), read into one buffer that is wiped,
//! and decoded ([`read`]). A file that a person names is opened by the same rules ([`named`]).
//! Tokens in other text are found by their form ([`found`]).

mod bytes;
pub(crate) mod found;
pub mod named;
mod open;
pub(crate) mod place;
mod read;

pub(crate) use bytes::TokenBytes;
pub use read::{At, Checked, Look, Other, Reader, Stamp, Unread};
