//! Which token somebody asks about, or why there is none.

use std::fmt;

use tokenwatch_core::base::text::{count_of, shown};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::tokens::{Claims, Foreign, LegacyClaims, Malformed};

use super::input::NotRead;
use super::{render, resemblance};
use crate::clocks;
use crate::sources::tokens::TokenBytes;
use crate::sources::tokens::found::{self, Found, FoundToken, Token};

/// A service-account token that was decoded.
#[derive(Debug)]
pub(super) enum Known {
    Bound(Box<Claims>),
    Legacy(LegacyClaims),
}

/// Why there is no token to explain. Never contains a byte of the input.
#[derive(Debug)]
pub(super) enum ExplainError {
    /// Nothing was read.
    Read(NotRead),
    /// It looks like a token, and does not parse.
    Malformed(Malformed),
    /// Several tokens, at these places.
    Several(Vec<String>),
    /// A JWT of another issuer.
    Foreign(Foreign, Wall),
    /// It is something else, and looks like this.
    Other(&'static str),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(why) => why.fmt(f),
            Self::Malformed(reason) => {
                write!(f, "not a token: it starts like one, but {reason}; pass the whole token")
            }
            Self::Several(places) => write!(
                f,
                "{}, and one at a time can be explained: pass only one of\n  {}",
                count_of(places.len(), "token"),
                places.join("\n  ")
            ),
            Self::Foreign(foreign, now) => render::foreign(f, foreign, *now),
            Self::Other(resemblance) => write!(f, "not a service-account token: {resemblance}"),
        }
    }
}

/// The one token of Kubernetes in the input.
#[derive(Debug)]
pub(super) struct Identified {
    pub(super) token: Known,
    pub(super) bytes: TokenBytes,
    /// Where in the input it was.
    pub(super) place: Option<String>,
}

/// Finds the one token of Kubernetes in the input.
pub(super) fn identify(bytes: &[u8]) -> Result<Identified, ExplainError> {
    let Some(text) = found::text(bytes) else {
        return Err(ExplainError::Other("binary data, or text that is not UTF-8"));
    };
    let Found { tokens, malformed } = found::find(&text);
    let (mut known, mut foreign) = (Vec::new(), None);
    for FoundToken { token, bytes, place } in tokens {
        let token = match token {
            Token::Bound(claims) => Known::Bound(claims),
            Token::Legacy(legacy) => Known::Legacy(legacy),
            Token::Foreign(other) => {
                foreign = foreign.or(Some(other));
                continue;
            }
        };
        known.push(Identified { token, bytes, place });
    }
    if known.len() > 1 {
        return Err(ExplainError::Several(known.iter().map(named).collect()));
    }
    known.pop().ok_or_else(|| match (foreign, malformed) {
        (Some(foreign), _) => ExplainError::Foreign(foreign, clocks::now().wall),
        (None, Some(malformed)) => ExplainError::Malformed(malformed),
        (None, None) => ExplainError::Other(resemblance::of(&text)),
    })
}

/// One of several tokens: its account, and its place.
fn named(Identified { token, place, .. }: &Identified) -> String {
    let (namespace, account) = match token {
        Known::Bound(claims) => (&claims.binding.namespace, &claims.binding.service_account.name),
        Known::Legacy(legacy) => (&legacy.namespace, &legacy.service_account),
    };
    let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    format!("the token of service account {}/{}{place}", shown(namespace), shown(account))
}
