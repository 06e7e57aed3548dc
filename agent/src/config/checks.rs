//! Checks of single values.

// Every check takes a reference to its value and returns why it is refused, whatever the type.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, clippy::ptr_arg)]

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;

use super::log_filter;
use super::mistakes::Invalid;
use super::size::Size;

pub(super) fn positive(value: &Delta) -> Result<(), Invalid> {
    at_least(value, Delta::from_millis(1))
}

pub(super) fn positive_if_any(value: &Option<Delta>) -> Result<(), Invalid> {
    value.as_ref().map_or(Ok(()), positive)
}

/// A full scan of a large node takes tens of milliseconds. More than one per second is only load.
pub(super) fn a_second(value: &Delta) -> Result<(), Invalid> {
    at_least(value, Delta::from_secs(1))
}

/// More frequent reminders would flood the receiver.
pub(super) fn a_minute(value: &Delta) -> Result<(), Invalid> {
    at_least(value, Delta::from_secs(60))
}

fn at_least(value: &Delta, least: Delta) -> Result<(), Invalid> {
    if *value >= least {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "{} is too short: the minimum is {}",
        super::duration::show(*value),
        super::duration::show(least)
    )))
}

/// Less does not hold the alerts of one large pod (some 50). More would make the agent heavier than
/// the pods that it watches.
pub(super) fn alert_memory(value: &Size) -> Result<(), Invalid> {
    let (least, most) = (Size::from_bytes(64 << 10), Size::from_bytes(1 << 30));
    if *value < least {
        return Err(Invalid::new(format!("{value} is too small: the minimum is {least}")));
    }
    if *value > most {
        return Err(Invalid::new(format!("{value} is too large: the maximum is {most}")));
    }
    Ok(())
}

pub(super) fn not_blank(value: &Option<String>) -> Result<(), Invalid> {
    match value {
        Some(name) if name.trim().is_empty() => {
            Err(Invalid::new("expected a name, found an empty text"))
        }
        _ => Ok(()),
    }
}

pub(super) fn url(value: &Option<String>) -> Result<(), Invalid> {
    let Some(text) = value else { return Ok(()) };
    match text.parse::<http::Uri>() {
        Ok(uri) if is_http(&uri) && uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        // Not what was found: a URL can have a password in it, and a slip can hide where.
        _ => Err(Invalid::new(
            "expected a URL such as http://collector:4317 or https://collector:4318",
        )),
    }
}

fn is_http(uri: &http::Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
}

/// Stricter than the filter itself, which accepts any word as the name of a module.
pub(super) fn level(value: &String) -> Result<(), Invalid> {
    let is_level = |text: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
    let is_directive = |part: &str| is_level(part.rsplit('=').next().unwrap_or(part));
    if value.split(',').map(str::trim).all(is_directive) && log_filter::parse(value).is_some() {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "\"{}\" is not a log level: use off, error, warn, info, debug or trace, or levels per \
         module as in info,tokenwatch=debug",
        shown(value)
    )))
}
