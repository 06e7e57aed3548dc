//! What is reported of a path that should hold a token and does not, also after a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers may panic, too
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/api_server.rs"]
mod api_server;
#[path = "expected/restarts.rs"]
mod restarts;
#[path = "expected/specs.rs"]
mod specs;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/volumes.rs"]
mod volumes;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokenwatch::sources::expected::ExpectedTokens;
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::world::tokens::TokenKey;
use volumes::{Node, lines};

/// What takes the place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Empty,
    /// A certificate.
    Foreign,
    /// The beginning of a token.
    CutOff,
    Pipe,
    Directory,
    LinkOut,
    LinkNowhere,
    /// The file alone is gone.
    Nothing,
    /// `..data` leads nowhere.
    DataNowhere,
    /// `..data` leads out of the volume.
    DataOut,
    /// `..data` is gone, and what it led to is not.
    NoData,
    /// A file in the place of the link that containers follow. `..data` has a sound token.
    ShownFile,
    /// That link leads out of the volume.
    ShownOut,
    /// That link leads to another file.
    ShownOther,
}

impl Instead {
    const ALL: [Self; 14] = [
        Self::Empty,
        Self::Foreign,
        Self::CutOff,
        Self::Pipe,
        Self::Directory,
        Self::LinkOut,
        Self::LinkNowhere,
        Self::Nothing,
        Self::DataNowhere,
        Self::DataOut,
        Self::NoData,
        Self::ShownFile,
        Self::ShownOut,
        Self::ShownOther,
    ];

    /// Puts it in the place of the token of `pod`, in a generation of its own.
    fn put(self, node: &Node, pod: &str, generation: i64) {
        write(node, pod, generation);
        let volume = node.volume(pod).directory().to_owned();
        let [data, token, shown] = ["..data", "..data/token", "token"].map(|at| volume.join(at));
        let content = match self {
            Self::Empty => Some(""),
            Self::Foreign => Some("-----BEGIN CERTIFICATE-----"),
            Self::CutOff => Some("eyJhbGciOiJSUzI1NiJ9.eyJhd"),
            _ => None,
        };
        if let Some(content) = content {
            return fs::write(token, content).unwrap();
        }
        match self {
            Self::DataNowhere | Self::DataOut | Self::NoData => fs::remove_file(&data).unwrap(),
            Self::ShownFile | Self::ShownOut | Self::ShownOther => {
                fs::remove_file(&shown).unwrap();
            }
            _ => fs::remove_file(&token).unwrap(),
        }
        match self {
            Self::Pipe => mkfifo(&token, Mode::S_IRWXU).unwrap(),
            Self::Directory => fs::create_dir(token).unwrap(),
            Self::LinkOut => symlink("/etc/hostname", token).unwrap(),
            Self::LinkNowhere => symlink("nowhere", token).unwrap(),
            Self::DataNowhere => symlink("..2001_01_01_00_00_00.1", data).unwrap(),
            Self::DataOut => symlink("../../../../..", data).unwrap(),
            Self::ShownFile => fs::write(shown, "-----BEGIN CERTIFICATE-----").unwrap(),
            Self::ShownOut => symlink("/etc/hostname", shown).unwrap(),
            Self::ShownOther => symlink("..data/ca.crt", shown).unwrap(),
            _ => {}
        }
    }
}

/// Has kubelet write a token. Its writer would wait for whoever writes into a named pipe.
fn write(node: &Node, pod: &str, generation: i64) {
    // Nor does it make a link where something is.
    for name in ["..data", "token"] {
        let _ = fs::remove_file(node.volume(pod).directory().join(name));
    }
    node.write(pod, generation);
}

fn key(pod: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: "vol".into(), path: "token".into() }
}

fn scan(scanner: &mut Scanner) -> Vec<String> {
    let mut out = Vec::new();
    scanner.scan(&mut out);
    lines(&out)
}

/// What the scan of a new agent reports, and the next one.
fn found(node: &Node, expected: ExpectedTokens) -> [Vec<String>; 2] {
    let mut scanner = node.scanner();
    scanner.expect(expected);
    [scan(&mut scanner), scan(&mut scanner)]
}

