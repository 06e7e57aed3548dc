//! What `tokenwatch check` finds, in one look and without a state file, where the specs of pods
//! show which paths should hold a token.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::api_server::{ApiServer, api_pod};
use crate::volumes::Node;
use crate::{Instead, write};

/// A pod of this name in the cluster, which mounts a projected volume with this source.
fn pod(name: &str, phase: &str, source: &Value) -> Value {
    let mut pod = api_pod(name, "n1");
    pod["metadata"]["uid"] = json!(name);
    pod["status"]["phase"] = json!(phase);
    pod["spec"]["volumes"] = json!([{"name": "vol", "projected": {"sources": [source]}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "vol", "mountPath": "/t"}]);
    pod
}

fn token_source() -> Value {
    json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3_600}})
}

/// Exit status, and the codes of the findings about the file of `pod` at warning or above.
fn checked(node: &Node, server: &ApiServer, pod: &str) -> (Option<i32>, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["check", "--output", "json", "--clock-discover", "false", "--node", "n1"]);
    command.arg("--root").arg(node.root()).args(["--kubernetes", "true", "--kubeconfig"]);
    let output = command.arg(server.kubeconfig(&node.root())).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_it = |finding: &&Value| {
        let of_file = ["token.malformed", "token.missing", "token.unreadable"];
        let is_of_file = of_file.iter().any(|code| finding["code"] == *code);
        let is_of_pod = finding["subject"]["pod"]["uid"].as_str() == Some(pod);
        is_of_file && is_of_pod && finding["severity"] != "info"
    };
    let found = checked["findings"].as_array().unwrap().iter().filter(is_it);
    let codes = found.map(|finding| finding["code"].as_str().unwrap().to_owned());
    (output.status.code(), codes.collect())
}

#[test]
fn no_path_that_should_hold_a_token_is_called_healthy() {
    for phase in ["Running", "Pending"] {
        let server = ApiServer::start(vec![pod("p", phase, &token_source())], Some("sa-uid"));
        for instead in Instead::ALL {
            let node = Node::new();
            instead.put(&node, "p", 1);
            let (status, codes) = checked(&node, &server, "p");
            assert_eq!((status, codes.len()), (Some(1), 1), "{phase} {instead:?}: {codes:?}");
            let code = &codes[0];
            let expected = match instead {
                Instead::Directory | Instead::Nothing => "token.missing",
                Instead::DataNowhere | Instead::DataOut => "token.unreadable",
                _ => "token.malformed",
            };
            assert_eq!(code, expected, "{phase} {instead:?}");
        }
    }
}

/// The same files where the specs have no token, or the pod has ended.
#[test]
fn what_no_spec_calls_a_token_is_no_finding() {
    let map = json!({"configMap": {"name": "c", "items": [{"key": "token", "path": "token"}]}});
    let labels = json!({"downwardAPI": {"items": [
        {"path": "token", "fieldRef": {"fieldPath": "metadata.labels"}},
    ]}});
    let optional = json!({"secret": {"name": "s", "optional": true}});
    let ended = |phase| (phase, token_source());
    let table = [
        ("Running", map),
        ("Running", labels),
        ("Running", optional),
        ended("Succeeded"),
        ended("Failed"),
    ];
    for (phase, source) in table {
        let server = ApiServer::start(vec![pod("p", phase, &source)], Some("sa-uid"));
        for instead in [Instead::Empty, Instead::Foreign, Instead::Pipe, Instead::Nothing] {
            let node = Node::new();
            // A sound token of another pod, so that there is something to check.
            write(&node, "sound", 1);
            instead.put(&node, "p", 1);
            let (_, codes) = checked(&node, &server, "p");
            assert_eq!(codes, [""; 0], "{phase} {source} {instead:?}");
        }
    }
}
