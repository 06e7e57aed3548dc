//! The standard variables' value formats.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokenwatch_core::base::text::shown;

use super::settings::Signal;
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

/// One of a closed list, in any case.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("`{}` is not known here: use {}", shown(text), names.join(" or "))
    })
}

/// The specification's booleans.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    one_of(text, &[("true", true), ("false", false)])
}

/// Whole milliseconds, more than none.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(format!(
            "`{}` is not a time: give whole milliseconds above 0, like 10000",
            shown(text)
        )),
    }
}

/// `name=value,name=value`, values percent-encoded (W3C Baggage). Values are never in an error:
/// they are secrets.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("an entry has no `=`: write name=value,name=value and percent-encode commas \
                    in values (%2C)"
            .to_owned());
    };
    let name = name.trim();
    let value = percent_decoded(value.trim()).ok_or_else(|| {
        format!("the value of `{}` is not valid percent-encoding of UTF-8", shown(name))
    })?;
    Ok((name.to_owned(), value))
}

/// Nothing if an escape is broken or the outcome is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let decoded =
            if byte == b'%' { 16 * hex(bytes.next()?)? + hex(bytes.next()?)? } else { byte };
        out.push(decoded);
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// As [`pairs`], each a header.
pub(super) fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    pairs(text)?.iter().map(|(name, value)| header(name, value)).collect()
}

/// A header that can be sent, marked as a secret.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name: HeaderName =
        name.parse().map_err(|_| format!("header `{}`: not a header name", shown(name)))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        format!("header `{name}`: its value has characters that no header can carry")
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}
