//! Sizes with units: `4MiB`, `512kB`, `65536B`.

use std::fmt;

use tokenwatch_core::base::text::shown;

use super::nearest::nearest;

/// The units, in bytes: powers of 1,000 (SI) and of 1,024 (IEC).
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A size of `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes, at most as many as the machine can address.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A whole number in the largest unit that gives one.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SizeError {
    /// A bare number.
    NoUnit(u64),
    /// A unit that does not exist, with the nearest one that does.
    Unit { text: String, number: u64, nearest: &'static str },
    /// Not a whole number with a unit.
    Syntax(String),
    /// More bytes than 64 bits count.
    TooLarge(String),
}

const MEBIBYTES: &str = "MiB for mebibytes";
const SYNTAX: &str = "use a whole number with B, kB, MB, GB, KiB, MiB or GiB, such as 4MiB";

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUnit(number) => {
                let bytes = Size(*number);
                write!(f, "{number} has no unit: write {bytes} for bytes or {number}{MEBIBYTES}")
            }
            Self::Unit { text, number, nearest } => {
                write!(f, "\"{}\" is not a size; did you mean {number}{nearest}?", shown(text))
            }
            Self::Syntax(text) => write!(f, "\"{}\" is not a size: {SYNTAX}", shown(text)),
            Self::TooLarge(text) => write!(f, "\"{}\" is too large", shown(text)),
        }
    }
}

impl std::error::Error for SizeError {}

/// Reads one whole number with its unit.
pub(super) fn parse(text: &str) -> Result<Size, SizeError> {
    let text = text.trim();
    let (digits, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: Option<u64> = digits.parse().ok();
    match (number, unit.trim()) {
        (Some(number), "") => Err(SizeError::NoUnit(number)),
        (Some(number), unit) => in_unit(text, number, unit),
        (None, _) => Err(SizeError::Syntax(text.to_owned())),
    }
}

fn in_unit(text: &str, number: u64, name: &str) -> Result<Size, SizeError> {
    let Some((_, unit)) = UNITS.iter().find(|(known, _)| *known == name) else {
        let text = text.to_owned();
        return Err(match nearest_unit(name) {
            Some(nearest) => SizeError::Unit { text, number, nearest },
            None => SizeError::Syntax(text),
        });
    };
    number.checked_mul(*unit).map(Size).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
}

/// The unit that `mib`, `Mi` or `M` most likely stands for.
fn nearest_unit(name: &str) -> Option<&'static str> {
    if !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let same_letter = || {
        UNITS.iter().map(|(unit, _)| *unit).find(|unit| {
            unit.chars().next().is_some_and(|c| name.starts_with([c, c.to_ascii_lowercase()]))
        })
    };
    let any_case = UNITS.iter().map(|(unit, _)| *unit).find(|unit| unit.eq_ignore_ascii_case(name));
    any_case.or_else(same_letter).or_else(|| nearest(name, UNITS.iter().map(|(unit, _)| *unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_read() {
        let table = [
            ("65536B", 65_536),
            ("512kB", 512_000),
            ("4MB", 4_000_000),
            ("1GB", 1_000_000_000),
            ("64KiB", 65_536),
            ("4MiB", 4 << 20),
            (" 4 MiB ", 4 << 20),
            ("1GiB", 1 << 30),
        ];
        for (text, bytes) in table {
            assert_eq!(parse(text), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn refused_texts_are_explained_with_the_nearest_unit() {
        let table = [
            ("4194304", "4194304 has no unit: write 4MiB for bytes or 4194304MiB for mebibytes"),
            ("4mib", "\"4mib\" is not a size; did you mean 4MiB?"),
            ("4Mi", "\"4Mi\" is not a size; did you mean 4MiB?"),
            ("512K", "\"512K\" is not a size; did you mean 512KiB?"),
            ("512KB", "\"512KB\" is not a size; did you mean 512kB?"),
            ("1g", "\"1g\" is not a size; did you mean 1GiB?"),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        for text in
            ["", "MiB", "-4MiB", "1.5MiB", "4MiB3", "４MiB", "99999999999999999999B", "4 MiB or so"]
        {
            assert!(
                parse(text).unwrap_err().to_string().contains("whole number with B, kB"),
                "{text}: {:?}",
                parse(text)
            );
        }
        assert!(parse("18446744073709551615GiB").unwrap_err().to_string().contains("too large"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&Size(bytes).to_string()), Ok(Size(bytes)));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
