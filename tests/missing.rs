//! Tokens that should be on the node and are not, as the source of token files observes them, and
//! volumes of which the agent may not read the files.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may panic, too
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/volumes.rs"]
mod volumes;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::{RenameFlags, renameat2};
use serde_json::Value;
use tokenwatch::sources::volumes::{FilesConfig, Scanner, check};
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, Volume, remove_pod};
use volumes::{Node, by_events, lines, start, token, until};

/// Paths and contents.
type Files<'a> = &'a [(&'a str, &'a str)];

const CA: (&str, &str) = ("ca.crt", "-----BEGIN CERTIFICATE-----");
const NAMESPACE: (&str, &str) = ("namespace", "shop");

/// A volume of the pod `p`.
fn volume(node: &Node, name: &str) -> Volume {
    Volume::new(&node.root(), "p", name)
}

fn write(volume: &Volume, generation: i64, files: Files<'_>) {
    let content = |(path, content): &(&str, &str)| ((*path).into(), content.as_bytes().to_vec());
    let payload: Payload = files.iter().map(content).collect();
    volume.write(&payload, Wall::from_secs(1_800_000_000 + generation)).unwrap();
}

fn scan(scanner: &mut Scanner) -> Vec<String> {
    let mut out = Vec::new();
    scanner.scan(&mut out);
    lines(&out)
}

