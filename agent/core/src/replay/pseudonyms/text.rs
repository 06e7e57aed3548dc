//! Free text without names: what failed, and how, as the kernel, a resolver, the API server or a
//! collector describe it. Only words of a fixed list, numbers and times stay.

use core::net::IpAddr;

use super::Pseudonyms;
use super::names::Kind;

/// The longest number that stays: ports, counts and error numbers are no longer.
const LONGEST_NUMBER: usize = 6;
/// Units of the numbers that the agent writes.
const UNITS: [&str; 11] = ["ns", "us", "ms", "s", "m", "h", "d", "kB", "KiB", "MiB", "%"];

impl Pseudonyms {
    /// `text` with every other word replaced. Equal words become equal pseudonyms, and those end as
    /// the pseudonyms of names do.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in text.split_inclusive(is_separator) {
            let word = piece.trim_end_matches(is_separator);
            out += &self.punctuated(word);
            out += &piece[word.len()..];
        }
        out
    }

    /// The same, of a text that may be missing.
    pub(super) fn some_text(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.text(&text))
    }

    fn punctuated(&self, text: &str) -> String {
        let word = text.trim_start_matches(is_punctuation);
        let (before, word) = (&text[..text.len() - word.len()], word);
        let kept = word.trim_end_matches(is_punctuation);
        let after = &word[kept.len()..];
        format!("{before}{}{after}", self.word(kept))
    }

    fn word(&self, word: &str) -> String {
        if word.is_empty() || self.words.contains(word) || is_number(word) || is_time(word) {
            return word.to_owned();
        }
        let joint = word.rfind(is_joint).filter(|_| !is_address(word));
        let Some(at) = joint else { return self.name(kind(word), word) };
        let (before, after) = (&word[..at], &word[at + 1..]);
        format!("{}{}{}", self.word(before), &word[at..=at], self.word(after))
    }
}

fn kind(word: &str) -> Kind {
    if is_address(word) { Kind::Address } else { Kind::Name }
}

/// Between words; stays as it is.
fn is_separator(c: char) -> bool {
    c.is_ascii_whitespace() || "\"'`()<>[]{},;=|±…".contains(c)
}

/// Around words; stays as it is.
fn is_punctuation(c: char) -> bool {
    ".:!?-/".contains(c)
}

/// Within paths, addresses with ports, and the names of users. Not the dot: a host's name stays one
/// word, with the pseudonym that it has elsewhere.
fn is_joint(c: char) -> bool {
    "/:@".contains(c)
}

/// An IP address without a port, or what looks like a part of one.
fn is_address(word: &str) -> bool {
    let of_address = |c: char| c.is_ascii_hexdigit() || ":.".contains(c);
    let colons = word.matches(':').count();
    word.parse::<IpAddr>().is_ok() || (colons >= 2 && word.chars().all(of_address))
}

/// A count, or a time with its unit.
fn is_number(word: &str) -> bool {
    let digits = UNITS
        .iter()
        .filter_map(|unit| word.strip_suffix(unit))
        .find(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
        .unwrap_or(word);
    let whole = |part: &str| {
        !part.is_empty() && part.len() <= LONGEST_NUMBER && part.chars().all(|c| c.is_ascii_digit())
    };
    match digits.split_once('.') {
        Some((before, after)) => whole(before) && whole(after),
        None => whole(digits),
    }
}

fn is_time(word: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(word).is_ok()
}
