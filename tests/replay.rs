//! A recording of the built binary, and what its replay prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![allow(clippy::disallowed_methods)] // it starts programs, takes times and makes folders

#[path = "support/golden.rs"]
mod golden;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)]
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, SIGNATURE, bare, payload, token};
use serde_json::{Value, json};
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::time_server::TimeServer;

/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// An agent that records.
struct Agent {
    child: Child,
    recording: PathBuf,
}

impl Agent {
    /// With everything that it prints in files beside the recording.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let recording = folder.join("recording.jsonl");
        let file = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        bare(&mut command).args(["run", "--clock-discover", "false", "--record"]).arg(&recording);
        command.args(arguments).stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        Self { child: command.spawn().unwrap(), recording }
    }

    /// Waits until the recording holds every one of `words`.
    fn until(&self, words: &[&str]) {
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(&self.recording).unwrap_or_default();
            let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
            if missing.is_empty() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{missing:?} was never recorded:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it printed to its end.
    fn stop(mut self) -> String {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(self.recording.with_file_name("out")).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exit status, standard output, standard error.
fn tokenwatch(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    let output = bare(&mut command).args(arguments).stdin(Stdio::null()).output().unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn replay(file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    tokenwatch(&[&["replay", file.to_str().unwrap()], more].concat())
}

fn replay_json(file: &Path) -> Value {
    let (status, out, err) = replay(file, &["--output", "json"]);
    assert!(status.is_some_and(|status| status < 2), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// What must be the same whatever things are called.
fn essence(replayed: &Value) -> Vec<String> {
    let alerts = replayed["alerts"].as_array().unwrap();
    let of = |alert: &Value| {
        ["at", "event", "code", "severity", "raised_at"].map(|key| alert[key].to_string()).join(" ")
    };
    alerts.iter().map(of).collect()
}

fn here() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn true_time() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Wall::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

#[test]
fn a_replay_prints_what_the_agent_printed() {
    let (node, folder) = (Node::new(), tempfile::tempdir().unwrap());
    let server = TimeServer::start((here(), 0), true_time).unwrap();
    node.pod("cart", &token(&payload("cart", 700, 600)));
    node.pod("late", &token(&payload("late", 605, 600)));
    let (root, server) = (node.root().to_str().unwrap(), server.address().to_string());
    let agent = Agent::start(
        folder.path(),
        &["--node", "node-1", "--root", root, "--clock-server", &server],
    );
    agent.until(&["uid-cart", "uid-late", "ntp_round"]);
    node.pod("cart", &token(&payload("cart", 1, 600)));
    let rotated = format!("\"issued_at\":{}", node::now() - 1);
    let started = Instant::now();
    while std::fs::read_to_string(folder.path().join("out")).unwrap().matches("cleared").count() < 1
    {
        assert!(started.elapsed() < PATIENCE, "{rotated}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let recording = agent.recording.clone();
    let printed = agent.stop();
    assert!(printed.contains("token.expired") && printed.contains("cleared"), "{printed}");

    let (status, replayed, err) = replay(&recording, &[]);
    assert_eq!((status, err.as_str()), (Some(1), ""), "late is expired at the end");
    let summary = replayed.strip_prefix(&printed).unwrap_or_else(|| {
        panic!("the agent printed\n{printed}\nand its replay\n{replayed}");
    });
    assert!(summary.starts_with("\nrecorded on node node-1 by tokenwatch "), "{summary}");
    assert!(summary.contains("active at the end: 1\n\ncritical token.expired"), "{summary}");
    assert!(!summary.contains("before the agent stopped"), "{summary}");

    let json = replay_json(&recording);
    assert_eq!(json["findings"][0]["code"], "token.expired");
    assert_eq!(json["findings"].as_array().unwrap().len(), 1);
    let recorded = &json["recording"];
    assert_eq!(
        (&recorded["node"], &recorded["stopped"], &recorded["lost"], &recorded["cut_off"]),
        (&json!("node-1"), &json!(true), &json!(0), &json!(false))
    );
}

#[test]
fn the_recording_of_a_killed_agent_is_replayed() {
    let (node, folder) = (Node::new(), tempfile::tempdir().unwrap());
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let mut agent = Agent::start(folder.path(), &["--root", node.root().to_str().unwrap()]);
    // Nothing is judged before the scan has ended.
    agent.until(&["uid-cart", r#""source":"files""#]);
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let (status, out, _) = replay(&agent.recording, &[]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("the recording ends before the agent stopped"), "{out}");

    let whole = std::fs::read(&agent.recording).unwrap();
    std::fs::write(&agent.recording, &whole[..whole.len() - 9]).unwrap();
    let (status, out, _) = replay(&agent.recording, &[]);
    assert!(status.is_some_and(|status| status < 2), "{out}");
    assert!(out.contains("the last line is cut off and was left out"), "{out}");
}

/// Writes a volume of one file.
fn volume(root: &Path, uid: &str, volume: &str, path: &str, content: &str) {
    let volume = root.join("pods").join(uid).join("volumes/kubernetes.io~projected").join(volume);
    let data = volume.join("..2026_01_01_00_00_00.1");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join(path), content).unwrap();
    std::os::unix::fs::symlink("..2026_01_01_00_00_00.1", volume.join("..data")).unwrap();
    std::os::unix::fs::symlink(format!("..data/{path}"), volume.join(path)).unwrap();
}

#[test]
fn a_recording_holds_no_byte_of_a_token() {
    let (node, folder) = (Node::new(), tempfile::tempdir().unwrap());
    let good = token(&payload("good", 1, 600));
    let cut = good[..good.len() / 2].to_owned();
    let long = format!("{}.{}", token(&payload("long", 1, 600)), "cGFydC10aGF0LWlzLXRvby1tdWNo");
    let binary = token(&payload("binary", 1, 600)).replace('.', ".*");
    let all = [("good", &good), ("cut", &cut), ("long", &long), ("binary", &binary)];
    for (pod, content) in all {
        node.pod(pod, content);
    }
    let agent = Agent::start(folder.path(), &["--root", node.root().to_str().unwrap()]);
    agent.until(&["uid-good", "uid-cut", "uid-long", "uid-binary", "malformed"]);
    let recording = agent.recording.clone();
    agent.stop();
    let text = std::fs::read_to_string(&recording).unwrap();
    let segments = all.iter().flat_map(|(_, token)| token.split('.'));
    for segment in segments.chain([SIGNATURE, "eyJ"]) {
        // Shorter than this a segment says nothing, and may be anywhere by chance.
        let canary = &segment[..segment.len().min(24)];
        assert!(canary.len() < 3 || !text.contains(canary), "{canary} in\n{text}");
    }
}

/// Every name here begins with this, and nothing else does.
const PLANTED: &str = "zq";

/// A token in which everything that can be named has a planted name.
fn planted(pod: &str, age: i64) -> String {
    let mut claims = payload(pod, age, 600);
    claims["iss"] = json!("https://zqissuer.example");
    claims["aud"] = json!(["https://zqaudience.example", "zqvault"]);
    claims["sub"] = json!("system:serviceaccount:zqspace:zqaccount");
    claims["jti"] = json!(format!("zqjti-{pod}"));
    claims["kubernetes.io"] = json!({
        "namespace": "zqspace",
        "serviceaccount": {"name": "zqaccount", "uid": "zqaccount-uid"},
        "pod": {"name": pod, "uid": format!("uid-{pod}")},
        "node": {"name": "zqnode", "uid": "zqnode-uid"},
    });
    token(&claims).replace("key-1", "zqkey")
}

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "zqcontext",
    "contexts": [{"name": "zqcontext", "context": {"cluster": "zqcluster", "user": "zquser"}}],
    "clusters": [{"name": "zqcluster", "cluster": {"server": "https://zqapi.invalid:6443"}}],
    "users": [{"name": "zquser", "user": {}}]}"#;

/// A node whose every name is planted, and what the agent cannot reach there.
fn planted_node(folder: &Path) -> Vec<String> {
    let root = folder.join("zqroot");
    volume(&root, "uid-zqpod", "kube-api-access-zq1", "token", &planted("zqpod", 700));
    volume(&root, "uid-zqother", "zqvolume", "zqpath", &planted("zqother", 1));
    volume(&root, "zqbroken-uid", "kube-api-access-zq2", "token", "eyJhbGciOiJub25lIn0.zq");
    // Its ..data leads out of the volume: unreadable, with the reason.
    let out = root.join("pods/uid-zqpod/volumes/kubernetes.io~projected/zqout");
    std::fs::create_dir_all(&out).unwrap();
    std::os::unix::fs::symlink("../../../../zqelsewhere", out.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/token", out.join("token")).unwrap();
    // kubelet has mounted this one, and the agent sees nothing there.
    let ready = "plugins/kubernetes.io~empty-dir/wrapped_zqhidden";
    let pod = root.join("pods/uid-zqhidden");
    std::fs::create_dir_all(pod.join(ready)).unwrap();
    std::fs::write(pod.join(ready).join("ready"), "").unwrap();
    std::fs::create_dir_all(pod.join("volumes/kubernetes.io~projected/zqhidden")).unwrap();
    let kubeconfig = folder.join("zqkubeconfig");
    std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    [
        ["--node", "zqnode"].map(ToOwned::to_owned),
        ["--root".to_owned(), path(root)],
        ["--kubeconfig".to_owned(), path(kubeconfig)],
        ["--kubernetes", "true"].map(ToOwned::to_owned),
        ["--clock-server", "zqntp.invalid"].map(ToOwned::to_owned),
        ["--otlp-endpoint", "http://zqcollector.invalid:4317"].map(ToOwned::to_owned),
    ]
    .concat()
}

/// Records there until everything was seen.
fn recorded_there(more: &[&str], seen: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let server = TimeServer::start((here(), 0), true_time).unwrap();
    let address = server.address().to_string();
    let arguments = planted_node(folder.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let clock = ["--clock-server", address.as_str()];
    let agent = Agent::start(folder.path(), &[&arguments, &clock[..], more].concat());
    agent.until(seen);
    let recording = agent.recording.clone();
    agent.stop();
    (folder, recording)
}

const SEEN: [&str; 8] = [
    "\"token\":{",
    "malformed",
    "unreadable",
    "blind",
    "unreachable",
    "resolve",
    "\"last_error\":\"",
    "reference_id",
];

fn no_name_is_left(recording: &Path) {
    let text = std::fs::read_to_string(recording).unwrap();
    let folder = recording.parent().unwrap().file_name().unwrap().to_str().unwrap();
    for name in [PLANTED, "127.0.0.1", "eyJ", SIGNATURE, folder] {
        let place = text.to_lowercase().find(&name.to_lowercase());
        let around = place.map(|at| text.get(at.saturating_sub(200)..at + 60).unwrap_or("?"));
        assert_eq!(around, None, "{name} is in the recording");
    }
}

#[test]
fn a_recording_with_pseudonyms_names_nothing_of_the_cluster() {
    let (_folder, recording) = recorded_there(&["--pseudonyms"], &SEEN);
    no_name_is_left(&recording);
    let replayed = replay_json(&recording);
    assert_eq!(replayed["recording"]["pseudonyms"], true);
    let codes = replayed["findings"].to_string();
    for code in ["token.expired", "agent.blind"] {
        assert!(codes.contains(code), "{code} is not in {codes}");
    }
}

#[test]
fn a_recording_is_converted_and_its_findings_stay_the_same() {
    let (folder, recording) = recorded_there(&[], &SEEN);
    let text = std::fs::read_to_string(&recording).unwrap();
    assert!(text.matches(PLANTED).count() > 20, "the names are there to be replaced:\n{text}");
    let converted = folder.path().join("converted.jsonl");
    let more = ["--pseudonyms", "--write", converted.to_str().unwrap()];
    let (status, out, err) = replay(&recording, &more);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("look at the file before you send it"), "{out}");
    no_name_is_left(&converted);
    // Alerts of one moment are ordered by the names of their subjects.
    let sorted = |path: &Path| {
        let mut alerts = essence(&replay_json(path));
        alerts.sort();
        alerts
    };
    assert_eq!(sorted(&converted), sorted(&recording));
    assert_eq!(replay(&recording, &more).0, Some(2), "it is not written over");
}

const HEADER: &str =
    r#"{"format":"tokenwatch-recording","version":1,"tokenwatch":"0.1.0","config":{"node":"n1"}}"#;

#[test]
fn what_cannot_be_replayed_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let tick = r#"{"now":{"wall":0,"monotonic":0},"observation":"tick"}"#;
    let table = [
        (String::new(), "the file is empty"),
        ("a log\n".to_owned(), "line 1 is not the header of a recording"),
        ("{\"version\":1}\n".to_owned(), "line 1 is not the header of a recording"),
        (HEADER.replace(":1,", ":7,"), "format version 7, and this tokenwatch reads version 1"),
        (HEADER.replace("\"config\":", "\"conf\":"), "line 1 is a damaged header"),
        (HEADER[..60].to_owned(), "line 1 is a damaged header"),
        (format!("{HEADER}\n{tick}\n{{\"now\"\n{tick}\n"), "line 3 is not JSON (column 6)"),
        (format!("{HEADER}\n{tick}\n\n{tick}\n"), "line 3 is not JSON"),
        (format!("{HEADER}\n{}\n", tick.replace("tick", "tock")), "line 2 is no entry"),
        (format!("{HEADER}\n{}", " ".repeat(17 << 20)), "line 2 is longer than 16 MiB"),
        (format!("{HEADER}\n\u{0}\u{1}\n"), "line 2 is not JSON"),
    ];
    for (content, says) in table {
        std::fs::write(&file, &content).unwrap();
        let head: String = content.chars().take(120).collect();
        let (status, _, err) = replay(&file, &[]);
        assert_eq!(status, Some(2), "{head}: {err}");
        assert!(err.contains(says), "{head}: {err}");
        let (status, out, _) = replay(&file, &["--output", "json"]);
        assert_eq!((status, out.as_str()), (Some(2), ""));
    }
    for (path, says) in [(folder.path(), "cannot be read"), (Path::new("/no/such"), "cannot be")] {
        let (status, _, err) = replay(path, &[]);
        assert!(status == Some(2) && err.contains(says), "{err}");
    }
    let (status, out, _) = tokenwatch(&["replay"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
}

/// A recording comes from somebody else: it must not control the reader's terminal, hide what a
/// command does, or show a token.
#[test]
fn a_hostile_recording_controls_no_terminal_and_shows_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("file"), folder.path().join("new"));
    let hostile = "\u{1b}[2J\u{202e}\nforged eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    let pod = json!({"namespace": hostile, "name": hostile, "uid": "u", "owner": null});
    let finding = json!({
        "code": "token.expired", "severity": "critical", "summary": hostile, "deadline": null,
        "subject": {"token": {"pod": pod, "volume": hostile, "path": hostile}},
        "evidence": {"generation": format!("iat-{hostile}"), "service_account": hostile},
        "remedy": {"text": hostile, "command": hostile}, "trace": null,
    });
    let now = json!({"wall": 1_800_000_000_000_000_000_i64, "monotonic": 0});
    let raised = json!({"finding": finding, "raised_at": 0, "said_at": 0});
    let spot = json!({"pod_uid": "*", "volume": "*", "directory": hostile, "reason": hostile});
    let lines = [
        HEADER.replace("\"0.1.0\"", &json!(hostile).to_string()),
        json!({"now": now, "restored": [raised]}).to_string(),
        json!({"now": now, "observation": {"blind": [spot]}}).to_string(),
    ];
    std::fs::write(&file, lines.join("\n") + "\n{\"now\"").unwrap();
    for output in [&["--output", "text"], &["--output", "json"]] {
        let (status, out, err) = replay(&file, output);
        assert_eq!((status, err.as_str()), (Some(1), ""), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains("eyJ"), "{out}");
        assert!(!out.lines().any(|line| line.trim_start().starts_with("forged")), "{out}");
    }
    let target = new.to_str().unwrap();
    let (status, out, err) = replay(&file, &["--pseudonyms", "--write", target]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("The last line was cut off and is left out."), "{out}");
    let written = std::fs::read_to_string(&new).unwrap();
    assert!(!written.contains("eyJ") && !written.contains("forged"), "{written}");
}

#[test]
fn a_compressed_recording_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.jsonl.gz");
    std::fs::write(&file, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]).unwrap();
    let (status, _, err) = replay(&file, &[]);
    assert!(status == Some(2) && err.contains("decompress it with `gunzip`"), "{err}");
}

#[test]
fn a_gap_is_reported_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let now = r#"{"now":{"wall":1800000000000000000,"monotonic":0}"#;
    std::fs::write(&file, format!("{HEADER}\n{now},\"lost\":17}}\n{now},\"stopped\":true}}\n"))
        .unwrap();
    let (status, out, _) = replay(&file, &[]);
    assert_eq!(status, Some(0), "nothing is active");
    assert!(out.starts_with("(17 entries are missing here: "), "{out}");
    assert!(out.contains("17 entries are missing in all"), "{out}");
    assert!(out.contains("active at the end: none"), "{out}");
}

#[test]
fn an_argument_that_looks_like_a_token_is_not_repeated() {
    let secret = token(&payload("cart", 1, 600));
    let segments: Vec<&str> = secret.split('.').collect();
    for arguments in [
        vec!["replay", secret.as_str()],
        vec!["replay", "file", secret.as_str()],
        vec!["replay", "file", "--output", secret.as_str()],
        vec!["replay", "file", "--pseudonyms", "--write", secret.as_str(), secret.as_str()],
        vec!["run", "--record", &format!("/no/such/{secret}")],
        vec![secret.as_str()],
    ] {
        let (status, out, err) = tokenwatch(&arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
        assert!(!segments.iter().any(|segment| err.contains(segment)), "{err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn a_recording_is_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(of("file"), "kept").unwrap();
    std::os::unix::fs::symlink(of("file"), of("link")).unwrap();
    nix::unistd::mkfifo(Path::new(&of("pipe")), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, says) in [
        ("file", "exists, and a recording never replaces a file"),
        ("link", "is no regular file"),
        ("pipe", "is no regular file"),
        ("no/such", "cannot be created"),
    ] {
        let (status, _, err) = tokenwatch(&["run", "--record", &of(name)]);
        assert!(status == Some(2) && err.contains(says), "{err}");
    }
    assert_eq!(std::fs::read_to_string(of("file")).unwrap(), "kept");
    let (status, _, err) = tokenwatch(&["run", "--pseudonyms"]);
    assert!(status == Some(2) && err.contains("--record FILE"), "{err}");
}

#[test]
fn the_file_can_be_named_in_the_environment() {
    let (node, folder) = (Node::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("recording.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    let arguments = ["run", "--clock-discover", "false", "--root", node.root().to_str().unwrap()];
    let command = bare(&mut command).args(arguments).env("TOKENWATCH_RECORD", &file);
    let child = command.env("TOKENWATCH_PSEUDONYMS", "true").stdout(Stdio::null()).spawn().unwrap();
    let agent = Agent { child, recording: file };
    agent.until(&["\"pseudonyms\":true", "privileges"]);
    let recording = agent.recording.clone();
    let mode = std::os::unix::fs::MetadataExt::mode(&recording.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    drop(agent);
    let (status, _, err) = replay(&recording, &[]);
    assert!(status.is_some_and(|status| status < 2), "{err}");
}

/// Recordings of end-to-end tests, with pseudonyms, and the alerts that those agents sent to a real
/// collector. Each of these tests compares its replay with what the collector received.
#[test]
fn committed_recordings_give_the_alerts_of_the_live_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let recordings: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    assert!(recordings.len() >= 3, "{recordings:?}");
    for recording in recordings {
        assert!(recording.metadata().unwrap().len() < 300_000, "{recording:?}");
        let alerts = essence(&replay_json(&recording)).join("\n") + "\n";
        let name = recording.file_stem().unwrap().to_str().unwrap();
        golden::golden(&format!("../recordings/{name}.alerts.txt"), &alerts);
    }
}
