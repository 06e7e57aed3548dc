//! kubelet is stopped, hangs, or cannot get answers: one finding about it, and none about each pod.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::claimed::LEARNS;
use super::denied::with_old_tokens;
use super::scene::{ACCEPTED, Scene, deployment, now, token};
use crate::bed::Cluster;
use crate::requests::token_of;
use crate::telemetry::Alert;
use crate::wait::secs;

const CODE: &str = "kubelet.stalled";
const PODS: [&str; 4] = ["one", "two", "three", "four"];
/// After the last sync that was seen, with kubelet's default `syncFrequency`: 5/3 of 92 s, and 10 s
/// (`limit` in world/kubelet/rhythm.rs). The agent looks once in ten seconds.
const NAMED_WITHIN: Duration = secs(200);

#[test]
fn a_kubelet_that_stops_or_hangs_or_gets_no_answer_is_one_finding() {
    let cluster = Cluster::up("kubelets");
    let own = token("/identity", ", expirationSeconds: 600");
    let all: Vec<_> = PODS.iter().map(|name| (*name, deployment(name, "default", &own))).collect();
    with_old_tokens(&cluster, &all);
    let scene = Scene::start(cluster);
    gets_no_answer(&scene);
    std::thread::sleep(LEARNS);

    scene.says("kubelet is stopped, and somebody looks at the node");
    scene.cluster.component("kubelet", &["--only-stop"]);
    drop(scene.check());
    let alert = is_named(&scene, "has synced no volume");
    let printed = scene.runs_remedy(&alert);
    assert!(printed.contains("Active: inactive (dead)"), "{printed}");
    scene.cluster.component("kubelet", &["--only-start"]);
    is_resolved(&scene);

    scene.says("kubelet hangs");
    scene.signal("kubelet", Signal::SIGSTOP);
    is_named(&scene, "has synced no volume");
    scene.signal("kubelet", Signal::SIGCONT);
    is_resolved(&scene);
    assert_eq!(scene.raised(CODE), 3);
    scene.accuses_nobody_but(&[], &[CODE]);
    scene.end();
}

/// What is between kubelet and the API server hangs: connections stay open, and no byte passes.
fn gets_no_answer(scene: &Scene) {
    scene.says("the proxy between kubelet and the API server hangs");
    scene.signal("relay", Signal::SIGSTOP);
    is_named(scene, "has replaced no token");
    scene.signal("relay", Signal::SIGCONT);
    is_resolved(scene);
}

fn is_named(scene: &Scene, what: &str) -> Alert {
    let (from, since) = (now(), Instant::now());
    let is_it = |alert: &Alert| alert.is("raised", CODE) && alert.at >= from;
    let alert = scene.telemetry.wait_alert(CODE, NAMED_WITHIN, is_it);
    let took = since.elapsed();
    scene.says(&format!("{} after {took:?}: {}", alert.severity(), alert.body));
    assert!(took <= NAMED_WITHIN, "{took:?}");
    assert!(alert.body.contains(what), "{}", alert.body);
    assert!(alert.body.contains("This agent reaches the API server"), "{}", alert.body);
    for name in PODS {
        let token = token_of(&scene.cluster, &scene.pod(name).uid);
        assert_eq!(scene.status(&token), ACCEPTED, "named before the first 401");
    }
    alert
}

fn is_resolved(scene: &Scene) {
    let (from, since) = (now(), Instant::now());
    let is_it = |alert: &Alert| alert.is("cleared", CODE) && alert.at >= from;
    let alert = scene.telemetry.wait_alert("its end", secs(180), is_it);
    scene.says(&format!("resolved after {:?}: {}", since.elapsed(), alert.body));
}
