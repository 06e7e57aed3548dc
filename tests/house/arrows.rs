//! Which room may take from which: data goes one way. Paths are followed through re-exports, so
//! what counts is where a thing is defined.

use std::collections::BTreeSet;

use crate::imports::{Import, crates, shown};
use crate::tree::Tree;

/// The crates of the workspace, and those that each may take from.
const CRATES: &[(&str, &[&str])] = &[
    ("tokenwatch", &["tokenwatch_core", "tokenwatch_lab", "tokenwatch_otlp"]),
    ("tokenwatch_core", &[]),
    ("tokenwatch_lab", &["tokenwatch_core"]),
    ("tokenwatch_otlp", &["tokenwatch_core"]),
];

/// Each room of the core, and the rooms it may take from.
const CORE: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("world", &["base"]),
    ("traces", &["base", "world"]),
    // A finding names the trace of what it is about.
    ("findings", &["base", "traces", "world"]),
    ("diagnosis", &["base", "findings", "world"]),
    ("ledger", &["base", "diagnosis", "findings", "world"]),
    ("view", &["base", "diagnosis", "findings", "ledger", "world"]),
    ("engine", &["base", "diagnosis", "findings", "ledger", "traces", "view", "world"]),
    ("replay", &["base", "engine", "findings", "ledger", "traces", "world"]),
];

/// Each room of the binary, and the rooms it may take from.
const AGENT: &[(&str, &[&str])] = &[
    ("clocks", &[]),
    ("environment", &[]),
    ("limits", &[]),
    ("network", &[]),
    ("recurring", &[]),
    ("regular_file", &[]),
    ("streams", &[]),
    ("sys", &[]),
    ("confinement", &["sys"]),
    ("reader_list", &[]),
    ("kubernetes", &["clocks", "environment", "network", "regular_file"]),
    ("proc", &["sys"]),
    ("discovery", &["proc", "regular_file"]),
    ("state_file", &["clocks", "recurring", "regular_file"]),
    ("sources", &["clocks", "discovery", "kubernetes", "proc", "recurring", "sys"]),
    // What a setting may be is the configuration's; what it is for is a sink's.
    ("config", &["environment"]),
    (
        "sinks",
        &[
            "clocks",
            "config",
            "kubernetes",
            "network",
            "proc",
            "reader_list",
            "recurring",
            "regular_file",
            "state_file",
            "streams",
            "sys",
        ],
    ),
    ("demo", &["clocks"]),
    ("recorder", &["clocks"]),
    ("agent", &["clocks", "kubernetes", "network", "recorder", "sinks", "sources", "sys"]),
    (
        "setup",
        &[
            "agent",
            "config",
            "confinement",
            "discovery",
            "environment",
            "kubernetes",
            "proc",
            "recorder",
            "sinks",
            "sources",
            "state_file",
            "streams",
        ],
    ),
    (
        "cli",
        &[
            "clocks",
            "config",
            "demo",
            "environment",
            "limits",
            "reader_list",
            "recorder",
            "regular_file",
            "setup",
            "sinks",
            "sources",
            "streams",
        ],
    ),
    ("main", &["cli", "environment", "limits", "streams", "sys"]),
];

/// Ways to ask and sources: they report what they saw, never what it means.
const OBSERVING: &[&str] = &[
    "clocks",
    "confinement",
    "discovery",
    "environment",
    "kubernetes",
    "network",
    "proc",
    "recurring",
    "regular_file",
    "sources",
    "sys",
];

/// Of the core, what may be known of without judging.
const FACTS: &[&str] = &["base", "world"];

/// What writes tokens and signs them is no part of the product but in the demo.
const LAB: &[&str] = &["cli", "demo"];

pub(crate) fn data_goes_one_way(tree: &Tree) -> Vec<String> {
    tree.imports().iter().filter(|import| !is_allowed(import)).map(shown_import).collect()
}

fn is_allowed(import: &Import) -> bool {
    let (from, to) = (&import.from[0], &import.to[0]);
    if from != to {
        return opens(CRATES, from, to);
    }
    let rooms = rooms(from);
    match (import.from.get(1), import.to.get(1)) {
        (Some(from), Some(to)) if from != to => opens(rooms, from, to),
        _ => true,
    }
}

fn rooms(name: &str) -> &'static [(&'static str, &'static [&'static str])] {
    match name {
        "tokenwatch" => AGENT,
        "tokenwatch_core" => CORE,
        _ => &[],
    }
}

/// Whether an arrow leads from `from` to `to`; a table without rooms forbids nothing.
fn opens(table: &[(&str, &[&str])], from: &str, to: &str) -> bool {
    let arrows = table.iter().find(|(room, _)| *room == from).map(|(_, arrows)| *arrows);
    table.is_empty() || arrows.is_some_and(|arrows| arrows.contains(&to))
}

fn shown_import(import: &Import) -> String {
    let item = import.item.as_ref().map(|item| format!("::{item}")).unwrap_or_default();
    let (from, to) = (shown(&import.from), shown(&import.to));
    format!("{}:{}: {from} takes {to}{item}", import.file, import.line)
}

pub(crate) fn every_room_has_its_arrows(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, folder) in crates(tree) {
        if !CRATES.iter().any(|(known, _)| *known == name) {
            found.push(format!("{folder}: the crate {name} has no arrows"));
        }
        let source = format!("{folder}/src/");
        let files = tree.product(&source).map(|(file, _)| file);
        let rooms: BTreeSet<&str> = files.filter_map(|file| room(file, &source)).collect();
        let unknown = rooms.into_iter().filter(|room| !is_known(&name, room));
        found.extend(unknown.map(|room| format!("{source}{room}: the room has no arrows")));
    }
    found
}

fn room<'a>(file: &'a str, source: &str) -> Option<&'a str> {
    let path = file.strip_prefix(source)?;
    path.split('/').next().map(|first| first.trim_end_matches(".rs")).filter(|room| *room != "lib")
}

fn is_known(name: &str, room: &str) -> bool {
    let table = rooms(name);
    table.is_empty() || table.iter().any(|(known, _)| *known == room)
}

pub(crate) fn what_observes_does_not_judge(tree: &Tree) -> Vec<String> {
    let judges = |import: &Import| {
        import.from[0] == "tokenwatch"
            && import.to[0] == "tokenwatch_core"
            && is_in(import.from.get(1), OBSERVING)
            && !is_in(import.to.get(1), FACTS)
    };
    tree.imports().iter().filter(|import| judges(import)).map(shown_import).collect()
}

pub(crate) fn the_lab_stays_in_the_demo(tree: &Tree) -> Vec<String> {
    let strays = |import: &Import| {
        import.to[0] == "tokenwatch_lab"
            && import.from[0] != "tokenwatch_lab"
            && !is_in(import.from.get(1), LAB)
    };
    tree.imports().iter().filter(|import| strays(import)).map(shown_import).collect()
}

fn is_in(room: Option<&String>, rooms: &[&str]) -> bool {
    room.is_some_and(|room| rooms.contains(&room.as_str()))
}
