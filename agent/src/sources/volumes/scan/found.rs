//! What a look at a file means where a token is expected, or is not.

use nix::errno::Errno;
use tokenwatch_core::world::observation::FileContent;
use tokenwatch_core::world::tokens::{LegacyClaims, ParsedToken};

use super::opened::is_own_limit;
use crate::sources::tokens::{Checked, Look, Other, Stamp};

/// What a look at a file means.
#[allow(clippy::large_enum_variant)] // lives on the stack; a box would be an allocation per file
pub(super) enum Found<'a> {
    Token(Stamp, ParsedToken<'a>, Option<Checked>),
    /// Something that never was a bound token.
    Other(Stamp, Other),
    /// To be reported.
    Bad(FileContent),
    /// It cannot be read, and may be anything.
    Hidden(&'static str, Errno),
    /// Not a file, and never was a token.
    Nothing,
}

/// Whether a file can only be a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It held one before.
    Was,
    /// It is in the place of a token, or something broken in it was taken for one.
    Is,
    /// It may be anything.
    No,
}

/// What a look at a file means where a token is expected, or is not. An error: the file does not
/// exist any more, or the agent reached one of its own resource limits.
pub(super) fn found(look: Look<'_>, expected: Expected) -> nix::Result<Found<'_>> {
    match (look, expected) {
        (Look::Token(stamp, token, checked), _) => Ok(Found::Token(stamp, token, checked)),
        (Look::Malformed(malformed), _) => Ok(malformed_because(&malformed.to_string())),
        (Look::Other(stamp, other), expected) => {
            let why = not_token(&other, expected);
            Ok(why.map_or(Found::Other(stamp, other), malformed_because))
        }
        (Look::Refused(_), Expected::No) => Ok(Found::Nothing),
        (Look::Refused(_), Expected::Was | Expected::Is) => Ok(Found::Bad(not_a_file(expected))),
        (Look::Unreadable(_, errno), _) if is_own_limit(errno) => Err(errno),
        (Look::Unreadable(step, errno), _) => Ok(Found::Hidden(step, errno)),
        (Look::Vanished, _) => Err(Errno::ENOENT),
    }
}

/// What is in the place of a token is no file, or one out of the volume.
pub(super) fn not_a_file(expected: Expected) -> FileContent {
    let reason = if expected == Expected::Was { NO_LONGER_REGULAR } else { NOT_REGULAR };
    FileContent::Malformed { reason: reason.to_owned() }
}

pub(super) fn legacy(other: Other) -> Option<Box<LegacyClaims>> {
    match other {
        Other::Legacy(claims) => Some(claims),
        Other::Empty | Other::Foreign => None,
    }
}

pub(super) fn malformed_because(reason: &str) -> Found<'static> {
    Found::Bad(FileContent::Malformed { reason: reason.to_owned() })
}

pub(super) const ASTRAY: &str = "a container finds something else by its path: the entry of the \
                                 volume does not lead to the file in ..data";
const NO_LONGER_REGULAR: &str = "it is no longer a regular file within its volume";
const NOT_REGULAR: &str = "it is not a regular file within its volume";

/// Why content that is no bound token is wrong; none if it is not. A Secret-based token works.
fn not_token(other: &Other, expected: Expected) -> Option<&'static str> {
    match (other, expected) {
        (_, Expected::No) | (Other::Legacy(_), Expected::Is) => None,
        (Other::Empty, _) => Some("the file is empty"),
        (Other::Legacy(_), Expected::Was) => {
            Some("it holds a Secret-based token, and held a bound token before")
        }
        (Other::Foreign, Expected::Was) => {
            Some("it holds something other than a token, and held one before, sound or broken")
        }
        (Other::Foreign, Expected::Is) => Some("it holds something other than a token"),
    }
}
