//! Words that make a reader guess, each with what people know it by. Comments, texts and names are
//! all read: a name is taken apart at its underscores and capitals, and a phrase is found across
//! line ends and comment marks.

use std::collections::BTreeMap;

use crate::text;
use crate::tree::Tree;

/// Phrases, and what to write instead. Any letter case.
const PHRASES: &[(&str, &[&str])] = &[
    ("again, recreated", &["anew", "once more"]),
    ("log", &["diary", "diaries"]),
    ("state file, restored state", &["notebook", "notebooks", "remembered", "what outlives"]),
    ("exported, reported, logged", &["told", "foretold"]),
    ("reported, logged, status", &["said"]),
    ("reports, returns, shows", SAYS),
    ("received, observed, last contact", &["heard", "unheard of"]),
    ("report, status, value", WORD),
    ("requested; on SIGTERM", &["asked to"]),
    ("Kubernetes API client, no API server configured, connection to the API server", WAY),
    ("full rescan, check", PASS),
    ("schedule early", &["hurry", "hurries", "hurried", "hurrying"]),
    ("pending, new", &["young"]),
    ("report", &["own up", "owns up", "owning up"]),
    ("confirms the clock, time source", &["vouch", "vouches", "vouched", "vouching"]),
    ("terminating", GOING),
    ("a heading \"False positives\"", &["no fault when", "is no fault", "are no fault"]),
    ("resolved", OVER),
    ("monotonic clock", &["boot clock"]),
    ("visibility", &["sight", "sights"]),
    ("poll policy", &["courtesy"]),
];

/// Of a program or its output; people may say what they like.
const SAYS: &[&str] = &[
    "agent says",
    "api says",
    "claims say",
    "collector says",
    "cluster says",
    "file says",
    "gateway says",
    "kernel says",
    "kubelet says",
    "library says",
    "log says",
    "node says",
    "page says",
    "receiver says",
    "runbook says",
    "server says",
    "servers say",
    "source says",
    "status says",
    "table says",
    "token says",
    "tokenwatch says",
];

const WORD: &[&str] = &[
    "last word",
    "own word",
    "s word", // of "kernel's word"; and "whose word" is below
    "whose word",
    "without a word",
    "word about",
];

const WAY: &[&str] = &[
    "no way to the api",
    "the way to the api",
    "way to the api server",
    "way to the kubernetes api",
    "ways to the api",
];

/// Over everything; a test may pass, and a value be passed on.
const PASS: &[&str] = &[
    "a pass",
    "each pass",
    "every pass",
    "first pass",
    "last pass",
    "next pass",
    "one pass",
    "pass over",
    "passes over",
    "running pass",
    "the pass",
    "this pass",
];

/// Of a pod.
const GOING: &[&str] = &[
    "going pod",
    "going pods",
    "is going and",
    "not going",
    "pod is going",
    "pod that is going",
    "pods are going",
    "pods that are going",
];

/// Of a finding.
const OVER: &[&str] = &[
    "finding is gone",
    "finding is over",
    "findings are gone",
    "findings are over",
    "findings that are over",
    "that is over",
    "that it is over",
    "they are over",
    "until it is over",
    "when it is over",
    "whether it is over",
];

/// Names in the code of Rust files, where they stand alone: `Boot`, not `BootId`.
const NAMES: &[(&str, &[&str])] = &[
    ("Monotonic", &["Boot"]),
    ("Resolution, resolution", &["Ending", "ending"]),
    ("Peer", &["Memory"]),
    ("terminating, is_terminating", &["going", "is_going"]),
];

/// Names that users and files of earlier versions rely on.
const KEPT: &[&str] = &["TokenwatchNobodyHeard", "said_at"];

/// Not ours; lists of what is banned; and the dictionary of recordings, which knows the words that
/// earlier versions wrote.
const FREE: &[&str] = &[
    "Cargo.lock",
    "LICENSE",
    "agent/core/src/replay/pseudonyms/words.rs",
    "tests/house/mutations.rs",
    "tests/house/words.rs",
];

pub(crate) fn no_banned_words(tree: &Tree) -> Vec<String> {
    let bans = Bans::new();
    let read = tree.files().filter(|(name, _)| !FREE.contains(name));
    let found = read.flat_map(|(name, file)| {
        file.banned.get_or_init(|| bans.found_in(name, &file.text)).iter().cloned()
    });
    found.collect()
}

