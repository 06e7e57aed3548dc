//! Four nodes, each with an agent of its own: a healthy one and one with tokens in every kind of
//! trouble, both with access to an API server, one with a wrong clock, and one without a time
//! server that stops sending.

use std::net::Ipv4Addr;
use std::path::Path;

use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::time_server::TimeServer;

use crate::api_server;
use crate::bed::tokenwatch;
use crate::gateway::Gateway;
use crate::node::{Node, payload, token};
use crate::process::Process;

pub const WELL: &str = "well";
pub const TOKENS: &str = "tokens";
pub const CLOCK: &str = "clock";
pub const SILENT: &str = "silent";
pub const ALL: [&str; 4] = [WELL, TOKENS, CLOCK, SILENT];

/// Ends with the test.
pub struct Fleet {
    _agents: [Process; 3],
    silent: Option<Process>,
    well: Node,
    _others: [Node; 3],
    _time: [TimeServer; 4],
}

impl Fleet {
    /// Half of the agents use gRPC, half HTTP.
    pub fn start(directory: &Path, gateway: &Gateway) -> Self {
        // One server alone would prove no offset.
        let time = [0.0, 90.0, 90.0, 90.0].map(time_server);
        let address = |server: &TimeServer| server.address().to_string();
        let right = vec![address(&time[0])];
        let wrong: Vec<String> = time[1..].iter().map(address).collect();
        // A port on which no server answers.
        let no_server =
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let no_server = vec![no_server];
        let (well, others) = (well(), [troubled(), well(), well()]);
        let agent = |node: &Node, name: &str, servers: &[String], protocol| {
            agent(directory, gateway, node, (name, servers, protocol))
        };
        let agents = [
            agent(&well, WELL, &right, "grpc"),
            agent(&others[0], TOKENS, &right, "http/protobuf"),
            agent(&others[1], CLOCK, &wrong, "grpc"),
        ];
        let silent = agent(&others[2], SILENT, &no_server, "http/protobuf");
        Self { _agents: agents, silent: Some(silent), well, _others: others, _time: time }
    }

    /// Rotates a token on the healthy node as kubelet does, some seconds after it was due.
    pub fn rotate(&self) {
        self.well.pod("rotating-0", &token(&payload("rotating-0", 485, 600)));
    }

    pub fn silence(&mut self) {
        self.silent = None;
    }
}

fn agent(
    directory: &Path,
    gateway: &Gateway,
    node: &Node,
    (name, servers, protocol): (&str, &[String], &str),
) -> Process {
    let port = if protocol == "grpc" { gateway.grpc } else { gateway.http };
    let mut command = tokenwatch();
    command.args([
        "run",
        "--node",
        name,
        "--clock-discover",
        "false",
        "--clock-interval",
        "2s",
        "--root",
    ]);
    command.arg(node.root());
    for server in servers {
        command.args(["--clock-server", server]);
    }
    command.args(["--otlp-metrics-interval", "1s", "--otlp-protocol", protocol]);
    command.args(["--otlp-endpoint", &format!("http://127.0.0.1:{port}")]);
    if let Some(pods) = pods_at_api_server(name) {
        let kubeconfig = directory.join(format!("kubeconfig-{name}"));
        api_server::start(&kubeconfig, pods);
        command
            .args(["--kubernetes", "true", "--kubernetes-events", "false", "--kubeconfig"])
            .arg(kubeconfig);
    }
    Process::start(&mut command, &directory.join(format!("agent-{name}.log")))
}

/// The pods that the API server shows to the agent of this node, if that has access to one.
fn pods_at_api_server(name: &str) -> Option<&'static [&'static str]> {
    let of_well: &[&str] = &["fresh-0", "rotating-0"];
    let of_troubled: &[&str] =
        &["fresh-0", "late-0", "stalled-0", "expired-0", "dated-0", "early-0", "malformed-0"];
    [(WELL, of_well), (TOKENS, of_troubled)]
        .into_iter()
        .find_map(|(node, pods)| (node == name).then_some(pods))
}

fn well() -> Node {
    let node = Node::new();
    node.pod("fresh-0", &token(&payload("fresh-0", 60, 3_600)));
    node.pod("rotating-0", &token(&payload("rotating-0", 490, 600)));
    node
}

/// Tokens with a lifetime of an hour, by age: README's table lists the state at each age.
fn troubled() -> Node {
    let node = Node::new();
    let ages = [
        ("fresh-0", 60),
        ("late-0", 3_100),
        ("stalled-0", 3_300),
        ("expired-0", 3_700),
        ("dated-0", -45),
        ("early-0", -300),
    ];
    for (pod, age) in ages {
        node.pod(pod, &token(&payload(pod, age, 3_600)));
    }
    node.pod("malformed-0", "eyJhbGciOiJSUzI1NiJ9.not-a-token");
    node
}

/// A time server that is `ahead` seconds ahead of this machine.
pub fn time_server(ahead: f64) -> TimeServer {
    let truth = move || clocks::now().wall + Delta::from_secs_f64(ahead);
    TimeServer::start((Ipv4Addr::LOCALHOST, 0), truth).unwrap()
}
