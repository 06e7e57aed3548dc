//! Settings of the Kubernetes API: what can never work is an error at once, and what may work later
//! stops nothing. With a real API server: tests/e2e/api.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

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

/// Exit status and standard error.
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

/// Lines of the log up to one that contains the text.
fn log_until(command: &mut Command, text: &str) -> Vec<String> {
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
    panic!("the agent ended without {text:?}: {lines:#?}");
}

#[test]
fn what_can_never_work_is_a_configuration_error() {
    let node = Node::new();
    let broken = node.file("broken", "clusters: [");
    let login = "apiVersion: v1\ncurrent-context: x\n\
                 contexts: [{name: x, context: {cluster: c, user: u}}]\n\
                 clusters: [{name: c, cluster: {server: \"https://api.example\"}}]\n\
                 users: [{name: u, user: {exec: {command: s3cret}}}]\n";
    let login = node.file("login", login);
    for command in ["run", "config"] {
        let (code, error) = refused(tokenwatch(command, &node).args(["--kubernetes", "true"]));
        assert!(
            code == Some(2)
                && error.contains("does not run in a pod")
                && error.contains("kubernetes.kubeconfig"),
            "{command}: {code:?} {error}"
        );
        for (file, why) in [(&broken, "is not a valid kubeconfig"), (&login, "are not supported")] {
            let (code, error) = refused(
                tokenwatch(command, &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(file),
            );
            assert!(
                code == Some(2) && error.contains(why) && !error.contains("s3cret"),
                "{command}: {code:?} {error}"
            );
        }
    }
}

#[test]
fn a_kubeconfig_that_does_not_exist_yet_stops_nothing() {
    let node = Node::new();
    node.pod("cart", &token(&payload("cart", 0, 3_600)));
    let file = node.root().join("later");
    let lines = log_until(
        tokenwatch("run", &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(&file),
        "source is degraded source=apiserver",
    );
    let line = lines.last().unwrap();
    assert!(
        line.contains("cannot read") && line.contains("correct kubernetes.kubeconfig"),
        "{line}"
    );
}

#[test]
fn an_unreachable_server_is_reported_once() {
    let node = Node::new();
    // Bound, so that no other process has it, and not listening.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {{token: s3cret}}}}]\n"
    );
    let file = node.file("kubeconfig", &text);
    let lines = log_until(
        tokenwatch("run", &node).args(["--kubernetes", "true", "--kubeconfig"]).arg(&file),
        "source is degraded source=apiserver",
    );
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("ERROR") || line.contains("onnection refused"))
        .collect();
    assert!(
        errors.len() == 1
            && errors[0].contains("check that the API server runs")
            && !errors[0].contains("s3cret"),
        "{lines:#?}"
    );
}

#[test]
fn the_api_is_not_used_unless_it_is_enabled() {
    let node = Node::new();
    let mut command = tokenwatch("run", &node);
    // An address where the agent would look, if it looked.
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", "1");
    let lines = log_until(command.args(["--log-level", "debug"]), "source works source=files");
    assert!(
        !lines.iter().any(|line| line.contains("apiserver") || line.contains("Kubernetes API")),
        "{lines:#?}"
    );
}
