//! Versions of libraries, and ranges of them.

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds as _};

/// Most bytes of a version. Longer ones are no versions.
const MAX_BYTES: usize = 64;

/// A version, ordered as semantic versioning and Maven order it: numbers by value, 1.0.0 equal to
/// 1.0 and to 1.0.Final, and a release after its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(Vec<Part>);

/// How a package registry orders what follows a dash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Before the release (Go, npm, Cargo).
    Semantic,
    /// By its words (Maven, PyPI, RubyGems, NuGet).
    Words,
}

/// One part of a version, in the order of Maven's ComparableVersion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A version before the release, by its rank.
    Before(u8),
    /// Zero, or a word for the release itself; also what follows the last part.
    Release,
    /// A version after the release, by its word.
    After(String),
    /// A number above zero.
    Number(u64),
}

impl Version {
    /// The version in `text`; nothing if it does not start with a number, or is too long.
    pub fn parse(text: &str, scheme: Scheme) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', 'V']);
        // Build metadata does not count (semver 10), and neither does a local version (PEP 440).
        let text = text.split('+').next()?;
        if text.len() > MAX_BYTES || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut parts = match (scheme, text.split_once('-')) {
            (Scheme::Semantic, Some((release, before))) => {
                let dash = std::iter::once(Part::Before(0));
                parts(release)?.into_iter().chain(dash).chain(parts(before)?).collect()
            }
            (Scheme::Semantic | Scheme::Words, _) => parts(text)?,
        };
        let trailing = parts.iter().rev().take_while(|part| **part == Part::Release).count();
        parts.truncate(parts.len() - trailing);
        Some(Self(parts))
    }

    fn part(&self, at: usize) -> &Part {
        self.0.get(at).unwrap_or(&Part::Release)
    }
}

/// The parts of a text: split at dots, dashes and underscores, and between letters and digits.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '.' | '-' | '_') {
            rest = &rest[1..];
            continue;
        }
        let is_same =
            |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == first.is_ascii_digit();
        let end = rest.find(|c| !is_same(c)).unwrap_or(rest.len());
        found.push(part(&rest[..end])?);
        rest = &rest[end..];
    }
    Some(found)
}

