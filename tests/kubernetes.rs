//! The Kubernetes API by settings alone: what is wrong with them is told at once, and what may pass
//! stops nothing. With a real API server: tests/e2e/api.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what is wrong by panicking
#![allow(clippy::disallowed_methods)] // it starts programs, takes times and makes folders

#[path = "support/node.rs"]
mod node;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use node::{Node, bare, payload, token};

fn tokenwatch(command: &str, node: &Node) -> Command {
    let mut tokenwatch = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    bare(&mut tokenwatch).arg(command).arg("--root").arg(node.root()).args([
        "--clock-discover",
        "false",
        "--node",
        "n1",
    ]);
    tokenwatch
}

/// Exit status and what was said.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of the diary until one that contains the text.
fn diary_until(command: &mut Command, text: &str) -> Vec<String> {
    let mut running = Running(
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(),
    );
    let mut lines = Vec::new();
    for line in BufReader::new(running.0.stderr.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains(text) {
            return lines;
        }
    }
    panic!("the agent ended without a word of {text}: {lines:#?}");
}

#[test]
fn what_can_never_work_is_a_bad_configuration() {
    let node = Node::new();
    let broken = node.file("broken", "clusters: [");
    let login = "apiVersion: v1\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n\
                 clusters: [{name: c, cluster: {server: \"https://api.example\"}}]\nusers: [{name: u, user: {exec: {command: s3cret}}}]\n";
    let login = node.file("login", login);
    for command in ["run", "config"] {
        let (code, said) = refused(tokenwatch(command, &node).args(["--kubernetes", "true"]));
        assert!(
            code == Some(2)
                && said.contains("this is no pod")
                && said.contains("kubernetes.kubeconfig"),
            "{command}: {code:?} {said}"
        );
        for (file, why) in [(&broken, "is no kubeconfig"), (&login, "are for people")] {
            let (code, said) = refused(
                tokenwatch(command, &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(file),
            );
            assert!(
                code == Some(2) && said.contains(why) && !said.contains("s3cret"),
                "{command}: {code:?} {said}"
            );
        }
    }
}

#[test]
fn a_kubeconfig_that_is_not_there_yet_stops_nothing() {
    let node = Node::new();
    node.pod("cart", &token(&payload("cart", 0, 3_600)));
    let file = node.root().join("later");
    let lines = diary_until(
        tokenwatch("run", &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(&file),
        "source apiserver is degraded",
    );
    let said = lines.last().unwrap();
    assert!(
        said.contains("later cannot be read") && said.contains("repair what says how to reach it"),
        "{said}"
    );
}

#[test]
fn a_server_that_is_not_there_is_said_once() {
    let node = Node::new();
    // Bound, so that it is nobody else's, and not listened on.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\nusers: [{{name: u, user: {{token: s3cret}}}}]\n"
    );
    let file = node.file("kubeconfig", &text);
    let lines = diary_until(
        tokenwatch("run", &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(&file),
        "source apiserver is degraded",
    );
    let said: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("ERROR") || line.contains("onnection refused"))
        .collect();
    assert!(
        said.len() == 1 && said[0].contains("look at the way there") && !said[0].contains("s3cret"),
        "{lines:#?}"
    );
}

#[test]
fn nobody_is_asked_unless_that_is_wanted() {
    let node = Node::new();
    let mut command = tokenwatch("run", &node);
    // Looked for again and again: what is started after that is not a matter of luck.
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", "1");
    let lines = diary_until(command.args(["--log-level", "debug"]), "source files works");
    assert!(
        !lines.iter().any(|line| line.contains("apiserver") || line.contains("Kubernetes API")),
        "{lines:#?}"
    );
}
