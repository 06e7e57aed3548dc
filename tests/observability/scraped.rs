//! Metrics that Prometheus fetches itself: the rules make the same of them.

use crate::bed::{free_tcp_port, tokenwatch, workdir};
use crate::fleet::{TOKENS, troubled};
use crate::process::{Process, text};
use crate::prometheus::Prometheus;
use crate::tools::all_there;
use crate::wait::{secs, until};

/// Whether this agent can be scraped at all.
fn serves_metrics() -> bool {
    let serves = text(&tokenwatch().args(["run", "--help"]).output().unwrap().stdout).contains("--http-port");
    if !serves {
        println!("[observability] SKIPPED: this agent serves no /metrics");
    }
    serves
}

#[test]
fn a_scraped_node_has_its_name_and_its_alerts() {
    if !all_there() || !serves_metrics() {
        return;
    }
    let (directory, node, port) = (workdir("scraped"), troubled(), free_tcp_port());
    let mut command = tokenwatch();
    command.args(["run", "--node", TOKENS, "--clock-discover", "false", "--http-port", &port.to_string(), "--root"]).arg(node.root());
    let _agent = Process::start(&mut command, &directory.join("agent.log"));
    let prometheus = Prometheus::start(&directory, &[port]);
    let expired = ("TokenwatchTokenExpired".to_owned(), TOKENS.to_owned());
    until("an alert of the scraped node", secs(60), || prometheus.firing().contains(&expired).then_some(()));
    for series in ["tokens:max", "findings:max", "deadline_min_seconds:min", "clock_state:max", "sources_up:min"] {
        let query = format!("node:tokenwatch_{series}{{k8s_node_name=\"{TOKENS}\"}}");
        until(&query, secs(30), || prometheus.query(&query).ok().filter(|found| !found.is_empty()));
    }
}
