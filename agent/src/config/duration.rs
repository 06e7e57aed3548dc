//! Durations with units: `90s`, `5m`, `1h30m`, `500ms`.

use std::fmt;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;

/// The units, in nanoseconds.
const UNITS: [(&str, i64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Longest duration: ten years. Sums of a few of them cannot overflow.
const LONGEST: i64 = 3_650 * 86_400_000_000_000;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// A bare number.
    NoUnit(String),
    /// Not whole numbers with units.
    Syntax(String),
    /// Longer than ten years.
    TooLong(String),
}

const SYNTAX: &str = "use whole numbers with d, h, m, s, ms or us, such as 90s, 1h30m or 500ms";

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUnit(number) => write!(
                f,
                "{number} has no unit: write {number}s for seconds or {number}m for minutes"
            ),
            Self::Syntax(text) => write!(f, "\"{}\" is not a duration: {SYNTAX}", shown(text)),
            Self::TooLong(text) => {
                write!(f, "\"{}\" is too long: the maximum is 3650d", shown(text))
            }
        }
    }
}

impl std::error::Error for DurationError {}

/// Reads whole numbers, each with its unit.
pub fn parse(text: &str) -> Result<Delta, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Syntax(text.to_owned()));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::NoUnit(text.to_owned()));
    }
    sum(text).map(Delta::from_nanos)
}

/// The sum of all parts, in nanoseconds.
fn sum(text: &str) -> Result<i64, DurationError> {
    let (mut rest, mut nanos) = (text, 0_i64);
    while !rest.is_empty() {
        let part = part(rest).ok_or_else(|| DurationError::Syntax(text.to_owned()))?;
        let (number, unit, after) = part;
        let sum = number.checked_mul(unit).and_then(|part| nanos.checked_add(part));
        let sum = sum.filter(|sum| *sum <= LONGEST);
        nanos = sum.ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = after;
    }
    Ok(nanos)
}

/// The first number, its unit in nanoseconds, and the rest. Nothing for a number beyond `i64`.
fn part(text: &str) -> Option<(i64, i64, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(unit_end);
    let unit = UNITS.iter().find(|(unit, _)| *unit == name.trim())?.1;
    Some((digits.parse().ok()?, unit, after))
}

/// The duration as text that [`parse`] reads.
pub(super) fn show(delta: Delta) -> String {
    let mut rest = delta.as_nanos().max(0);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut units = UNITS;
    units.sort_by_key(|(_, nanos)| std::cmp::Reverse(*nanos));
    let mut part = |(name, nanos): &(&str, i64)| {
        let count = rest / nanos;
        rest %= nanos;
        if count > 0 { format!("{count}{name}") } else { String::new() }
    };
    units.iter().map(&mut part).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_read() {
        for (text, millis) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1h 30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse(text), Ok(Delta::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refused_texts_are_explained() {
        assert_eq!(
            parse("60").unwrap_err().to_string(),
            "60 has no unit: write 60s for seconds or 60m for minutes"
        );
        for text in ["", "s", "-5s", "5x", "1.5h", "5m3", "９s", "99999999999999999999s"] {
            assert!(parse(text).unwrap_err().to_string().contains("is not a duration"), "{text}");
        }
        assert!(parse("9999999d").unwrap_err().to_string().contains("too long"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(micros in 0..1_000_000_000_000_i64) {
            let delta = Delta::from_nanos(micros * 1_000);
            prop_assert_eq!(parse(&show(delta)), Ok(delta));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
