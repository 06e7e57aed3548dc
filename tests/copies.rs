//! Copies of tokens on the host, through the built binary: `check`, `run` and `explain` on the file
//! tree of a node.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/running.rs"]
mod running;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use serde_json::{Value, json};

use node::{Node, SIGNATURE, bare, payload, token};
use running::Running;

const PATH: &str = "/etc/cni/net.d/multus.d/multus.kubeconfig";

/// A token of the pod of Multus, issued so many seconds ago.
fn of_multus(age: i64, lifetime: i64) -> String {
    let mut claims = payload("kube-multus-ds-x", age, lifetime);
    claims["sub"] = json!("system:serviceaccount:kube-system:multus");
    claims["kubernetes.io"]["namespace"] = json!("kube-system");
    claims["kubernetes.io"]["serviceaccount"]["name"] = json!("multus");
    token(&claims)
}

/// As the thin plugin writes it.
fn kubeconfig(token: &str) -> String {
    format!(
        "# Kubeconfig file for Multus CNI plugin.\napiVersion: v1\nkind: Config\nclusters:\n- \
         name: local\n  cluster:\n    server: https://[10.96.0.1]:443\nusers:\n- name: multus\n  \
         user:\n    token: \"{token}\"\ncontexts:\n- name: multus-context\n  context:\n    \
         cluster: local\n    user: multus\ncurrent-context: multus-context\n"
    )
}

/// A node with Multus: its pod has a token of this age, and its kubeconfig one of another.
fn multus(in_volume: i64, copied: i64) -> Node {
    let node = Node::of_host();
    node.pod("kube-multus-ds-x", &of_multus(in_volume, 3_607));
    node.host_file(PATH, &kubeconfig(&of_multus(copied, 3_607)));
    let configuration = json!({"cniVersion": "0.3.1", "type": "multus", "kubeconfig": PATH});
    node.host_file("/etc/cni/net.d/00-multus.conf", &configuration.to_string());
    node
}

fn tokenwatch(node: &Node) -> Command {
    by(node, Command::new(env!("CARGO_BIN_EXE_tokenwatch")))
}

/// Without these, root may not read what its mode forbids.
const WITHOUT_CAPABILITIES: [&str; 2] =
    ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];

/// As one that may not read everything. Only root has to give that up.
fn unprivileged(node: &Node) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return tokenwatch(node);
    }
    let mut command = by(node, Command::new("setpriv"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(WITHOUT_CAPABILITIES).arg(env!("CARGO_BIN_EXE_tokenwatch"));
    command
}

fn by(node: &Node, mut command: Command) -> Command {
    bare(&mut command)
        .env("TOKENWATCH_ROOTS", node.root())
        .env("TOKENWATCH_NODE", "node-1")
        .env("TOKENWATCH_CLOCK_DISCOVER", "false")
        .stdin(Stdio::null());
    command
}

/// Exit status, findings about copies, and everything that was printed.
fn check(node: &Node, more: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    checked(tokenwatch(node), more)
}

fn checked(mut command: Command, more: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = command.args(["check", "--output", "json"]).args(more).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let all = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!all.contains(SIGNATURE) && !all.contains("eyJ"), "{all}");
    let checked: Value = serde_json::from_str(&out).unwrap();
    let findings = checked["findings"].as_array().unwrap().iter();
    let copies = findings.filter(|finding| finding["code"] == "copy.stale").cloned().collect();
    (output.status.code(), copies, all)
}

/// Reason and severity of the one finding about a copy; nothing without a finding.
fn found(node: &Node) -> Option<(String, String)> {
    let (_, findings, _) = check(node, &[]);
    assert!(findings.len() <= 1, "{findings:?}");
    let finding = findings.first()?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some((text(&finding["evidence"]["reason"]), text(&finding["severity"])))
}

#[allow(clippy::unnecessary_wraps)] // as what it is compared with
fn is(reason: &str, severity: &str) -> Option<(String, String)> {
    Some((reason.to_owned(), severity.to_owned()))
}

#[test]
fn check_judges_the_copies_of_the_same_host() {
    assert_eq!(found(&multus(400, 3_200)), is("behind", "warning"));
    assert_eq!(found(&multus(400, 3_400)), is("behind", "critical"), "4 min left");
    assert_eq!(found(&multus(400, 3_700)), is("expired", "critical"));
    assert_eq!(found(&multus(100, 3_000)), None, "a healthy writer has five minutes");
    assert_eq!(found(&multus(400, 400)), None, "written again");
    let node = multus(400, 3_200);
    let (status, findings, _) = check(&node, &[]);
    assert_eq!(status, Some(1));
    let finding = &findings[0];
    assert_eq!(finding["subject"], json!({"node": "node-1", "file": PATH}));
    let summary = finding["summary"].as_str().unwrap();
    assert!(summary.contains("pod kube-system/kube-multus-ds-x"), "{summary}");
    assert!(summary.contains("no pod can be created or deleted on node node-1"), "{summary}");
    assert!(finding["deadline"].is_string(), "{finding}");
    // Only the claims of a token give the name of the pod, and nobody has verified them.
    let command = finding["remedy"]["command"].as_str().unwrap();
    let by_uid = "$1 == \"uid-kube-multus-ds-x\"";
    assert!(command.contains(by_uid) && command.ends_with("kubectl delete pod"), "{command}");
    let (_, off, _) = check(&node, &["--copies", "false"]);
    assert_eq!(off, [json!(null); 0], "switched off");
}

