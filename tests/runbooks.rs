//! docs/runbooks is what the binary prints about its findings.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "support/golden.rs"]
mod golden;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use golden::golden;
use tokenwatch_core::findings::Code;
use tokenwatch_core::world::readers::libraries::{self, Library};

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenwatch"))
        .arg("findings")
        .args(arguments)
        .args(["--output", "markdown"])
        .env_clear()
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks")
}

#[test]
fn every_page_is_the_printed_one() {
    golden("../../docs/runbooks/README.md", &printed(&[]));
    for code in Code::ALL {
        golden(&format!("../../docs/runbooks/{code}.md"), &printed(&[code.as_str()]));
    }
}

#[test]
fn there_is_no_page_of_a_removed_code() {
    let wanted: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| format!("{code}.md"))
        .chain(["README.md".to_owned(), "generate".to_owned()])
        .collect();
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, wanted, "docs/runbooks/generate writes the pages again");
}

/// The test covers the script that contributors run.
#[test]
fn the_script_writes_the_same() {
    let copy = tempfile::tempdir().unwrap();
    let ran = Command::new(folder().join("generate"))
        .arg(copy.path())
        .env("TOKENWATCH", env!("CARGO_BIN_EXE_tokenwatch"))
        .status();
    assert!(ran.unwrap().success());
    for entry in std::fs::read_dir(copy.path()).unwrap().map(Result::unwrap) {
        let (written, kept) = (
            std::fs::read(entry.path()).unwrap(),
            std::fs::read(folder().join(entry.file_name())).unwrap(),
        );
        assert_eq!(written, kept, "{}", entry.path().display());
    }
}

/// docs/reader-evidence.md has a table of agent/core/src/world/readers/libraries.txt.
#[test]
fn the_page_about_readers_has_every_library() {
    const BELOW: &str = "<!-- The table below is generated";
    const ABOVE: &str = "<!-- The table above is generated";
    let page = std::fs::read_to_string(folder().join("../reader-evidence.md")).unwrap();
    let (head, rest) = page.split_at(page.find(BELOW).unwrap());
    let (mark, _) = rest.split_at(rest.find('\n').unwrap() + 1);
    let tail = &page[page.find(ABOVE).unwrap()..];
    golden("../../docs/reader-evidence.md", &format!("{head}{mark}\n{}\n{tail}", libraries()));
}

fn libraries() -> String {
    let head = [
        "| component | versions | habit | recognised by | re-reads from | confidence | source |",
        "|---|---|---|---|---|---|---|",
    ];
    let rows = libraries::table().map(|library| row(&library));
    let lines = head.map(str::to_owned).into_iter().chain(rows);
    lines.map(|line| line + "\n").collect()
}

fn row(library: &Library) -> String {
    let used = library.used.map(|used| format!(" ({used})")).unwrap_or_default();
    let cells = [
        format!("{}{used}", library.component),
        library.versions.as_str().to_owned(),
        library.reads.to_string(),
        library.recognised.as_str().to_owned(),
        library.cure.to_string(),
        library.confidence.name().to_owned(),
        library.source.to_owned(),
    ];
    format!("| {} |", cells.map(|cell| cell.replace('<', "&lt;")).join(" | "))
}
