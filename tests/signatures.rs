//! Signatures of tokens, checked by the built binary against an API server's keys, and the API
//! server's own answer about tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/api_server.rs"]
mod api_server;
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api_server::ApiServer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, bare, now};
use serde_json::{Value, json};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

fn identity(name: &str) -> PodIdentity {
    PodIdentity {
        namespace: "shop".into(),
        name: name.into(),
        service_account: "cart".into(),
        node: "n1".into(),
    }
}

/// A token of that pod, a minute old.
fn signed(signer: &Signer, pod: &str) -> String {
    let request = TokenRequest {
        pod: &identity(pod),
        audiences: &[],
        issued_at: Wall::from_secs(now() - 60),
        lifetime: Delta::from_secs(3_600),
        extended: false,
    };
    signer.sign(&request).unwrap()
}

/// As a file that lost its last characters.
fn damaged(token: &str) -> String {
    token[..token.len() - 4].to_owned()
}

/// A command without the environment of this machine.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    bare(&mut command).args(arguments).stdin(Stdio::null()).args([
        "--clock-discover",
        "false",
        "--clock-assumed-bound",
        "1s",
        "--node",
        "n1",
    ]);
    command
}

/// A node with an API server that publishes one key.
struct Bed {
    node: Node,
    server: ApiServer,
    signer: Signer,
}

impl Bed {
    fn new() -> Self {
        let (node, signer) = (Node::new(), Signer::new().unwrap());
        let server = ApiServer::start(Vec::new(), None);
        server.publish(vec![signer.jwk()]);
        Self { node, server, signer }
    }

    fn write(&self, pod: &str, token: &str) {
        let payload = Payload::from([("token".into(), token.as_bytes().to_vec())]);
        let uid = identity(pod).uid();
        let volume = Volume::new(self.node.root(), &uid, "kube-api-access-x2x2x");
        volume.write(&payload, Wall::from_secs(now())).unwrap();
    }

    fn with_api(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        let kubeconfig = self.server.kubeconfig(self.node.root());
        command.args(["--kubernetes", "true", "--kubeconfig"]).arg(kubeconfig);
        command
    }

    fn check(&self, more: &[&str]) -> Seen {
        let root = self.node.root().to_string_lossy().into_owned();
        seen(&mut self.with_api(&[&["check", "--root", &root], more].concat()))
    }

    fn file(&self, token: &str) -> PathBuf {
        self.node.file("a-token", token)
    }
}

