//! Any bytes as the answer of what listens where the agent should: `/readers`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;
use tokenwatch_core::base::text::escaped;

use super::ask::parsed;
use super::{Found, Origin, json, render};
use crate::cli::output::Layout;
use crate::cli::report::fuzzed::reports;
use crate::fuzzed::assert_shown_without_signature;
use crate::reader_list::ReaderList;

const AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9723);

/// Everything that a command prints of a list is safe for a terminal, and a stale reader decides
/// about the exit status.
pub(crate) fn readers_answer(bytes: &[u8]) {
    let Some(list) = parsed(bytes) else { return };
    unchanged(&list);
    let found = Found { list, origin: Origin::Agent(AT) };
    assert_eq!(found.exit_code() == 1, found.has_stale());
    let (texts, values) = reports(&found);
    let texts = texts.into_iter().chain([render::table(&found, Layout::plain())]);
    texts.for_each(|text| printed(bytes, &text));
    let values = values.into_iter().chain([json(&found)]);
    values.for_each(|value| in_json(bytes, &value));
}

/// The list is the same after it was sent on. `serde_json` reads a fraction with a small error.
fn unchanged(list: &ReaderList) {
    let mut list = list.clone();
    for reader in &mut list.readers {
        (reader.habit.period, reader.habit.window) = (None, None);
    }
    assert_eq!(parsed(list.to_json().as_bytes()).as_ref(), Some(&list));
}

/// As `streams` prints it.
fn printed(bytes: &[u8], text: &str) {
    assert_shown_without_signature(bytes, text);
    for line in text.lines() {
        assert_eq!(escaped(line), line, "a terminal would act on it");
    }
}

/// Each text in it: JSON escapes some control characters, and not those of a terminal alone.
fn in_json(bytes: &[u8], value: &Value) {
    match value {
        Value::String(text) => printed(bytes, text),
        Value::Array(values) => values.iter().for_each(|value| in_json(bytes, value)),
        Value::Object(values) => values.values().for_each(|value| in_json(bytes, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
