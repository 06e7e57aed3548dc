//! Scenario 5: a collector that is down, killed in the middle of a batch, and hanging. Every alert
//! arrives, and memory stays bounded.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::bed::{Collector, tokenwatch, workdir};
use crate::process::Process;
use crate::telemetry::Telemetry;
use crate::tree::Tree;
use crate::wait::{secs, until};

/// Seconds. Longer than any OTLP library retries an export.
const DOWN: u64 = 180;
const PODS: usize = 100;
/// The number of a pod whose tokens never expire here.
const HEALTHY: usize = 9_999;

/// The pods with a raised `token.expired`.
fn raised(telemetry: &Telemetry) -> BTreeSet<String> {
    let alerts = telemetry.alerts();
    alerts
        .iter()
        .filter(|alert| alert.reports("token.expired"))
        .map(|alert| alert.attribute("k8s.pod.name"))
        .collect()
}

/// Writes expired tokens. Before that, another pod gets a fresh one: kubelet itself works, so each
/// expired token is a finding of its own.
fn expire(tree: &Tree, pods: std::ops::Range<usize>) {
    tree.write(HEALTHY, 0, 3_600);
    pods.for_each(|pod| tree.write(pod, 700, 600));
}

fn wait_for_pods(telemetry: &Telemetry, pods: std::ops::Range<usize>) {
    let wanted: BTreeSet<String> = pods.map(|pod| format!("cart-{pod}")).collect();
    until(&format!("alerts of {} pods", wanted.len()), secs(120), || {
        raised(telemetry).is_superset(&wanted).then_some(())
    });
}

#[test]
fn every_alert_arrives_whatever_the_collector_does() {
    let directory = workdir("collector");
    let tree = Tree::at(&directory);
    let collector = Collector::planned(&directory);
    let mut command = tokenwatch();
    command.args(["run", "--node", "collector-node", "--root"]).arg(&tree.root);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.grpc))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let mut agent = Process::start(&mut command, &directory.join("agent.log"));

    expire(&tree, 0..PODS);
    std::thread::sleep(secs(15));
    let early = agent.resident();
    std::thread::sleep(secs(DOWN - 15));
    let late = agent.resident();
    println!(
        "[collector] resident {early} bytes after 15 s, {late} bytes after {DOWN} s without a \
         collector"
    );
    assert!(
        late < early + 4 * 1024 * 1024,
        "memory grew while the collector was down: {early} -> {late}"
    );

    let telemetry = collector.telemetry();
    let first = collector.start();
    wait_for_pods(&telemetry, 0..PODS);
    telemetry.wait_alert("an alert about the delay itself", secs(60), |alert| {
        alert.code() == "agent.delivery_delayed"
    });

    // Stopped first, so that it cannot have accepted the batch when it is killed.
    first.signal(Signal::SIGSTOP);
    expire(&tree, PODS..2 * PODS);
    std::thread::sleep(secs(3));
    first.signal(Signal::SIGKILL);
    drop(first);
    std::thread::sleep(secs(5));
    let second = collector.start();
    wait_for_pods(&telemetry, 0..2 * PODS);

    second.signal(Signal::SIGSTOP);
    expire(&tree, 2 * PODS..3 * PODS);
    std::thread::sleep(secs(20));
    assert!(agent.is_running());
    second.signal(Signal::SIGCONT);
    wait_for_pods(&telemetry, 0..3 * PODS);
    let end = agent.resident();
    println!("[collector] {} pods' alerts arrived; resident {end} bytes at the end", 3 * PODS);
    assert!(agent.stop(secs(10)).success());
}