/// What is reported of each at the first look, where a token was before and where one should be by
/// the spec of the pod.
#[test]
fn what_is_in_the_place_of_a_token_is_reported_at_the_first_look() {
    use Instead::*;
    const OTHER: &str = "malformed: it holds something other than a token";
    const NO_FILE: &str = "malformed: it is not a regular file within its volume";
    const NO_LONGER: &str = "malformed: it is no longer a regular file within its volume";
    const ASTRAY: &str = "malformed: a container finds something else by its path";
    const MISSING: &str = "missing: NoFile";
    const LINK: &str = "unreadable: the volume's link ..data: ";
    for instead in Instead::ALL {
        let (held, spec) = match instead {
            Empty => ("malformed: the file is empty", "malformed: the file is empty"),
            Foreign => {
                ("malformed: it holds something other than a token, and held one before", OTHER)
            }
            CutOff => ("malformed: a JWT has 3 parts", "malformed: a JWT has 3 parts"),
            Pipe | LinkOut | LinkNowhere | NoData => (NO_LONGER, NO_FILE),
            Directory | Nothing => (MISSING, MISSING),
            DataNowhere | DataOut => (LINK, LINK),
            ShownFile | ShownOut | ShownOther => (ASTRAY, ASTRAY),
        };
        let node = Node::new();
        instead.put(&node, "p", 1);
        let of_spec = ExpectedTokens::default();
        of_spec.set(&BTreeSet::from([key("p")]));
        for (expected, begin) in [(ExpectedTokens::holding(vec![key("p")]), held), (of_spec, spec)]
        {
            let [first, next] = found(&node, expected);
            let [line] = first.as_slice() else { panic!("{instead:?}: {first:?}") };
            assert!(line.starts_with(&format!("p/vol/token {begin}")), "{instead:?}: {line}");
            assert_eq!(next, [""; 0], "{instead:?} is reported once");
        }
    }
}

/// The same files where nobody expects a token: a ConfigMap may have a key with any name.
#[test]
fn where_no_token_is_expected_nothing_is_missed() {
    use Instead::{CutOff, DataOut, ShownFile, ShownOther, ShownOut};
    for instead in Instead::ALL {
        let node = Node::new();
        instead.put(&node, "p", 1);
        let other = ExpectedTokens::holding(vec![key("other")]);
        let [first, _] = found(&node, other);
        let is_like_one = matches!(instead, CutOff | DataOut | ShownFile | ShownOther | ShownOut);
        assert_eq!(first.is_empty(), !is_like_one, "{instead:?}: {first:?}");
    }
}

/// A pod that is just starting: kubelet has not made the volume, or not filled it.
#[test]
fn a_volume_that_kubelet_has_not_written_misses_nothing_yet() {
    let node = Node::new();
    let expected = || {
        let expected = ExpectedTokens::default();
        expected.set(&BTreeSet::from([key("p")]));
        expected
    };
    fs::create_dir_all(node.root().join("pods/p")).unwrap();
    assert_eq!(found(&node, expected()), [[""; 0], [""; 0]]);
    fs::create_dir_all(node.volume("p").directory()).unwrap();
    assert_eq!(found(&node, expected()), [[""; 0], [""; 0]], "kubelet gets ten seconds");
}

/// What was good is reported from then on, whatever takes its place, until the volume is removed.
#[test]
fn nothing_in_the_place_of_a_token_makes_it_gone() {
    let node = Node::new();
    let mut scanner = node.scanner();
    for (generation, instead) in (1..).step_by(2).zip(Instead::ALL) {
        write(&node, "p", generation);
        assert_eq!(scan(&mut scanner), [format!("p/vol/token token {generation}")]);
        instead.put(&node, "p", generation + 1);
        let found = scan(&mut scanner);
        assert_eq!(found.len(), 1, "{instead:?}: {found:?}");
        assert!(!found[0].ends_with("gone"), "{instead:?}: {found:?}");
    }
    remove(&node.root().join("pods/p"));
    assert_eq!(scan(&mut scanner), ["p/vol/token gone"]);
}

fn remove(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
}