#[test]
fn a_left_over_file_is_info_and_a_used_one_of_a_pod_that_is_gone_critical() {
    let gone = |named: bool| {
        let node = Node::of_host();
        node.pod("cart-0", &token(&payload("cart-0", 60, 3_607)));
        node.host_file(PATH, &kubeconfig(&of_multus(60, 31_536_000)));
        let kind = if named { "multus" } else { "bridge" };
        let configuration = json!({"cniVersion": "0.3.1", "name": "n", "type": kind});
        node.host_file("/etc/cni/net.d/10-x.conf", &configuration.to_string());
        node
    };
    assert_eq!(found(&gone(true)), is("pod gone", "critical"));
    assert_eq!(found(&gone(false)), is("pod gone", "info"));
    let (status, ..) = check(&gone(false), &[]);
    assert_eq!(status, Some(0), "info is no failure");
}

#[test]
fn what_cannot_be_judged_is_reported_and_the_rest_is_judged() {
    let node = multus(400, 400);
    let fifo = node.host_file("/etc/cni/net.d/ZZZ-istio-cni-kubeconfig", "");
    std::fs::remove_file(&fifo).unwrap();
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    node.host_file("/etc/cni/net.d/calico-kubeconfig", "kind: Config\nusers: &a [*a]\n");
    let (status, findings, all) = check(&node, &[]);
    assert_eq!((status, findings.len()), (Some(2), 0), "{all}");
    for part in ["ZZZ-istio-cni-kubeconfig: it is no regular file", "calico-kubeconfig: it looks"] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[test]
fn a_rotation_does_not_hide_a_stale_copy() {
    let node = Node::of_host();
    let extended = |age| {
        let mut claims = payload("kube-multus-ds-x", age, 31_536_000);
        claims["kubernetes.io"]["warnafter"] = json!(claims["iat"].as_i64().unwrap() + 3_607);
        token(&claims)
    };
    node.host_file(PATH, &kubeconfig(&extended(355 * 86_400)));
    let configuration = json!({"cniVersion": "0.3.1", "type": "multus", "kubeconfig": PATH});
    node.host_file("/etc/cni/net.d/00-multus.conf", &configuration.to_string());
    for age in [10, 400] {
        node.pod("kube-multus-ds-x", &extended(age));
        assert_eq!(found(&node), is("behind", "warning"), "{age} s after a rotation");
    }
}

#[test]
fn a_known_file_that_may_not_be_read_is_no_success() {
    let node = multus(400, 3_200);
    let file = node.host_file(PATH, &kubeconfig(&of_multus(3_200, 3_607)));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(&file, mode).unwrap();
    let (status, findings, all) = checked(unprivileged(&node), &[]);
    assert_eq!((status, findings.len()), (Some(2), 0), "{all}");
    assert!(all.contains("multus.kubeconfig: Permission denied"), "{all}");
}

#[test]
fn a_file_of_the_settings_without_a_token_is_no_success() {
    let node = multus(400, 400);
    let file = node.host_file("/opt/token", "not a token");
    let (status, _, all) = check(&node, &["--copies-path", file.to_str().unwrap()]);
    assert_eq!(status, Some(2), "{all}");
    assert!(all.contains("it holds no token that can be read"), "{all}");
}

#[test]
fn a_file_of_the_settings_is_judged_wherever_it_is() {
    let node = Node::new(); // not at kubelet's usual place: the known places say nothing about it
    node.pod("cart-0", &token(&payload("cart-0", 400, 3_607)));
    let copy = node.file("token-copy", &token(&payload("cart-0", 3_200, 3_607)));
    let copy = copy.to_str().unwrap();
    let (status, findings, _) = check(&node, &["--copies-path", copy]);
    assert_eq!((status, findings.len()), (Some(1), 1));
    assert_eq!(findings[0]["subject"]["file"], copy);
    let summary = findings[0]["summary"].as_str().unwrap();
    assert!(summary.contains("whatever uses the file gets 401"), "{summary}");
    let (status, _, all) = check(&node, &["--copies-path", "/nowhere/token"]);
    assert_eq!(status, Some(2), "{all}");
}

#[test]
fn explain_names_the_user_of_the_copy() {
    let node = multus(400, 400);
    let file = node.root().ancestors().nth(3).unwrap().join(PATH.trim_start_matches('/'));
    let mut command = tokenwatch(&node);
    let output = command.args(["explain", file.to_str().unwrap()]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("token of user multus in a kubeconfig"), "{out}");
}

/// A running agent that prints on standard output.
struct Agent {
    _child: Running,
    out: std::path::PathBuf,
}

impl Agent {
    fn start(node: &Node) -> Self {
        let out = node.root().join("out");
        let mut command = tokenwatch(node);
        command.arg("run").stdout(File::create(&out).unwrap());
        command.stderr(File::create(node.root().join("log")).unwrap());
        Self { _child: Running::start(&mut command), out }
    }

    /// Waits for a line with all of these words.
    fn wait(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let out = std::fs::read_to_string(&self.out).unwrap_or_default();
            if let Some(line) =
                out.lines().find(|line| words.iter().all(|word| line.contains(word)))
            {
                return line.to_owned();
            }
            let log = std::fs::read_to_string(Path::new(&self.out).with_file_name("log"));
            assert!(started.elapsed() < Duration::from_secs(40), "no {words:?} in {out}\n{log:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn run_raises_a_stale_copy_and_clears_it_when_it_is_written_again() {
    let node = multus(400, 3_200);
    let agent = Agent::start(&node);
    agent.wait(&["warning", "copy.stale", &format!("node node-1 {PATH}")]);
    node.host_file(PATH, &kubeconfig(&of_multus(400, 3_607)));
    agent.wait(&["cleared", "copy.stale"]);
    let out = std::fs::read_to_string(&agent.out).unwrap();
    assert!(out.contains("was written again with another token"), "{out}");
    assert!(!out.contains("eyJ"), "{out}");
}
