//! The URL of an API server. kube panics where it cannot put the path of a request behind it.

use std::fmt;

use http::Uri;
use http::uri::{InvalidUri, Scheme};

/// Longest URL, in bytes: the path of a request has to fit behind it, into the 64 KiB that the
/// library `http` allows.
pub(super) const LONGEST: usize = 2_048;

/// Why requests cannot be sent to a server.
#[derive(Debug)]
pub(super) enum NotAUrl {
    /// The parser's reason.
    Invalid(InvalidUri),
    /// It has no scheme, another one than http and https, or no host.
    Incomplete,
    /// It is longer than [`LONGEST`].
    TooLong,
}

impl fmt::Display for NotAUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => why.fmt(f),
            Self::Incomplete => f.write_str("it is not a URL; write https://HOST:PORT"),
            Self::TooLong => write!(f, "it is longer than {LONGEST} bytes"),
        }
    }
}

impl std::error::Error for NotAUrl {}

/// The URL, if requests can be sent to it.
pub(super) fn parsed(server: &str) -> Result<Uri, NotAUrl> {
    let url: Uri = server.parse().map_err(NotAUrl::Invalid)?;
    let has_scheme = [Scheme::HTTPS, Scheme::HTTP].iter().any(|it| url.scheme() == Some(it));
    if !has_scheme || url.host().is_none_or(str::is_empty) {
        return Err(NotAUrl::Incomplete);
    }
    if server.len() > LONGEST { Err(NotAUrl::TooLong) } else { Ok(url) }
}
