//! Scenario 4: correct, wrong and stopped time servers, and a node with a wrong clock.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::bed::{Collector, free_udp_port, json, ntp_server, preloadable, tokenwatch, workdir};
use crate::process::Process;
use crate::recording::Recording;
use crate::telemetry::Span;
use crate::tree::Tree;
use crate::wait::{secs, until};

fn clock(ports: &[u16]) -> (i32, Value) {
    let mut command = tokenwatch();
    command.args(["clock", "--output", "json"]);
    for port in ports {
        command.arg("--server").arg(format!("127.0.0.1:{port}"));
    }
    json(&mut command)
}

fn wait_for_answers(port: u16) {
    until("chronyd to answer", secs(30), || (clock(&[port]).0 != 2).then_some(()));
}

fn agent(
    mut command: Command,
    directory: &Path,
    tree: &Tree,
    ports: &[u16],
    collector: &Collector,
) -> Command {
    let servers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let config = directory.join("config.yaml");
    std::fs::write(
        &config,
        format!("clock:\n  servers: [{}]\n  interval: 2s\n  max_age: 20s\n", servers.join(", ")),
    )
    .unwrap();
    command
        .args(["run", "--node", "clock-node", "--config"])
        .arg(config)
        .arg("--root")
        .arg(&tree.root);
    collector.receives(&mut command, "grpc");
    command
}

#[test]
fn a_wrong_server_is_named_and_without_servers_the_clock_is_unknown() {
    let directory = workdir("clocks-servers");
    let ports = [free_udp_port(), free_udp_port(), free_udp_port()];
    let servers = [
        ntp_server(&directory, ports[0], None, None),
        ntp_server(&directory, ports[1], None, None),
        ntp_server(&directory, ports[2], Some("+37s"), None),
    ];
    for port in ports {
        wait_for_answers(port);
    }

    let (code, report) = clock(&ports);
    assert_eq!(code, 0, "two right servers outvote the wrong one: {report:#}");
    let offset = report["offset"].as_f64().unwrap();
    let bound = report["error_bound"].as_f64().unwrap();
    assert!(
        offset.abs() <= bound && bound < 0.1,
        "the servers serve this machine's time, so the offset is near 0: {offset} ± {bound}"
    );
    println!("[clocks] offset {offset:+.6} s, bound {bound:.6} s");
    assert_eq!(clock(&ports[2..]).0, 1, "by the wrong server alone, the node's clock is off");

    let collector = Collector::planned(&directory);
    let _collecting = collector.start();
    let tree = Tree::at(&directory);
    let mut command = agent(tokenwatch(), &directory, &tree, &ports, &collector);
    let recording = Recording::of(&mut command, &directory);
    let agent = Process::start(&mut command, &directory.join("agent.log"));
    let telemetry = collector.telemetry();
    let wrong = telemetry.wait_alert("an alert that names the falseticker", secs(60), |alert| {
        alert.is("raised", "clock.servers_disagree")
    });
    assert!(
        wrong.body.contains(&ports[2].to_string()),
        "the alert names the server: {}",
        wrong.body
    );
    telemetry.wait_span("a clock measurement with its exchanges", secs(30), |span| {
        span.name == "ntp.exchange" && !span.parent.is_empty()
    });
    drop(servers);
    telemetry.wait_alert("an unknown clock after the servers stopped", secs(240), |alert| {
        alert.is("raised", "clock.unknown") && alert.severity() == "warning"
    });
    assert_eq!(clock(&ports).0, 2);
    assert!(agent.stop(secs(15)).success());
    recording.gives_the_same_alerts(&telemetry);
}

#[test]
fn a_node_clock_that_is_off_is_reported_once() {
    let directory = workdir("clocks-node");
    // One server alone would prove nothing, and every token would be reported.
    let ports = [free_udp_port(), free_udp_port(), free_udp_port()];
    let _servers = ports.map(|port| ntp_server(&directory, port, None, None));
    for port in ports {
        wait_for_answers(port);
    }
    let tree = Tree::at(&directory);
    for pod in 0..200 {
        // Valid by true time, expired by the node's clock, which is 90 s ahead.
        tree.write(pod, 520, 600);
    }
    let collector = Collector::planned(&directory);
    let _collecting = collector.start();
    let library = faketime_library();
    let mut command = agent(preloadable(), &directory, &tree, &ports, &collector);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "+90s")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let log = directory.join("agent.log");
    let agent = Process::start(&mut command, &log);
    let telemetry = collector.telemetry();
    let off = telemetry.wait_alert("an alert about the node's clock", secs(60), |alert| {
        alert.is("raised", "clock.offset")
    });
    let offset: f64 = off
        .attribute("tokenwatch.finding.evidence.clock.offset")
        .parse()
        .unwrap_or_else(|_| panic!("no offset in the evidence: {off:?}"));
    assert!(
        (offset + 90.0).abs() < 0.5,
        "the node is 90 s ahead, so true time is 90 s less: {offset}"
    );
    println!("[clocks] node +90 s: clock.offset reports {offset:+.4} s, {}", off.severity());
    until("the agent to have read every token", secs(60), || {
        std::fs::read_to_string(&log).ok()?.contains("source works source=files").then_some(())
    });
    // Three measurements, with which the agent judges again. They show nothing new, and so they are
    // no spans.
    std::thread::sleep(secs(6));
    let later = |span: &&Span| span.name == "clock.measure" && span.start > off.at;
    let later = telemetry.spans().iter().filter(later).count();
    assert!(later <= 1, "{later} spans of a clock that stays wrong");
    let storm: Vec<String> = telemetry
        .alerts()
        .iter()
        .filter(|alert| alert.code().starts_with("token.") && alert.severity() != "info")
        .map(|alert| alert.body.clone())
        .collect();
    assert!(
        storm.is_empty(),
        "{} token findings for one wrong clock, the first: {}",
        storm.len(),
        storm[0]
    );
    assert!(
        !telemetry.spans().iter().any(|span| span.attribute("token.outcome") == "expired"),
        "the wrong clock must not end the traces of tokens"
    );
    assert!(agent.stop(secs(15)).success());
}

fn faketime_library() -> String {
    let paths = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    let found = paths.iter().find(|path| Path::new(path).exists());
    (*found.expect("tests/cluster/build installs libfaketime")).to_owned()
}
