//! The house rules that a compiler does not know: a pure core, one room for each kind of contact
//! with the world, data that goes one way.

#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use std::fs;
use std::path::{Path, PathBuf};

use tokenwatch_core::findings::Code;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file under `folder`, with what of it is code: comments and test modules are free to
/// say and do what they like.
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

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs")
}

/// Fails with every place where one of `words` is used outside `allowed`: files, or folders with a
/// slash at the end.
fn only_in(folder: &str, words: &[&str], allowed: &[&str]) {
    let is_allowed = |name: &str| {
        allowed.iter().any(|room| name == *room || (room.ends_with('/') && name.starts_with(room)))
    };
    let places: Vec<String> = sources(folder)
        .iter()
        .filter(|(name, _)| !is_test(name) && !is_allowed(name))
        .flat_map(|(name, code)| {
            words
                .iter()
                .filter(|word| code.contains(**word))
                .map(move |word| format!("{name}: {word}"))
        })
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
        "std::{", // would hide which parts of it are taken
        "use std::*",
        "SystemTime",
        "UNIX_EPOCH",
        "Instant",
        "tokio",
        "print!",
        "println!",
        "dbg!",
        "env!",
        "include_",
        "extern ",
        "async ",
        ".await",
        "Utc::now",
        "Local::now",
        "tokenwatch::",
    ];
    only_in("agent/core/src", &io, &[]);
}

