//! Names and value formats of the standard variables.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::text::shown;
use tokenwatch_otlp::protocol::Signal;

use crate::config::percent;
use crate::environment::Environment;

/// Looks variables up, a signal's own before the general one.
pub(super) struct Variables<'a>(&'a Environment);

impl<'a> Variables<'a> {
    pub(super) fn new(env: &'a Environment) -> Self {
        Self(env)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// `OTEL_EXPORTER_OTLP_<SIGNAL>_<name>`, else `OTEL_EXPORTER_OTLP_<name>`, with the name that
    /// was found.
    pub(super) fn of(&self, signal: Signal, name: &str) -> Option<(String, &'a str)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.name().to_ascii_uppercase());
        let general = format!("OTEL_EXPORTER_OTLP_{name}");
        [own, general].into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }
}

/// Why a value cannot be used. Neither names nor values of headers are repeated: values are
/// secrets, and a slip can put one in the place of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    UnknownWord { text: String, known: Vec<&'static str> },
    NotMillis { text: String },
    PairWithoutEquals,
    BadEncoding,
    BadHeaderName,
    BadHeaderValue,
}

const MILLIS: &str = "give whole milliseconds above 0, like 10000";
const NO_EQUALS: &str = "an entry has no `=`: write name=value,name=value and percent-encode \
                         commas in values (%2C)";
const ENCODING: &str = "valid percent-encoding of UTF-8";
const CHARACTERS: &str = "has characters that no header can carry";

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWord { text, known } => {
                write!(f, "unknown value `{text}`: use {}", known.join(" or "))
            }
            Self::NotMillis { text } => write!(f, "`{text}` is not a duration: {MILLIS}"),
            Self::PairWithoutEquals => f.write_str(NO_EQUALS),
            Self::BadEncoding => write!(f, "a value is not {ENCODING}"),
            Self::BadHeaderName => f.write_str("a name is not that of a header"),
            Self::BadHeaderValue => write!(f, "the value of a header {CHARACTERS}"),
        }
    }
}

/// One of a closed list, in any case.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&'static str, T)]) -> Result<T, Malformed> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
    found.map(|(_, value)| *value).ok_or_else(|| Malformed::UnknownWord {
        text: shown(text).into_owned(),
        known: known.iter().map(|(name, _)| *name).collect(),
    })
}

/// The specification's booleans.
pub(super) fn boolean(text: &str) -> Result<bool, Malformed> {
    one_of(text, &[("true", true), ("false", false)])
}

/// Whole milliseconds, at least 1.
pub(super) fn millis(text: &str) -> Result<Duration, Malformed> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        Ok(_) | Err(_) => Err(Malformed::NotMillis { text: shown(text).into_owned() }),
    }
}

/// `name=value,name=value`, values percent-encoded (W3C Baggage).
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), Malformed> {
    let (name, value) = text.split_once('=').ok_or(Malformed::PairWithoutEquals)?;
    let name = name.trim();
    let value = percent::decoded(value.trim()).ok_or(Malformed::BadEncoding)?;
    Ok((name.to_owned(), value))
}

/// As [`pairs`], each a header.
pub(super) fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, Malformed> {
    pairs(text)?.iter().map(|(name, value)| header(name, value)).collect()
}

/// A header that can be sent. Its value is marked sensitive: `Debug` does not print it.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Malformed> {
    let parsed = name.parse().ok().filter(|_| !looks_like_a_token(name));
    let parsed: HeaderName = parsed.ok_or(Malformed::BadHeaderName)?;
    let mut value = HeaderValue::from_str(value).map_err(|_| Malformed::BadHeaderValue)?;
    value.set_sensitive(true);
    Ok((parsed, value))
}