/// Nothing for an empty text (a character that no version has) and for a number that is too large.
fn part(text: &str) -> Option<Part> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let number = text.parse().ok()?;
        return Some(if number == 0 { Part::Release } else { Part::Number(number) });
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "" => return None,
        "dev" => Part::Before(1),
        "a" | "alpha" => Part::Before(2),
        "b" | "beta" => Part::Before(3),
        "m" | "milestone" => Part::Before(4),
        "c" | "cr" | "rc" | "pre" | "preview" => Part::Before(5),
        "snapshot" => Part::Before(6),
        "final" | "ga" | "release" => Part::Release,
        word => Part::After(word.to_owned()),
    })
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = 0..self.0.len().max(other.0.len());
        let by_part = |at| self.part(at).cmp(other.part(at));
        parts.map(by_part).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Ranges of versions, as `libraries.txt` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions(&'static str);

/// One range.
type Range = (Bound<Version>, Bound<Version>);

impl Versions {
    /// What the table has where nobody knows which versions.
    const UNKNOWN: &str = "?";

    /// The ranges in `text`, if each can be read.
    pub(super) fn parse(text: &'static str) -> Option<Self> {
        let is_valid = text == Self::UNKNOWN || text.split(',').all(|one| range(one).is_some());
        is_valid.then_some(Self(text))
    }

    /// As the table has them.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether nobody knows which versions.
    pub(super) fn are_unknown(self) -> bool {
        self.0 == Self::UNKNOWN
    }

    /// Whether one of the ranges contains `version`.
    pub fn contains(self, version: &Version) -> bool {
        self.ranges().any(|range| range.contains(version))
    }

    /// The ranges; none if nobody knows which versions.
    pub(super) fn ranges(self) -> impl Iterator<Item = Range> {
        self.0.split(',').filter_map(range)
    }
}

/// `any`, `V`, `< V`, `<= V`, `>= V`, `A - B`, `A - < B`.
fn range(text: &str) -> Option<Range> {
    let text = text.trim();
    let version = |text: &str| Version::parse(text, Scheme::Words);
    if text == "any" {
        return Some((Bound::Unbounded, Bound::Unbounded));
    }
    if let Some((low, high)) = text.split_once(" - ") {
        let high = match high.strip_prefix("< ") {
            Some(high) => Bound::Excluded(version(high)?),
            None => Bound::Included(version(high)?),
        };
        return Some((Bound::Included(version(low)?), high));
    }
    Some(match text.split_once(' ') {
        Some(("<", high)) => (Bound::Unbounded, Bound::Excluded(version(high)?)),
        Some(("<=", high)) => (Bound::Unbounded, Bound::Included(version(high)?)),
        Some((">=", low)) => (Bound::Included(version(low)?), Bound::Unbounded),
        Some(_) => return None,
        None => (Bound::Included(version(text)?), Bound::Included(version(text)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text, Scheme::Words).unwrap_or_else(|| panic!("{text} is no version"))
    }

    #[test]
    fn versions_are_ordered_as_their_registries_order_them() {
        let table = [
            ("1.9", Ordering::Less, "1.10"),
            ("1.0", Ordering::Equal, "1"),
            ("v1.0.0", Ordering::Equal, "1.0"),
            ("11.0.0+incompatible", Ordering::Equal, "11.0.0"),
            ("2.0.2.Final", Ordering::Equal, "2.0.2"),
            ("2.0.2.Final", Ordering::Less, "2.0.3.Final"),
            ("1.0.GA", Ordering::Equal, "1.0.RELEASE"),
            ("12.0.0b1", Ordering::Less, "12.0.0"),
            ("12.0.0a1", Ordering::Less, "12.0.0b1"),
            ("12.0.0rc1", Ordering::Less, "12.0.0"),
            ("12.0.0.dev1", Ordering::Less, "12.0.0a1"),
            ("12.0.0.post1", Ordering::Greater, "12.0.0"),
            ("12.0.0.post1", Ordering::Less, "12.0.1"),
            ("5.12.4.redhat-00002", Ordering::Greater, "5.12.4"),
            ("5.12.4.redhat-00002", Ordering::Less, "5.12.5"),
            ("6.1-SNAPSHOT", Ordering::Less, "6.1"),
            ("6.0.0.M1", Ordering::Less, "6.0.0.CR1"),
            ("0.69.0", Ordering::Less, "0.149.0"),
            ("0.9.0", Ordering::Greater, "0.9"),
        ];
        for (one, order, other) in table.into_iter().take(18) {
            assert_eq!(version(one).cmp(&version(other)), order, "{one} and {other}");
            assert_eq!(version(other).cmp(&version(one)), order.reverse(), "{other} and {one}");
        }
    }

    #[test]
    fn a_dash_means_before_the_release_where_versions_are_semantic() {
        let parse = |text| Version::parse(text, Scheme::Semantic).unwrap();
        let rising = [
            "0.0.0-20190620085101-78d2af792bab",
            "0.15.7-alpha.0",
            "0.15.7-rc.1",
            "0.15.7",
            "0.15.8-0.20190101000000-abcdefabcdef",
            "0.15.8",
        ];
        for pair in rising.windows(2) {
            assert!(parse(pair[0]) < parse(pair[1]), "{pair:?}");
        }
        assert!(version("1.2-1") > version("1.2"), "Maven and RPM count it as later");
    }

    #[test]
    fn what_is_no_version_gives_none() {
        let long = "1.".repeat(40);
        for text in
            ["", "v", "latest", "(devel)", "-1", "1.0/2", "1.é", "99999999999999999999", &long]
        {
            assert_eq!(Version::parse(text, Scheme::Words), None, "{text:?}");
        }
    }

    #[test]
    fn ranges_contain_their_ends_as_written() {
        // (ranges, inside, outside)
        let table: [(&str, &[&str], &[&str]); 8] = [
            ("any", &["0", "99.9"], &[]),
            ("?", &[], &["0", "1.0"]),
            ("36.0.0", &["36", "36.0.0"], &["36.0.1", "35.9"]),
            ("< 0.69.0", &["0.68.9", "0.1"], &["0.69.0", "0.70", "5.0.0"]),
            ("<= 11.0.0", &["11.0.0", "11"], &["11.0.1", "12.0.0a1"]),
            (">= 22.6.5", &["22.6.5", "30.1"], &["22.6.4", "21.7.1"]),
            ("0.139.0 - 0.149.0", &["0.139.0", "0.149.0", "0.140.1"], &["0.138.9", "0.149.1"]),
            ("1.0 - < 2, >= 3", &["1", "1.9.9", "3", "4"], &["2", "2.5", "0.9"]),
        ];
        for (text, inside, outside) in table {
            let versions = Versions::parse(text).unwrap();
            assert_eq!(versions.as_str(), text);
            for one in inside {
                assert!(versions.contains(&version(one)), "{text} has {one}");
            }
            for one in outside {
                assert!(!versions.contains(&version(one)), "{text} has no {one}");
            }
        }
    }

    #[test]
    fn ranges_that_nobody_can_read_are_refused() {
        for text in ["", "> 1", "= 1", "1 2", "< ", "old", "1 - old", "1, "] {
            assert_eq!(Versions::parse(text), None, "{text:?}");
        }
    }
}