#[test]
fn the_core_depends_on_nothing_that_acts() {
    let manifest = fs::read_to_string(root().join("agent/core/Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split("[dev-dependencies]")
        .next()
        .unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    let pure = ["serde", "serde_json", "chrono", "base64", "sha2", "zeroize"];
    assert!(names.iter().all(|name| pure.contains(name)), "{names:?}");
    let tables: Vec<&str> = manifest.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(
        tables,
        ["[package]", "[lints]", "[dependencies]", "[dev-dependencies]"],
        "nothing else brings code in"
    );
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let chrono = workspace.lines().find(|line| line.starts_with("chrono")).unwrap();
    assert!(
        chrono.contains("default-features = false") && !chrono.contains("clock"),
        "chrono could read a clock: {chrono}"
    );
}

/// What reads a clock.
const CLOCKS: [&str; 8] = [
    "SystemTime::now",
    "EPOCH.elapsed",
    "Instant::now",
    "clock_gettime",
    "gettimeofday",
    "libc::time(",
    "Utc::now",
    "Local::now",
];

#[test]
fn one_file_reads_clocks() {
    only_in("agent/src", &CLOCKS, &["agent/src/clocks.rs"]);
}

/// What reads the environment; of which the arguments, which `main` takes, are none. clap would
/// read it by `env`.
const ENVIRONMENT: [&str; 9] = [
    "env::var",
    "env::{",
    "env::*",
    "env::temp_dir",
    "env::home_dir",
    "env::current_dir",
    "getenv",
    "arg(env",
    " env =",
];

#[test]
fn one_file_reads_the_environment() {
    only_in("agent/src", &ENVIRONMENT, &["agent/src/environment.rs"]);
}

#[test]
fn unsafe_lives_in_one_file() {
    let words = ["(unsafe_code", "unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    only_in("agent", &words, &["agent/src/sys.rs", "agent/fuzz/"]);
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"deny\""));
    for manifest in ["agent/Cargo.toml", "agent/core/Cargo.toml"] {
        assert!(
            read(manifest).contains("[lints]\nworkspace = true"),
            "{manifest} does not take the workspace's lints"
        );
    }
}

/// Bytes become claims where they are wiped afterwards: in the reader of token files, and in
/// `explain`, which is handed a token.
#[test]
fn one_file_opens_tokens() {
    let opened = ["tokens::decode", "Decoded", "MAX_TOKEN_BYTES"];
    only_in(
        "agent/src",
        &opened,
        &["agent/src/sources/tokens/reader.rs", "agent/src/cli/explain.rs"],
    );
    let reading = [
        "unistd::read",
        "pread",
        "read_to_end",
        "read_to_string",
        "fs::read(",
        ".read(&",
        "read_exact",
        "io::copy",
        "mmap",
    ];
    // What is mounted is read by who looks for roots: a file of the process file system, not of a
    // pod.
    only_in(
        "agent/src/sources",
        &reading,
        &["agent/src/sources/tokens/reader.rs", "agent/src/discovery/roots.rs"],
    );
}

#[test]
fn nobody_sets_a_clock_or_asks_for_secrets() {
    only_in(
        "agent/src",
        &["clock_settime", "settimeofday", "clock_adjtime", ".modes", "ADJ_"],
        &[],
    );
    // Of the API the agent asks for pods and service accounts, and writes Events: no other resource
    // is so much as named, and Secrets least of all.
    let asking = [
        "agent/src/sources/pods/watch.rs",
        "agent/src/sources/service_accounts.rs",
        "agent/src/sinks/events/event.rs",
    ];
    only_in("agent/src", &["/api/", "/apis/"], &asking);
    let mut asked: Vec<String> = sources("agent/src")
        .iter()
        .filter(|(name, _)| !is_test(name))
        .flat_map(|(_, code)| api_paths(code))
        .collect();
    asked.sort();
    let expected = [
        "/api/v1/namespaces/{}/serviceaccounts/{}",
        "/api/v1/pods?fieldSelector=spec.nodeName%3D{}",
        "/apis/events.k8s.io/v1/namespaces/{}/events",
    ];
    assert_eq!(asked, expected);
    // Its typed resources would make asking for more a matter of one word.
    only_in("agent/src", &["k8s_openapi", "kube::Api", "kube::api", "kube::{"], &[]);
    only_in(
        "agent/src",
        &["kube::"],
        &["agent/src/kubernetes/", "agent/src/sources/pods/watch.rs"],
    );
}

/// Each text that begins with a path of the Kubernetes API.
fn api_paths(code: &str) -> Vec<String> {
    let texts =
        code.split('"').filter(|text| text.starts_with("/api/") || text.starts_with("/apis/"));
    texts.map(ToOwned::to_owned).collect()
}

#[test]
fn reserved_codes_are_those_that_nothing_looks_for() {
    let rooms = ["diagnosis", "engine"];
    let judging: String = sources("agent/core/src")
        .into_iter()
        .filter(|(name, _)| rooms.iter().any(|room| name.contains(room)))
        .map(|(_, code)| code)
        .collect();
    let is_used = |name: String| {
        judging
            .match_indices(&name)
            .any(|(at, _)| !judging[at + name.len()..].starts_with(char::is_alphanumeric))
    };
    for code in Code::ALL {
        assert_eq!(code.is_reserved(), !is_used(format!("Code::{code:?}")), "{code}");
    }
}

/// Each room of the binary, and the rooms it may take from. The core takes from none.
const ARROWS: [(&str, &[&str]); 15] = [
    ("clocks", &[]),
    ("environment", &[]),
    ("sys", &[]),
    ("confinement", &[]),
    ("kubernetes", &["environment"]),
    ("discovery", &[]),
    ("state_file", &["clocks"]),
    ("recorder", &[]),
    ("sources", &["clocks", "discovery", "kubernetes", "sys"]),
    ("sinks", &["clocks", "environment", "kubernetes", "state_file", "sys"]),
    ("demo", &["clocks"]),
    ("config", &["clocks", "environment", "sinks"]), /* the sinks' words: protocol, compression,
                                                      * temporality */
    ("agent", &["clocks", "kubernetes", "recorder", "sinks", "sources"]),
    (
        "setup",
        &[
            "agent",
            "clocks",
            "config",
            "confinement",
            "discovery",
            "environment",
            "kubernetes",
            "recorder",
            "sinks",
            "sources",
            "state_file",
        ],
    ),
    ("cli", &["clocks", "config", "demo", "environment", "recorder", "setup", "sinks", "sources"]),
];

#[test]
fn data_goes_one_way() {
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    for (room, open) in ARROWS {
        let shut = rooms.iter().filter(|other| **other != room && !open.contains(other));
        let words: Vec<String> = shut
            .flat_map(|other| {
                ["crate", "super", "tokenwatch"].map(|root| format!("{root}::{other}::"))
            })
            .collect();
        let words: Vec<&str> =
            words.iter().map(String::as_str).chain(["crate::{", "crate::*"]).collect();
        for (name, code) in sources("agent/src")
            .iter()
            .filter(|(name, _)| of_room(name) == room && !name.ends_with("tests.rs"))
        {
            // `use crate::sinks;` as well as `crate::sinks::Sink`
            let code = code.replace(';', "::");
            let taken: Vec<_> = words.iter().filter(|word| code.contains(**word)).collect();
            assert!(taken.is_empty(), "{name} takes {taken:?}");
        }
    }
}

/// The first part of a path below agent/src, with or without `.rs`.
fn of_room(name: &str) -> &str {
    let path = name.strip_prefix("agent/src/").unwrap_or(name);
    path.split('/').next().and_then(|first| first.split('.').next()).unwrap_or(path)
}

#[test]
fn every_room_has_its_arrows() {
    for (name, _) in sources("agent/src") {
        let room = of_room(&name);
        assert!(
            ["main", "lib"].contains(&room) || ARROWS.iter().any(|(known, _)| *known == room),
            "{name}: no arrows are declared for it"
        );
    }
}

/// Sources say what they saw, never what it means.
#[test]
fn sources_do_not_judge() {
    let judging = ["diagnosis", "engine", "findings", "ledger", "traces"]
        .map(|room| format!("tokenwatch_core::{room}"));
    let words: Vec<&str> =
        judging.iter().map(String::as_str).chain(["tokenwatch_core::{"]).collect();
    only_in("agent/src/sources", &words, &[]);
}

/// Every text file of the repository, build products left out.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if path.is_dir() {
            if ![".git", "target"].contains(&name.as_str()) {
                texts(&path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path)
            && name != ".git"
        {
            found.push((name, text));
        }
    }
}

#[test]
fn nothing_in_the_repository_is_about_one_machine() {
    let mut found = Vec::new();
    texts(&root(), &mut found);
    assert!(found.iter().any(|(name, _)| name == "README.md"));
    // In two pieces, or this file would be the first place.
    let paths = [
        ["/wo", "rk/"],
        ["/ro", "ot/."],
        ["/ho", "me/"],
        ["GOPROXY", "=http"],
        ["replace", "-with"],
    ]
    .map(|parts| parts.concat());
    for (name, text) in found {
        let seen: Vec<_> = paths.iter().filter(|path| text.contains(path.as_str())).collect();
        assert!(seen.is_empty(), "{name}: {seen:?}");
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let elsewhere = |line: &&str| {
        line.starts_with("source = ")
            && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
    };
    assert_eq!(lock.lines().find(elsewhere), None);
}

#[test]
fn files_stay_short_enough_to_read() {
    for folder in ["agent", "tests"] {
        for (name, code) in sources(folder) {
            assert!(code.lines().count() <= 600, "{name} has {} lines", code.lines().count());
        }
    }
}
