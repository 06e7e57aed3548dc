//! What the API server itself answers about a token (TokenReview, authentication.k8s.io/v1). Only
//! commands ask, and only if a person wants it: the answer moves the API server's counters of stale
//! tokens and the last use of Secret-based ones, and the token itself is sent.
//!
//! - `request`: the request, in a buffer that is wiped, and what the response means;
//! - `volumes`: the tokens of volumes, one after the other;
//! - this file: the answer, and how it fits the verdict.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod request;
#[cfg(test)]
mod tests;
mod volumes;

use std::fmt;

use tokenwatch_core::world::tokens::Verdict;

use crate::kubernetes::Error;

pub(crate) use request::review;
pub(crate) use volumes::TokenFiles;

/// The answer of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Review {
    /// Whether it accepts the token.
    pub(crate) is_authenticated: bool,
    /// Why it does not, without a byte of the token.
    pub(crate) error: Option<String>,
    /// Those of the token's audiences for which it accepts the token.
    pub(crate) audiences: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoReview {
    /// No API server is configured: why.
    NoServer(String),
    /// The connection would not be encrypted.
    Insecure,
    /// The file has changed or gone since it was read.
    Changed,
    /// The API server was not reached, or refused the request.
    Failed(Error),
}

impl fmt::Display for NoReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer(why) => f.write_str(why),
            Self::Insecure => f.write_str(
                "the API server is configured without TLS, and a token is sent to no other \
                 machine unencrypted",
            ),
            Self::Changed => f.write_str("the file has changed since it was read"),
            Self::Failed(error) if request::is_denied(error) => {
                write!(f, "the API server denies it ({error}); {PERMISSION}")
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NoReview {}

const PERMISSION: &str = "it needs the permission to create tokenreviews, as in the ClusterRole \
                          system:auth-delegator";

impl NoReview {
    /// Whether the next token would have the same answer.
    fn is_lasting(&self) -> bool {
        match self {
            Self::NoServer(_) | Self::Insecure | Self::Failed(_) => true,
            Self::Changed => false,
        }
    }
}

/// How an answer and the agent's own verdict fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// They say the same.
    Agree,
    /// One of them accepts the token, and the other does not.
    Disagree,
    /// One of them does not know.
    NotKnown,
}

impl Agreement {
    /// For JSON.
    pub(crate) fn value(self) -> Option<bool> {
        match self {
            Self::Agree => Some(true),
            Self::Disagree => Some(false),
            Self::NotKnown => None,
        }
    }
}

/// Compares an answer with the verdict. `is_refused`: something else than the times shows that the
/// API server refuses the token.
pub(crate) fn agreement(review: &Review, verdict: Verdict, is_refused: bool) -> Agreement {
    let expected = match verdict {
        Verdict::Live => Some(!is_refused),
        Verdict::Dead => Some(false),
        Verdict::Uncertain => is_refused.then_some(false),
    };
    match expected.map(|expected| expected == review.is_authenticated) {
        Some(true) => Agreement::Agree,
        Some(false) => Agreement::Disagree,
        None => Agreement::NotKnown,
    }
}
