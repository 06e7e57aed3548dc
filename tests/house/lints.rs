//! A lint that is configured can fire. A crate made of `fixtures/lints` breaks each; clippy checks
//! it with the workspace's own lint tables and clippy.toml, and has to report every line that is
//! marked. Offline: the crate's only dependencies are stand-ins beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use crate::imports::crates;
use crate::tree::Tree;

const FIXTURE: &str = "tests/house/fixtures/lints/lib.rs";
const STAND_INS: [&str; 2] = ["nix", "tokio"];
/// What stands for a group of lints in the fixture.
const GROUPS: [(&str, &str); 2] = [
    ("clippy::pedantic", "clippy::semicolon_if_nothing_returned"),
    ("rust_2018_idioms", "elided_lifetimes_in_paths"),
];
/// On top of the tables, where the core's own enums are.
const IN_THE_CORE: &str = "#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]";

pub(crate) fn every_crate_takes_the_lints(tree: &Tree) -> Vec<String> {
    let manifests = crates(tree).into_iter().map(|(_, folder)| format!("{folder}/Cargo.toml"));
    manifests
        .filter(|manifest| !tree.text(manifest).contains("[lints]\nworkspace = true"))
        .map(|manifest| format!("{manifest} does not take the workspace's lints"))
        .collect()
}

pub(crate) fn every_configured_lint_fires(tree: &Tree) -> Vec<String> {
    /// Clippy runs for a second: once for each configuration.
    static KNOWN: Mutex<BTreeMap<Vec<String>, Vec<String>>> = Mutex::new(BTreeMap::new());
    let sources = sources(tree);
    let key = sources.iter().map(|(_, text)| text.clone()).collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(key).or_insert_with(|| silent(tree, &sources)).clone()
}

/// Marks and entries for which clippy reported nothing.
fn silent(tree: &Tree, sources: &[(String, String)]) -> Vec<String> {
    let reports = reports(sources);
    let seen: BTreeSet<(usize, &str)> =
        reports.iter().map(|report| (report.line, report.lint.as_str())).collect();
    let marks = marks(tree.text(FIXTURE));
    let unseen = marks.iter().filter(|mark| !seen.contains(&(mark.0, &mark.1)));
    let unmarked =
        configured(tree).into_iter().filter(|lint| !marks.iter().any(|mark| mark.1 == *lint));
    let is_named = |path: &&str| {
        let quoted = format!("`{path}`");
        !reports.iter().any(|report| report.message.contains(&quoted))
    };
    let unnamed = paths(tree.text("clippy.toml")).into_iter().filter(is_named);
    unseen
        .map(|(line, lint)| format!("{FIXTURE}:{line}: {lint} did not fire"))
        .chain(
            unmarked.map(|lint| format!("{lint} is configured, and {FIXTURE} does not break it")),
        )
        .chain(unnamed.map(|path| format!("{path} is disallowed, and {FIXTURE} does not call it")))
        .collect()
}

/// The files of the crate.
fn sources(tree: &Tree) -> Vec<(String, String)> {
    let core = tree.text("agent/core/src/lib.rs");
    let wildcard = core.lines().find(|line| *line == IN_THE_CORE).unwrap_or_default();
    let mut found = vec![
        ("Cargo.toml".to_owned(), manifest(tree)),
        ("clippy.toml".to_owned(), tree.text("clippy.toml").to_owned()),
        // On the fixture's first line, so that its lines keep their numbers.
        ("lib.rs".to_owned(), with_attribute(tree.text(FIXTURE), wildcard)),
    ];
    for name in STAND_INS {
        let text = tree.text(&format!("tests/house/fixtures/lints/{name}.rs"));
        let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{LIBRARY}");
        found.push((format!("{name}/Cargo.toml"), manifest));
        found.push((format!("{name}/lib.rs"), text.to_owned()));
    }
    found
}

const LIBRARY: &str = "[lib]\npath = \"lib.rs\"\n";

fn with_attribute(fixture: &str, attribute: &str) -> String {
    fixture.replace("#![allow(dead_code)]", &format!("#![allow(dead_code)] {attribute}"))
}

fn manifest(tree: &Tree) -> String {
    let dependencies: String =
        STAND_INS.map(|name| format!("{name} = {{ path = \"{name}\" }}\n")).concat();
    format!(
        "[package]\nname = \"fixture\"\nedition = \"2024\"\n{LIBRARY}[lints]\nworkspace = true\n\
         [dependencies]\n{dependencies}[workspace]\n{}",
        tables(tree.text("Cargo.toml"))
    )
}

/// The lint tables of the workspace, as they are written.
fn tables(manifest: &str) -> String {
    let tables = manifest.split("\n[").filter(|table| table.starts_with("workspace.lints."));
    tables.flat_map(|table| ["[", table, "\n"]).collect()
}

/// Every lint that the tables switch on, by the name that clippy reports; groups by their stand-in.
fn configured(tree: &Tree) -> Vec<String> {
    let mut prefix = "";
    let mut found = vec!["clippy::wildcard_enum_match_arm".to_owned()];
    for line in tables(tree.text("Cargo.toml")).lines() {
        if line.starts_with('[') {
            prefix = if line.contains("clippy") { "clippy::" } else { "" };
        } else if let Some((name, level)) = line.split_once('=')
            && (level.contains("\"warn\"") || level.contains("\"deny\""))
        {
            let lint = format!("{prefix}{}", name.trim());
            let group = GROUPS.iter().find(|(group, _)| *group == lint);
            found.push(group.map_or(lint, |(_, one)| (*one).to_owned()));
        }
    }
    found
}

/// What clippy.toml disallows.
fn paths(config: &str) -> Vec<&str> {
    config.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The marks of the fixture: line and lint.
fn marks(fixture: &str) -> Vec<(usize, String)> {
    let marked = fixture.lines().enumerate().filter_map(|(at, line)| {
        let (_, lints) = line.split_once("//~ ")?;
        Some(lints.split(' ').map(move |lint| (at + 1, lint.to_owned())))
    });
    marked.flatten().collect()
}

struct Report {
    line: usize,
    lint: String,
    message: String,
}

/// What clippy reports of the crate.
fn reports(sources: &[(String, String)]) -> Vec<Report> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in sources {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = clippy(folder.path()).output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout);
    let found: Vec<Report> = lines.lines().filter_map(report).collect();
    assert!(!found.is_empty(), "clippy: {}", String::from_utf8_lossy(&output.stderr));
    found
}

fn clippy(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["clippy", "--offline", "--quiet", "--message-format=json"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CLIPPY_CONF_DIR", folder);
    command
}

fn report(line: &str) -> Option<Report> {
    let found: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = &found["message"];
    let line = message["spans"][0]["line_start"].as_u64()?;
    Some(Report {
        line: usize::try_from(line).ok()?,
        lint: message["code"]["code"].as_str()?.to_owned(),
        message: message["message"].as_str()?.to_owned(),
    })
}
