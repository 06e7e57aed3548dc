//! `tokenwatch readers` and `check --readers`: what they see themselves, and what the agent tells
//! them.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::node::{Node, payload, token};
use crate::running::Running;
use crate::web::{free_port, get};
use crate::{outcome, tokenwatch};

/// A running agent that serves HTTP.
struct Agent {
    _child: Running,
    port: String,
}

impl Agent {
    fn start(node: &Node) -> Self {
        let port = free_port();
        let arguments = ["run", "--http", "true", "--http-port", &port.to_string(), "--root"];
        let mut command = tokenwatch(&arguments);
        command.arg(node.root()).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self { _child: Running::start(&mut command), port: port.to_string() };
        let started = Instant::now();
        let is_ready = || {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            get(address, "/readyz", "").is_some_and(|answer| answer.status == 200)
        };
        while !is_ready() {
            assert!(started.elapsed() < Duration::from_secs(30), "the agent does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        agent
    }
}

fn node() -> Node {
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 60, 3_600)));
    node
}

/// A command beside an agent on this port.
fn beside(port: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let more = ["--http", "true", "--http-port", port];
    outcome(&mut tokenwatch(&[arguments, &more].concat()))
}

fn alone(node: &Node, arguments: &[&str]) -> (Option<i32>, String, String) {
    let root = node.root().to_string_lossy().into_owned();
    beside(&free_port().to_string(), &[arguments, &["--root", &root, "--for", "2s"]].concat())
}

fn json(output: &(Option<i32>, String, String)) -> Value {
    serde_json::from_str(&output.1).unwrap_or_else(|_| panic!("JSON, not {output:?}"))
}

#[test]
fn without_an_agent_it_looks_itself_and_says_what_it_cannot_know() {
    let node = node();
    let (status, out, err) = alone(&node, &["readers"]);
    assert_eq!((status, err.as_str()), (Some(2), ""), "nobody read meanwhile: {out}");
    let text = out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "of 1 token at 20",
        "no agent answers on this node (127.0.0.1:",
        "so this command looked for 2s itself",
        "It does not know habits, or reads before that",
        "no stale reader; 1 unknown",
    ] {
        assert!(text.contains(part), "{part}: {out}");
    }
    let list = json(&alone(&node, &["readers", "--output", "json"]));
    assert_eq!((&list["source"]["kind"], &list["tokens"]), (&"look".into(), &1.into()));
    assert_eq!(list["source"]["seconds"], 2.0);
}

#[test]
fn the_agent_is_asked_and_named() {
    let node = node();
    let agent = Agent::start(&node);
    let started = Instant::now();
    let output = beside(&agent.port, &["readers", "--output", "json"]);
    assert!(started.elapsed() < Duration::from_secs(8), "it does not look itself");
    let list = json(&output);
    assert_eq!(output.0, Some(2), "nobody has read yet: {output:?}");
    assert_eq!(list["source"]["kind"], "agent");
    assert_eq!(list["source"]["address"], format!("127.0.0.1:{}", agent.port));
    assert_eq!((&list["node"], &list["tokens"]), (&"node-1".into(), &1.into()));
    let table = beside(&agent.port, &["readers", "shop/cart-0"]).1;
    assert!(table.contains("as seen by the agent at 127.0.0.1:"), "{table}");
    let checked = node.root().to_string_lossy().into_owned();
    let same_root = beside(&agent.port, &["readers", "--root", &checked, "--output", "json"]);
    assert_eq!(json(&same_root)["source"]["kind"], "agent", "it watches that root");
}

#[test]
fn an_agent_that_watches_another_root_is_not_believed() {
    let (node, other) = (node(), node());
    let agent = Agent::start(&other);
    let root = node.root().to_string_lossy().into_owned();
    let arguments = ["readers", "--root", &root, "--for", "1s", "--output", "json"];
    let list = json(&beside(&agent.port, &arguments));
    assert_eq!(list["source"]["kind"], "look");
    let why = list["source"]["why"].as_str().unwrap();
    assert!(why.contains("watches other kubelet roots: "), "{why}");
}

#[test]
fn a_pod_that_is_not_there_and_a_root_that_cannot_be_read_are_errors() {
    let node = node();
    let (status, out, err) = alone(&node, &["readers", "cart-1"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("no pod \"cart-1\" with a token is on this node"), "{err}");
    let agent = Agent::start(&node);
    let (status, _, err) = beside(&agent.port, &["readers", "other/cart-0"]);
    assert_eq!(status, Some(2), "{err}");
    let missing = node.root().join("nothing").to_string_lossy().into_owned();
    let port = free_port().to_string();
    let (status, out, err) = beside(&port, &["readers", "--root", &missing, "--for", "1s"]);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("cannot read the token files"), "{err}");
}

#[test]
fn check_has_the_readers_if_asked_and_only_then() {
    let node = node();
    let (status, out, err) = alone(&node, &["check", "--readers"]);
    assert_eq!((status, err.as_str()), (Some(2), ""), "nobody read meanwhile: {out}");
    assert!(out.ends_with("no finding at warning or above; no stale reader; 1 unknown\n"), "{out}");
    assert!(out.contains("no agent answers on this node"), "{out}");
    let checked = json(&alone(&node, &["check", "--readers", "--output", "json"]));
    assert_eq!(
        (&checked["readers"]["tokens"], &checked["tokens"][0]["state"]),
        (&1.into(), &"fresh".into())
    );
    let root = node.root().to_string_lossy().into_owned();
    let without = outcome(&mut tokenwatch(&["check", "--root", &root, "--output", "json"]));
    assert!(json(&without).get("readers").is_none());
}
