//! YAML as a tree in which every node knows its line and column, so that all mistakes of a file can
//! be told at once.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Spanned};

/// No configuration is longer; what is, is something else.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The deepest setting is two levels down.
const MAX_DEPTH: usize = 16;

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// A node and where it is.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) node: Node,
}

/// What YAML knows.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, quoted or not, that is no number.
    Text(String),
    /// A number or a truth value, as text. Its spelling in the file is lost: `1.10` has become 1.1.
    Bare(String),
    /// A sequence.
    List(Vec<Spot>),
    /// A mapping, in order, duplicates and all.
    Map(Vec<(Spanned<String>, Spot)>),
}

impl Node {
    /// For messages.
    pub(super) fn called(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::Bare(_) => "a number or truth value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

pub(super) fn place<T>(spanned: &Spanned<T>) -> Place {
    Place { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

/// Reads a whole file. The error says where, if the parser knows.
pub(super) fn parse(text: &str) -> Result<Spot, (Option<Place>, String)> {
    if text.len() > MAX_BYTES {
        return Err((
            None,
            format!(
                "larger than {} MiB, which no configuration is: is this the right file?",
                mebibytes(MAX_BYTES)
            ),
        ));
    }
    serde_saphyr::from_str_with_options::<Spot>(text, options()).map_err(|error| {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        (place, what_is_wrong(&error))
    })
}

/// `0.25`
#[allow(clippy::cast_precision_loss)] // for people
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Bounds in time and memory against anchors that multiply, deep nesting and the like.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // Told by the loader, with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `no` and `off` stay text: whether that is wrong depends on the setting.
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: 20_000, max_events: 50_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
    }
}

/// In our own words where the parser speaks to programmers; else its message, without the place
/// that stands before it anyway.
fn what_is_wrong(error: &Error) -> String {
    match error.without_snippet() {
        Error::MultipleDocuments { .. } => {
            "a configuration is one YAML document: below a ---, another begins here".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => "this alias (*) stands within what \
                                                              its anchor (&) names, so it has no \
                                                              end: write out what is meant"
            .to_owned(),
        other => in_the_parsers_words(other),
    }
}

fn in_the_parsers_words(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let text = &text[..end];
    let start = if text.starts_with("line ") { text.find(": ").map_or(0, |at| at + 2) } else { 0 };
    tokenwatch_core::base::text::shown(&text[start..]).into_owned()
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { place: place(&spanned), node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key()? {
            map.push((key, entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}
