//! A run of the engine as lines of JSON, and back: a header, then one entry per line.
//!
//! A recording holds everything that the engine was given, so that the same engine gives the same
//! findings again. It holds no byte of a token, because no observation does. [`Pseudonyms`]
//! replaces the names of the cluster.

mod entry;
mod lines;
mod player;
mod pseudonyms;

pub use entry::{Content, Entry, FORMAT, Header, VERSION};
pub use lines::{LONGEST_LINE, Line, Mistake, Reader, TooLong, Unreadable, written};
pub use player::{Player, Summary};
pub use pseudonyms::{Key, Pseudonyms};

#[cfg(test)]
mod error_text;
#[cfg(test)]
mod generators;
#[cfg(test)]
mod properties;