/// What a command printed, and its exit status.
struct Seen {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

fn seen(command: &mut Command) -> Seen {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Seen { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Nothing of any of these tokens.
fn assert_secret(text: &str, tokens: &[&str]) {
    for token in tokens {
        for part in token.split('.') {
            assert!(!text.contains(&part[..20]), "{text}");
        }
    }
}

#[test]
fn check_verifies_each_signature_and_accuses_only_the_damaged() {
    let bed = Bed::new();
    let good = signed(&bed.signer, "good-0");
    let bad = damaged(&signed(&bed.signer, "bad-0"));
    let other = signed(&Signer::new().unwrap(), "other-0"); // another cluster's
    for (pod, token) in [("good-0", &good), ("bad-0", &bad), ("other-0", &other)] {
        bed.write(pod, token);
    }
    let run = bed.check(&["--output", "json"]);
    let seen = run.json();
    let mut results: Vec<_> = seen["tokens"].as_array().unwrap().iter().collect();
    results.sort_by_key(|token| token["pod"]["name"].to_string());
    let results: Vec<_> = results.iter().map(|token| &token["signature"]["result"]).collect();
    assert_eq!(results, ["damaged", "verified", "no_such_key"], "{seen:#}");
    let of_code = |code: &str| -> Vec<&Value> {
        let findings = seen["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["code"] == code).collect()
    };
    let malformed = of_code("token.malformed");
    assert_eq!(malformed.len(), 1, "{seen:#}");
    let text = malformed[0]["summary"].as_str().unwrap();
    assert!(text.contains("no API server accepts") && text.contains("signature"), "{text}");
    assert_eq!(malformed[0]["subject"]["pod"]["name"], "bad-0");
    assert_eq!(run.status, Some(1));
    assert_secret(&(run.out + &run.err), &[&good, &bad, &other]);
    let table = bed.check(&[]);
    let expected = ["1 verified", "wrong: it does not fit the key", "no such key:"];
    for expected in expected {
        let flat = table.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(expected), "{expected}: {flat}");
    }
}

#[test]
fn without_keys_a_signature_is_not_checked_and_has_a_reason() {
    let bed = Bed::new();
    bed.write("bad-0", &damaged(&signed(&bed.signer, "bad-0")));
    let root = bed.node.root().to_string_lossy().into_owned();
    let arguments = ["check", "--root", &root, "--output", "json"];
    let off = seen(&mut command(&arguments));
    assert_eq!(off.status, Some(0), "nothing is accused: {}", off.out);
    let signature = &off.json()["tokens"][0]["signature"];
    assert_eq!(signature["result"], "not_checked");
    assert!(signature["meaning"].as_str().unwrap().contains("kubernetes.enabled"), "{signature}");
    // The API server publishes only ids, or a key that it cannot verify with.
    let kid = &bed.signer.jwk()["kid"];
    bed.server.publish(vec![json!({"kid": kid, "kty": "EC", "crv": "P-521"})]);
    let ids = bed.check(&["--output", "json"]);
    let signature = &ids.json()["tokens"][0]["signature"];
    assert_eq!((ids.status, &signature["result"]), (Some(0), &json!("unsupported")));
    assert!(signature["meaning"].as_str().unwrap().contains("usable key"), "{signature}");
}

#[test]
fn explain_shows_the_signature_of_a_file() {
    let bed = Bed::new();
    let good = signed(&bed.signer, "good-0");
    let bad = damaged(&good);
    for (token, result, status) in [(&good, "verified", 0), (&bad, "damaged", 1)] {
        let file = bed.file(token).to_string_lossy().into_owned();
        let run = seen(&mut bed.with_api(&["explain", &file, "--output", "json"]));
        let seen_result = &run.json()["signature"]["result"];
        assert_eq!((seen_result, run.status), (&json!(result), Some(status)), "{}", run.out);
        let text = seen(&mut bed.with_api(&["explain", &file]));
        assert!(text.out.contains("\n  signature"), "{}", text.out);
        assert_secret(&(run.out + &run.err + &text.out + &text.err), &[&good]);
    }
    // A copy on the host, as a CNI plugin makes it.
    let copy = format!("kind: Config\nusers:\n- name: calico\n  user:\n    token: {bad}\n");
    let copy = bed.file(&copy).to_string_lossy().into_owned();
    let run = seen(&mut bed.with_api(&["explain", &copy, "--output", "json"]));
    assert_eq!(run.json()["signature"]["result"], "damaged", "{}", run.out);
    let file = bed.file(&good).to_string_lossy().into_owned();
    let off = seen(&mut command(&["explain", &file]));
    let flat = off.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("signature not checked, because the Kubernetes API"), "{flat}");
    assert!(bed.server.reviews().is_empty(), "nobody wanted a review");
}

#[test]
fn explain_why_uses_the_signature() {
    let bed = Bed::new();
    bed.write("bad-0", &damaged(&signed(&bed.signer, "bad-0")));
    let root = bed.node.root().to_string_lossy().into_owned();
    let run = seen(&mut bed.with_api(&["explain", "--why", "bad-0", "--root", &root]));
    let flat = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("The signature: it does not fit the key"), "{flat}{}", run.err);
    assert_eq!(run.status, Some(1));
}

#[test]
fn check_shows_what_the_api_server_itself_answers() {
    let bed = Bed::new();
    let token = signed(&bed.signer, "cart-0");
    bed.write("cart-0", &token);
    bed.server.review_with(
        "201 Created",
        json!({"authenticated": false, "error": format!("{token} \u{1b}[31mexpired")}),
    );
    let run = bed.check(&["--token-review", "--output", "json"]);
    let review = run.json()["tokens"][0]["token_review"].clone();
    assert_eq!((&review["authenticated"], &review["agrees"]), (&json!(false), &json!(false)));
    assert_secret(&(run.out.clone() + &run.err), &[&token]);
    assert_eq!(bed.server.reviews()[0]["spec"]["token"], token);
    bed.server.review_with("201 Created", json!({"authenticated": true, "audiences": ["a"]}));
    let run = bed.check(&["--token-review"]);
    assert!(run.out.contains("the API server accepts it for a"), "{}", run.out);
    assert!(!run.out.contains("not what tokenwatch expects"), "{}", run.out);
    let without = bed.check(&["--output", "json"]).json();
    assert_eq!(without["tokens"][0].get("token_review"), None, "only if somebody asks");
    assert_eq!(bed.server.reviews().len(), 2);
}

#[test]
fn a_review_that_is_denied_or_impossible_is_not_known() {
    let bed = Bed::new();
    let file = bed.file(&signed(&bed.signer, "cart-0")).to_string_lossy().into_owned();
    bed.write("cart-0", &signed(&bed.signer, "cart-0"));
    let arguments = ["explain", &file, "--token-review", "--output", "json"];
    bed.server.review_with("403 Forbidden", json!({}));
    let denied = seen(&mut bed.with_api(&arguments)).json()["token_review"].clone();
    assert_eq!(denied["authenticated"], Value::Null);
    let why = denied["not_known_because"].as_str().unwrap();
    assert!(why.contains("system:auth-delegator"), "{why}");
    let off = seen(&mut command(&arguments));
    let why = off.json()["token_review"]["not_known_because"].to_string();
    assert!(why.contains("kubernetes.enabled") && off.status == Some(0), "{why}");
    // Without TLS, only to this machine.
    let file = bed.node.file("remote", &remote());
    let mut command = command(&arguments);
    command.args(["--kubernetes", "true", "--kubeconfig"]).arg(file);
    let why = seen(&mut command).json()["token_review"]["not_known_because"].to_string();
    assert!(why.contains("without TLS"), "{why}");
}

/// A kubeconfig for a server without TLS at an address that leads nowhere (RFC 5737).
fn remote() -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://192.0.2.1:80"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    })
    .to_string()
}

