//! Free text without names: what failed, and how, as the kernel, a resolver, the API server or a
//! collector describe it. Only words of a fixed list, numbers and times stay.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::Pseudonyms;
use super::names::{Kind, TOKEN};

/// The longest number that stays: ports, counts and error numbers are no longer.
const LONGEST_NUMBER: usize = 6;
/// Units of the numbers that the agent writes.
const UNITS: [&str; 11] = ["ns", "us", "ms", "s", "m", "h", "d", "kB", "KiB", "MiB", "%"];

/// What a user of the API server is called, if it is a service account.
const ACCOUNT: &str = "system:serviceaccount";
/// After these, a path of the API server and the API server's own errors name an object.
const COLLECTIONS: [&str; 6] =
    ["namespace", "namespaces", "nodes", "pods", "serviceaccounts", "events"];
/// Before these, the API server quotes a word of its own: `resource "pods" in API group ""`.
const QUOTES_A_WORD: [&str; 3] = ["resource", "group", "verb"];

/// Names that do not stay, even if they are words that otherwise do.
#[derive(Debug, Default)]
pub(super) struct Own(BTreeSet<String>);

impl Own {
    /// Adds names, and the parts of those that have several.
    pub(super) fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.0.insert(name.to_owned());
            let parts = name.split(|c| is_joint(c) || is_separator(c));
            self.0.extend(parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned));
        }
    }
}

impl Pseudonyms {
    /// `text` with every other word replaced. Equal words become equal pseudonyms, and those end as
    /// the pseudonyms of names do.
    pub(super) fn text(&self, text: &str) -> String {
        self.text_without(text, &Own::default())
    }

    /// The same, and without these names.
    pub(super) fn text_without(&self, text: &str, own: &Own) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut opened, mut before) = (false, "");
        for piece in text.split_inclusive(is_separator) {
            let word = piece.trim_end_matches(is_separator);
            let is_name = opened && piece.ends_with('"') && !QUOTES_A_WORD.contains(&before);
            out += &self.punctuated(word, own, is_name);
            out += &piece[word.len()..];
            opened = piece.ends_with('"');
            before = if word.is_empty() { before } else { word };
        }
        out
    }

    /// The same, of a text that may be missing.
    pub(super) fn some_text(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.text(&text))
    }

    fn punctuated(&self, text: &str, own: &Own, is_name: bool) -> String {
        let whole = [text, text.strip_suffix(is_punctuation).unwrap_or(text)]
            .into_iter()
            .find(|address| address.parse::<IpAddr>().is_ok());
        if let Some(address) = whole {
            return self.name(Kind::Address, address) + &text[address.len()..];
        }
        let word = text.trim_start_matches(is_punctuation);
        let (before, word) = (&text[..text.len() - word.len()], word);
        let kept = word.trim_end_matches(is_punctuation);
        let after = &word[kept.len()..];
        format!("{before}{}{after}", self.word(kept, own, is_name))
    }

    /// `is_name`: the place of the word says that it is the name of an object.
    fn word(&self, word: &str, own: &Own, is_name: bool) -> String {
        if word.is_empty() || (!is_name && self.stays(word, own)) || word == TOKEN {
            return word.to_owned();
        }
        let joint = word.rfind(is_joint).filter(|_| !is_address(word));
        let Some(at) = joint else { return self.name(kind(word), word) };
        let (before, after) = (&word[..at], &word[at + 1..]);
        let named = names_follow(before);
        format!(
            "{}{}{}",
            self.word(before, own, false),
            &word[at..=at],
            self.word(after, own, named)
        )
    }

    fn stays(&self, word: &str, own: &Own) -> bool {
        !own.0.contains(word) && (self.words.contains(word) || is_number(word) || is_time(word))
    }
}

/// Whether a name comes after `before` and a joint.
fn names_follow(before: &str) -> bool {
    let last = before.rsplit(is_joint).next().unwrap_or(before);
    before.starts_with(ACCOUNT) || (before.contains('/') && COLLECTIONS.contains(&last))
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