#[test]
fn kubelets_own_volume_must_hold_a_token() {
    let empty = "malformed: the file is empty";
    let other = "malformed: it holds something other than a token";
    // (volume, its files, what is observed)
    let table: [(&str, Files<'_>, &[&str]); 12] = [
        ("kube-api-access-abcde", &[("token", ""), CA, NAMESPACE], &[empty]),
        ("kube-api-access-abcde", &[("token", "")], &[empty]),
        ("kube-api-access-abcde", &[("token", "x"), CA, NAMESPACE], &[other]),
        ("kube-api-access-abcde", &[("token", "\0\0\0\0"), CA], &[other]),
        ("kube-api-access-abcde", &[CA, NAMESPACE], &["missing: NoFile"]),
        ("kube-api-access-abcde", &[NAMESPACE], &["missing: NoFile"]),
        // Of a projected volume with such a name, but without what the plugin projects.
        ("kube-api-access-abcde", &[("app.conf", "")], &[]),
        ("kube-api-access-backup", &[("token", ""), CA, NAMESPACE], &[]),
        ("kube-api-access-backup", &[CA, NAMESPACE], &[]),
        ("config", &[("token", ""), CA, NAMESPACE], &[]),
        ("config", &[("token", "x")], &[]),
        ("config", &[CA, NAMESPACE], &[]),
    ];
    for (name, files, expected) in table {
        let node = Node::new();
        write(&volume(&node, name), 1, files);
        let mut scanner = node.scanner();
        let expected: Vec<_> =
            expected.iter().map(|what| format!("p/{name}/token {what}")).collect();
        assert_eq!(scan(&mut scanner), expected, "{name}: {files:?}");
        assert_eq!(scan(&mut scanner), [""; 0], "{name}: reported once");
    }
}

#[test]
fn a_token_that_disappears_from_kubelets_own_volume_is_missing_until_it_is_back() {
    let node = Node::new();
    let own = volume(&node, "kube-api-access-x2x2x");
    write(&own, 1, &[("token", &token(1)), CA, NAMESPACE]);
    let mut scanner = node.scanner();
    let place = "p/kube-api-access-x2x2x/token";
    assert_eq!(scan(&mut scanner), [format!("{place} token 1")]);
    write(&own, 2, &[CA, NAMESPACE]);
    assert_eq!(scan(&mut scanner), [format!("{place} missing: NoFile")]);
    write(&own, 3, &[("token", &token(3)), CA, NAMESPACE]);
    assert_eq!(scan(&mut scanner), [format!("{place} token 3")]);
    write(&own, 4, &[CA, NAMESPACE]);
    scan(&mut scanner);
    fs::remove_dir_all(own.directory()).unwrap();
    assert_eq!(scan(&mut scanner), [format!("{place} gone")]);
}

/// Empties a volume as an unmount does.
fn empty(volume: &Volume) {
    let other = tempfile::tempdir_in(volume.directory().ancestors().nth(6).unwrap()).unwrap();
    // In one step: an agent that saw no directory in between would forget the volume.
    let (here, flags) = (nix::fcntl::AT_FDCWD, RenameFlags::RENAME_EXCHANGE);
    renameat2(here, other.path(), here, volume.directory(), flags).unwrap();
}

/// Marks the volume as mounted long before this machine started.
fn mark_as_old(node: &Node, name: &str) {
    let marker =
        node.root().join(format!("pods/p/plugins/kubernetes.io~empty-dir/wrapped_{name}/ready"));
    fs::create_dir_all(marker.parent().unwrap()).unwrap();
    fs::File::create(marker).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

#[test]
fn check_reports_the_empty_volumes_that_should_hold_a_token() {
    let node = Node::new();
    for name in ["kube-api-access-x2x2x", "kube-api-access-old22", "config"] {
        fs::create_dir_all(volume(&node, name).directory()).unwrap();
    }
    mark_as_old(&node, "kube-api-access-old22");
    let started = Instant::now();
    let (observations, _, _) = check(vec![node.root()]);
    assert_eq!(
        lines(&observations),
        [
            "p/kube-api-access-old22/token missing: EmptyVolume",
            "p/kube-api-access-x2x2x/token missing: EmptyVolume"
        ]
    );
    assert!(started.elapsed() < Duration::from_secs(8), "nothing looks hidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_emptied_misses_its_tokens_until_it_is_written_again() {
    let node = Node::new();
    let vault = volume(&node, "vault");
    write(&vault, 1, &[("vault/token", &token(1)), ("other/token", &token(1)), CA]);
    let mut seen = start(by_events(&node));
    until(&mut seen, "source files well").await;
    let started = Instant::now();
    empty(&vault);
    let (lines, _) = until(&mut seen, "p/vault/vault/token missing: Emptied").await;
    assert!(started.elapsed() >= Duration::from_secs(10), "kubelet may set it up again");
    assert!(lines.contains(&"p/vault/other/token missing: Emptied".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("Blind")), "{lines:?}");
    write(&vault, 2, &[("vault/token", &token(2)), CA]);
    until(&mut seen, "p/vault/vault/token token 2").await;
    remove_pod(&node.root(), "p").unwrap();
    until(&mut seen, "p/vault/vault/token gone").await;
}

/// kubelet removes the directory with the volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_removed_misses_nothing() {
    let node = Node::new();
    for pod in ["a", "b", "c"] {
        node.write(pod, 1);
    }
    let mut seen = start(FilesConfig {
        rescan: Duration::from_millis(300),
        ..FilesConfig::new(vec![node.root()])
    });
    until(&mut seen, "source files well").await;
    fs::remove_dir_all(node.volume("a").directory()).unwrap();
    until(&mut seen, "a/vol/token gone").await;
    until(&mut seen, "WithoutTokens([\"a\"])").await;
    remove_pod(&node.root(), "b").unwrap();
    until(&mut seen, "b/vol/token gone").await;
    remove_pod(&node.root(), "a").unwrap();
    let (lines, _) = until(&mut seen, "WithoutTokens([])").await;
    assert!(!lines.iter().any(|line| line.contains("missing")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_rescan_interval_holds_without_watches_too() {
    let node = Node::new();
    node.write("p", 1);
    let config = FilesConfig {
        rescan: Duration::from_millis(200),
        degraded_rescan: Duration::from_hours(1),
        max_watches: Some(0),
        ..FilesConfig::new(vec![node.root()])
    };
    let mut seen = start(config);
    let (lines, _) = until(&mut seen, "source watch").await;
    assert!(lines.last().unwrap().contains("rescans everything every 200.0ms"), "{lines:?}");
    node.write("p", 2);
    until(&mut seen, "p/vol/token token 2").await;
}

/// Another user than the agent's.
const OTHER_USER: u32 = 1_000;
/// Without these, root may not read other users' files.
const WITHOUT_CAPABILITIES: [&str; 2] =
    ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];

/// Gives files of a volume to another user, and hides them from all others.
fn hide(volume: &Volume, files: &[&str]) {
    for file in files {
        let path = volume.directory().join("..data").join(file).canonicalize().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
}

/// What an agent without the capability finds: code, subject's path, and the finding.
fn found_without_capabilities(node: &Node) -> Vec<(String, Value)> {
    let mut command = Command::new("setpriv");
    command.args(WITHOUT_CAPABILITIES).arg(env!("CARGO_BIN_EXE_tokenwatch"));
    command.args(["check", "--output", "json", "--clock-discover", "false", "--root"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let output = command.arg(node.root()).env_clear().env("PATH", path).output().unwrap();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |finding: &Value| {
        let path = finding["subject"]["path"].as_str().unwrap_or_default();
        format!("{} {path}", finding["code"].as_str().unwrap()).trim_end().to_owned()
    };
    let findings = checked["findings"].as_array().unwrap();
    let is_relevant = |finding: &&Value| {
        let code = finding["code"].as_str().unwrap();
        ["token.unreadable", "token.malformed", "token.missing", "agent.blind"].contains(&code)
    };
    let relevant = findings.iter().filter(is_relevant);
    relevant.map(|finding| (name(finding), finding.clone())).collect()
}

/// Only root can give files away. Without it this test prints that it is skipped; in CI it fails.
fn can_hide() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI has to run this as root");
    if !root {
        eprintln!("SKIPPED: needs root to give files to another user");
    }
    root
}

#[test]
fn files_that_cannot_be_read_are_one_finding_for_each_volume() {
    if !can_hide() {
        return;
    }
    let sound = token(1);
    let own: Files<'_> = &[("token", &sound), CA, NAMESPACE];
    let two: Files<'_> = &[("a-token", &sound), ("vault/token", &sound), CA];
    let config: Files<'_> = &[("tls.key", "k"), ("app.conf", "c")];
    let named: Files<'_> = &[("azure-identity-token", &sound), ("x", "y")];
    // (volume, its files, those that cannot be read, what is found)
    let table: [(&str, Files<'_>, &[&str], &[&str]); 7] = [
        ("kube-api-access-x2x2x", own, &["token", "ca.crt", "namespace"], &["unreadable token"]),
        ("kube-api-access-x2x2x", own, &["ca.crt", "namespace"], &[]),
        ("kube-api-access-x2x2x", own, &["token"], &["unreadable token"]),
        ("v", two, &["a-token", "vault/token", "ca.crt"], &["unreadable vault/token"]),
        ("v", named, &["azure-identity-token", "x"], &["unreadable azure-identity-token"]),
        ("v", config, &["tls.key"], &["blind"]),
        ("v", own, &["ca.crt"], &[]),
    ];
    for (name, files, hidden, expected) in table {
        let node = Node::new();
        let of = volume(&node, name);
        write(&of, 1, files);
        hide(&of, hidden);
        let expected: Vec<String> = expected
            .iter()
            .map(|what| format!("{}.{what}", if *what == "blind" { "agent" } else { "token" }))
            .collect();
        let found = found_without_capabilities(&node);
        let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected.iter().collect::<Vec<_>>(), "{name}: {hidden:?}");
        for (_, finding) in found {
            assert!(finding.to_string().contains("CAP_DAC_READ_SEARCH"), "{finding:#}");
        }
    }
}

#[test]
fn an_unreadable_file_is_described_by_its_mode_and_owner() {
    if !can_hide() {
        return;
    }
    let node = Node::new();
    let own = volume(&node, "kube-api-access-x2x2x");
    write(&own, 1, &[("token", &token(1)), CA]);
    hide(&own, &["token", "ca.crt"]);
    let (_, finding) = found_without_capabilities(&node).remove(0);
    assert_eq!(
        finding["evidence"]["reason"],
        "open: Permission denied (EACCES); the file has mode 0440 and belongs to user 1000 and \
         group 1000, and the agent lacks CAP_DAC_READ_SEARCH"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_many_volumes_is_named_and_takes_no_watches_of_others() {
    let node = Node::new();
    node.write("z-pod", 1);
    (0..80).for_each(|nth| node.write_to("hog", &format!("v{nth:02}"), 1));
    let quick = Duration::from_millis(200);
    let mut seen = start(FilesConfig { degraded_rescan: quick, ..by_events(&node) });
    let (lines, _) = until(&mut seen, "source watch 16 volumes not watched").await;
    let seen_at_once = lines.iter().filter(|line| line.contains("token token 1")).count();
    assert_eq!(seen_at_once, 81, "the tokens of all are read: {lines:?}");
    let degraded = lines.last().unwrap();
    assert!(degraded.contains("of pods with more than 64"), "{degraded}");
    let (lines, _) = until(&mut seen, "Unwatched(").await;
    let named = "unknown: Changes, pods: [UnwatchedPod { pod_uid: \"hog\", volumes: 16 }]";
    assert!(lines.last().unwrap().contains(named), "{lines:?}");
    node.write_to("hog", "v79", 2);
    until(&mut seen, "hog/v79/token token 2").await;
    remove_pod(&node.root(), "hog").unwrap();
    until(&mut seen, "source watch well").await;
    node.write("z-pod", 2);
    until(&mut seen, "z-pod/vol/token token 2").await;
}