#[test]
fn the_agent_records_what_it_verified_and_a_replay_finds_the_same() {
    let bed = Bed::new();
    let (good, bad) = (signed(&bed.signer, "good-0"), damaged(&signed(&bed.signer, "bad-0")));
    bed.write("good-0", &good);
    bed.write("bad-0", &bad);
    let recording = bed.node.root().join("recording.jsonl").to_string_lossy().into_owned();
    let root = bed.node.root().to_string_lossy().into_owned();
    let arguments = ["run", "--root", &root, "--files-rescan", "1s", "--record", &recording];
    let mut command = bed.with_api(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let text = loop {
        let text = std::fs::read_to_string(&recording).unwrap_or_default();
        if text.contains(r#""verified""#) && text.contains(r#""damaged""#) {
            break text;
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("never recorded:\n{text}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    std::thread::sleep(Duration::from_secs(11)); // a file may settle for ten seconds
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
    assert_secret(&text, &[&good, &bad]);
    for more in [&[][..], &["--pseudonyms"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        let replayed = [&["replay", &recording, "--output", "json"], more].concat();
        let run = seen(bare(&mut command).args(replayed));
        assert!(run.out.contains("token.malformed"), "{}{}", run.out, run.err);
        assert_secret(&run.out, &[&good, &bad]);
    }
}

#[test]
fn check_verifies_the_copies_that_the_settings_name() {
    let bed = Bed::new();
    let (good, bad) = (signed(&bed.signer, "good-0"), damaged(&signed(&bed.signer, "bad-0")));
    let other = signed(&Signer::new().unwrap(), "other-0");
    for pod in ["good-0", "bad-0", "other-0"] {
        bed.write(pod, &signed(&bed.signer, pod)); // it exists
    }
    for (token, reason) in [(&good, None), (&bad, Some("damaged")), (&other, None)] {
        let file = bed.file(token).to_string_lossy().into_owned();
        let run = bed.check(&["--copies-path", &file, "--output", "json"]);
        let findings = run.json()["findings"].clone();
        let copies = findings.as_array().unwrap().iter().find(|one| one["code"] == "copy.stale");
        let found = copies.map(|one| (&one["evidence"]["reason"], &one["severity"]));
        let expected = reason.map(|reason| (json!(reason), json!("critical")));
        assert_eq!(found, expected.as_ref().map(|(reason, severity)| (reason, severity)));
        assert_secret(&(run.out + &run.err), &[&good, &bad, &other]);
    }
    // Without the API server's keys, nobody can tell.
    let file = bed.file(&bad).to_string_lossy().into_owned();
    let root = bed.node.root().to_string_lossy().into_owned();
    let arguments = ["check", "--root", &root, "--copies-path", &file, "--output", "json"];
    let off = seen(&mut command(&arguments));
    assert!(!off.out.contains("copy.stale"), "{}", off.out);
}
