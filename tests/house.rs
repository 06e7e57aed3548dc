//! The house rules that a compiler does not know: a pure core, one room for each kind of contact with the world, data that goes one way.

#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use std::fs;
use std::path::{Path, PathBuf};

use tokenwatch_core::findings::Code;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file under `folder`, with what of it is code: comments and test modules are free to say and do what they like.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "no Rust files under {folder}");
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, code(&fs::read_to_string(&path).unwrap())));
        }
    }
}

fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Fails with every place where one of `words` is used outside `allowed`.
fn only_in(folder: &str, words: &[&str], allowed: &[&str]) {
    let is_test = |name: &str| name.contains("/tests/") || name.ends_with("tests.rs");
    let places: Vec<String> = sources(folder)
        .iter()
        .filter(|(name, _)| !is_test(name) && !allowed.iter().any(|room| name.contains(room)))
        .flat_map(|(name, code)| words.iter().filter(|word| code.contains(**word)).map(move |word| format!("{name}: {word}")))
        .collect();
    assert!(places.is_empty(), "not the room for it:\n{}", places.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let io = [
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::os",
        "std::sync",
        "SystemTime",
        "Instant",
        "tokio",
        "println!",
        "async fn",
        "Utc::now",
    ];
    only_in("agent/core/src", &io, &[]);
}

#[test]
fn the_core_depends_on_nothing_that_acts() {
    let manifest = fs::read_to_string(root().join("agent/core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    let pure = ["serde", "serde_json", "chrono", "base64", "sha2", "zeroize"];
    assert!(names.iter().all(|name| pure.contains(name)), "{names:?}");
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let chrono = workspace.lines().find(|line| line.starts_with("chrono")).unwrap();
    assert!(chrono.contains("default-features = false") && !chrono.contains("clock"), "chrono could read a clock: {chrono}");
}

#[test]
fn one_file_reads_clocks() {
    only_in("agent/src", &["SystemTime::now", "Instant::now", "clock_gettime", "Utc::now", "Local::now"], &["clocks.rs"]);
}

#[test]
fn one_file_reads_the_environment() {
    only_in("agent/src", &["env::var", "env::vars", "env!(\"HOME"], &["environment.rs"]);
}

#[test]
fn unsafe_lives_in_one_file() {
    only_in("agent", &["allow(unsafe_code)", "unsafe {"], &["agent/src/sys.rs", "agent/fuzz"]);
}

#[test]
fn nobody_sets_a_clock_or_asks_for_secrets() {
    only_in("agent/src", &["clock_settime", "settimeofday", "clock_adjtime", ".modes", "ADJ_"], &[]);
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(
        !lock.contains("name = \"kube\"") && !lock.contains("name = \"k8s-openapi\""),
        "README says that there is no Kubernetes client"
    );
}

#[test]
fn reserved_codes_are_those_that_nothing_looks_for() {
    let rooms = ["diagnosis", "clock", "engine"];
    let judging: String = sources("agent/core/src")
        .into_iter()
        .filter(|(name, _)| rooms.iter().any(|room| name.contains(room)))
        .map(|(_, code)| code)
        .collect();
    let is_used = |name: String| judging.match_indices(&name).any(|(at, _)| !judging[at + name.len()..].starts_with(char::is_alphanumeric));
    for code in Code::ALL {
        assert_eq!(code.is_reserved(), !is_used(format!("Code::{code:?}")), "{code}");
    }
}

#[test]
fn data_goes_one_way() {
    only_in("agent/src/sources", &["crate::sinks", "crate::cli", "crate::app", "crate::demo"], &[]);
    only_in("agent/src/sinks", &["crate::sources", "crate::cli", "crate::app", "crate::demo"], &[]);
}

#[test]
fn files_stay_short_enough_to_read() {
    for folder in ["agent", "tests"] {
        for (name, code) in sources(folder) {
            assert!(code.lines().count() <= 600, "{name} has {} lines", code.lines().count());
        }
    }
}