/// What is banned, by the first word.
struct Bans {
    phrases: BTreeMap<&'static str, Vec<Ban>>,
    names: BTreeMap<&'static str, &'static str>,
}

struct Ban {
    words: Vec<&'static str>,
    instead: &'static str,
}

/// A part of a name or a word of a sentence.
struct Word<'a> {
    line: usize,
    /// Where it begins and ends in the text.
    place: (usize, usize),
    text: &'a str,
    lower: String,
    /// The name it is a part of.
    name: &'a str,
}

impl Bans {
    fn new() -> Self {
        let mut phrases: BTreeMap<&str, Vec<Ban>> = BTreeMap::new();
        for (instead, phrase) in flat(PHRASES) {
            let words: Vec<&str> = phrase.split(' ').collect();
            phrases.entry(words[0]).or_default().push(Ban { words, instead });
        }
        let names = flat(NAMES).map(|(instead, name)| (name, instead)).collect();
        Self { phrases, names }
    }

    fn found_in(&self, file: &str, text: &str) -> Vec<String> {
        let shown = |(line, banned, instead): (usize, String, &str)| {
            format!("{file}:{line}: \"{banned}\": write {instead}")
        };
        let mut found = self.phrases_in(text);
        if crate::tree::has_extension(file, "rs") {
            found.extend(self.names_in(&text::names(text)));
        }
        found.sort();
        found.into_iter().map(shown).collect()
    }

    fn phrases_in(&self, text: &str) -> Vec<(usize, String, &'static str)> {
        let words = words(text);
        let phrases = (0..words.len()).filter_map(|at| {
            let ban = self.phrase(&words[at..], text)?;
            Some((words[at].line, ban.words.join(" "), ban.instead))
        });
        phrases.collect()
    }

    fn phrase(&self, words: &[Word<'_>], text: &str) -> Option<&Ban> {
        let first = words.first().filter(|word| !KEPT.contains(&word.name))?;
        self.phrases.get(first.lower.as_str())?.iter().find(|ban| ban.begins(words, text))
    }

    fn names_in(&self, code: &str) -> Vec<(usize, String, &'static str)> {
        let lines = code.lines().enumerate();
        let names = lines
            .flat_map(|(at, line)| line.split(|c| !is_of_name(c)).map(move |name| (at + 1, name)));
        names
            .filter_map(|(line, name)| Some((line, name.to_owned(), *self.names.get(name)?)))
            .collect()
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Ban {
    fn begins(&self, words: &[Word<'_>], text: &str) -> bool {
        words.len() >= self.words.len()
            && self.words.iter().zip(words).all(|(banned, word)| *banned == word.lower)
            && words[..self.words.len()].windows(2).all(|pair| {
                let between = &text[pair[0].place.1..pair[1].place.0];
                between.chars().all(|c| c.is_whitespace() || "/!#*\\_-'’".contains(c))
            })
    }
}

fn flat(
    table: &'static [(&'static str, &'static [&'static str])],
) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.iter().flat_map(|(instead, all)| all.iter().map(move |one| (*instead, *one)))
}

/// The words of a text, names taken apart.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    for piece in text.split_inclusive(|c| !is_of_name(c)) {
        let name = piece.trim_end_matches(|c| !is_of_name(c));
        for (from, to) in parts(name) {
            let text = &name[from..to];
            let place = (at + from, at + to);
            found.push(Word { line, place, text, lower: text.to_ascii_lowercase(), name });
        }
        line += usize::from(piece.ends_with('\n'));
        at += piece.len();
    }
    found
}

/// `is_OneThing` is `is`, `One`, `Thing`.
fn parts(name: &str) -> Vec<(usize, usize)> {
    let bytes = name.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    for at in 1..=bytes.len() {
        let begins = bytes.get(at).is_none_or(|next| {
            *next == b'_' || (next.is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase())
        });
        if bytes.get(start) == Some(&b'_') {
            start = at;
        } else if begins {
            found.push((start, at));
            start = at;
        }
    }
    found
}

#[test]
fn words_of_names_and_phrases_over_lines() {
    let parted = words("a was_told\n/// TokenSight");
    let shown: Vec<_> = parted.iter().map(|word| (word.line, word.text)).collect();
    assert_eq!(shown, [(1, "a"), (1, "was"), (1, "told"), (2, "Token"), (2, "Sight")]);
    let found = Bans::new().found_in("a.md", "the\n# last\n# word. Once. More");
    assert_eq!(found, ["a.md:2: \"last word\": write report, status, value"]);
}
