//! What is wrong with the settings, and with the node's name, in every command alike.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::api_server::{ApiServer, api_pod};
use crate::node::{Node, bare, payload, token};

fn tokenwatch(command: &str, node: &Node) -> Command {
    let mut tokenwatch = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    bare(&mut tokenwatch)
        .arg(command)
        .env("TOKENWATCH_ROOTS", node.root())
        .env("TOKENWATCH_CLOCK_DISCOVER", "false")
        .stdin(Stdio::null());
    tokenwatch
}

#[test]
fn a_wrong_setting_is_wrong_for_every_command() {
    let node = Node::new();
    let file = node.file("tw.yaml", "otlp: {endpoint: \"collector:4318\"}\n");
    let broken = node.file("broken", "clusters: [");
    let (file, broken) = (file.to_string_lossy(), broken.to_string_lossy());
    let table: [&[(&str, &str)]; 7] = [
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")],
        &[("TOKENWATCH_OTLP_ENDPOINT", "collector:4318")],
        &[("TOKENWATCH_CONFIG", &file)],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ],
        &[("TOKENWATCH_KUBERNETES_ENABLED", "true")],
        &[("TOKENWATCH_KUBERNETES_ENABLED", "true"), ("TOKENWATCH_KUBERNETES_KUBECONFIG", &broken)],
    ];
    for variables in table {
        let outcome = |command| {
            let output =
                tokenwatch(command, &node).envs(variables.iter().copied()).output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let run = outcome("run");
        assert!(run.0 == Some(2) && !run.1.is_empty(), "{variables:?}: {run:?}");
        for command in ["config", "check"] {
            assert_eq!(outcome(command), run, "{command} with {variables:?}");
        }
    }
}

/// A running command, which ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line of the log of `run` that contains the text.
fn logged(command: &mut Command, text: &str) -> String {
    let mut running =
        Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).find(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("the agent ended without {text:?}"))
}

/// A node with a token, and an API server that knows its pod on the node "worker-1".
fn named() -> (Node, ApiServer, String) {
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 60, 3_600)));
    let api = ApiServer::start(vec![api_pod("cart-0", "worker-1")], Some("sa-uid"));
    let kubeconfig = api.kubeconfig(node.root()).to_string_lossy().into_owned();
    (node, api, kubeconfig)
}

fn with_api<'a>(command: &'a mut Command, kubeconfig: &str, name: &str) -> &'a mut Command {
    command
        .env("TOKENWATCH_KUBERNETES_ENABLED", "true")
        .env("TOKENWATCH_KUBERNETES_KUBECONFIG", kubeconfig)
        .env("NODE_NAME", name)
}

#[test]
fn a_node_name_is_that_under_which_kubelet_registers() {
    for name in ["worker-1", "WORKER-1", " Worker-1 "] {
        let (node, api, kubeconfig) = named();
        let line = logged(
            with_api(&mut tokenwatch("run", &node), &kubeconfig, name),
            "source works source=apiserver",
        );
        let output = with_api(&mut tokenwatch("check", &node), &kubeconfig, name).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{name:?}: {line}");
        let lists = api.requests();
        assert!(lists.iter().any(|path| path.contains("spec.nodeName%3Dworker-1")), "{lists:?}");
        assert!(lists.iter().all(|path| !path.contains("WORKER")), "{lists:?}");
    }
}

#[test]
fn a_node_name_that_the_api_server_does_not_know_is_reported_by_run_and_check() {
    // A fully qualified host name, and what --hostname-override hides.
    for name in ["worker-1.example.com", "ip-10-0-0-1"] {
        let (node, _api, kubeconfig) = named();
        let text = format!("lists no pod on node \"{name}\"");
        let line = logged(with_api(&mut tokenwatch("run", &node), &kubeconfig, name), "degraded");
        assert!(line.contains(&text.replace('"', "\\\"")) || line.contains(&text), "{line}");
        assert!(line.contains("NODE_NAME"), "{line}");
        let output = with_api(&mut tokenwatch("check", &node), &kubeconfig, name)
            .args(["--output", "json"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("lists no pod on node") && error.contains("NODE_NAME"), "{error}");
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        let known = &checked["kubernetes"];
        assert_eq!(known["pods"], 0, "{known}");
        assert!(known["problems"][0].as_str().unwrap().contains(name), "{known}");
    }
}

#[test]
fn check_ends_in_time_when_the_api_server_is_silent() {
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 60, 3_600)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); // accepts nothing
    let port = listener.local_addr().unwrap().port();
    let api = ApiServer::start(Vec::new(), None);
    let file = api.kubeconfig(node.root());
    let mut text: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    text["clusters"][0]["cluster"]["server"] = format!("http://127.0.0.1:{port}").into();
    std::fs::write(&file, text.to_string()).unwrap();
    let output = with_api(&mut tokenwatch("check", &node), &file.to_string_lossy(), "worker-1")
        .args(["--output", "json"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("did not answer within 3 s"), "{error}");
    assert_eq!(output.status.code(), Some(0), "the files themselves are healthy");
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["tokens"].as_array().unwrap().len(), 1);
}
