//! YAML as a tree in which every node knows its line and column, so that all mistakes of a file can
//! be reported at once.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Spanned};

/// Largest configuration. A larger file is something else.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting. Settings need two levels.
const MAX_DEPTH: usize = 16;

/// A position in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// A node with its position.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) node: Node,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, quoted or not, that YAML does not read as something else.
    Text(String),
    /// A number or boolean, as text. Its spelling in the file is lost: `1.10` has become 1.1.
    Bare(String),
    /// A sequence.
    List(Vec<Spot>),
    /// A mapping, in the order of the file, with duplicates.
    Map(Vec<(Spanned<String>, Spot)>),
}

impl Node {
    /// What to call it in a message.
    pub(super) fn description(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::Bare(_) => "a number or boolean",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

pub(super) fn place<T>(spanned: &Spanned<T>) -> Place {
    Place { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

/// Why a file is not a YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// The position, if the parser knows it.
    pub(super) place: Option<Place>,
    /// What is wrong, without the position.
    pub(super) message: String,
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Spot, SyntaxError> {
    if text.len() > MAX_BYTES {
        let limit = mebibytes(MAX_BYTES);
        let message = format!(
            "larger than {limit} MiB, the limit for a configuration: is this the right file?"
        );
        return Err(SyntaxError { place: None, message });
    }
    serde_saphyr::from_str_with_options::<Spot>(text, options()).map_err(|error| {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        SyntaxError { place, message: without_quotes(message(&error), text) }
    })
}

/// `0.25`
#[allow(clippy::cast_precision_loss)] // only shown in a message
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Limits on time and memory, against multiplying anchors and deep nesting.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // The loader reports them, with both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `no` and `off` stay text: some settings accept them as text.
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 20_000,
            max_events: 50_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
    }
}

/// The parser's message without the position, or our own if the parser's is for programmers.
fn message(error: &Error) -> String {
    match error.without_snippet() {
        Error::MultipleDocuments { .. } => {
            "a configuration is one YAML document, and a second one (after ---) begins here"
                .to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias (*) is inside its own anchor (&), so it never ends: write the value out"
                .to_owned()
        }
        other => parser_message(other),
    }
}

/// The message, unless it may repeat a part of the file: that may be a secret. A word of the file
/// is taken for a quotation of it, and so is what stands in quotation marks.
fn without_quotes(message: String, file: &str) -> String {
    let is_quoted = |word: &str| word.len() >= SHORTEST_SECRET && file.contains(word);
    let words = || message.split(|c: char| !c.is_ascii_alphanumeric());
    let has_marks = message.contains(['"', '`', '\\']) || message.matches('\'').count() > 1;
    if has_marks || words().any(is_quoted) || !message.is_ascii() {
        return NOT_YAML.to_owned();
    }
    message
}

/// Shorter words are in most files, and are no secrets.
const SHORTEST_SECRET: usize = 3;
const NOT_YAML: &str = "this is not valid YAML: check quotes, brackets, colons and indentation \
                        here, and on the line before";

fn parser_message(error: &Error) -> String {
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
