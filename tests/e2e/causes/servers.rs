//! Two API servers behind one address. One signs with a key that the other does not know, and later
//! has another clock.

use std::process::Command;
use std::time::Instant;

use super::balancer;
use super::beside::{certificate, first, kubelet_asks, start};
use super::scene::{ACCEPTED, REFUSED, Scene, deployment, pod_of};
use crate::bed::Cluster;
use crate::process::run;
use crate::requests::{status_at, token_of};
use crate::telemetry::Alert;
use crate::wait::secs;

const KEY: &str = "token.key_unknown";
const SKEW: &str = "apiserver.skew";
/// The name that only the certificate of the second one has.
const NAME: &str = "cp-2";
/// How far the clock of the second one is ahead, in seconds.
const AHEAD: i64 = 90;

#[test]
fn api_servers_with_different_keys_and_clocks_are_named() {
    let cluster = Cluster::up("servers");
    let second = second_server(&cluster);
    let address = cluster.get("NODE_IP").to_owned();
    let balancer = balancer::start(&address, vec![first(&cluster), second.clone()]);
    cluster.apply(&deployment("old", "default", ""));
    pod_of(&cluster, "old");
    kubelet_asks(&cluster, &second);
    let scene = Scene::behind(cluster, &format!("https://{balancer}"));
    different_keys(&scene, &second);
    different_clocks(&scene);
    scene.accuses_nobody_but(&[], &[KEY, SKEW]);
    scene.end();
}

/// It verifies with the keys of the first one too, and signs with its own. Returns its address.
fn second_server(cluster: &Cluster) -> String {
    let state = cluster.get("STATE");
    let (key, own) =
        (format!("{state}/etc/service-account.key"), format!("{state}/etc/second.key"));
    run(Command::new("openssl").args(["genrsa", "-out", &own, "2048"]));
    std::fs::write(format!("{state}/clock/second"), "0").unwrap();
    let shows = certificate(cluster, NAME);
    start(cluster, "second", "6445", |script| {
        script
            .replace("clock/apiserver", "clock/second")
            .replace("--secure-port", &format!("{shows} --secure-port"))
            .replace(&format!("signing-key-file {key}"), &format!("signing-key-file {own}"))
            .replace(
                &format!("--service-account-key-file {key}"),
                &format!("--service-account-key-file {key} --service-account-key-file {own}"),
            )
    })
}

fn different_keys(scene: &Scene, second: &str) {
    scene.cluster.apply(&deployment("new", "default", ""));
    let (pod, since) = (scene.pod("new"), Instant::now());
    let token = token_of(&scene.cluster, &pod.uid);
    assert_eq!(scene.status(&token), REFUSED, "the first API server does not know the key");
    assert_eq!(status_at(&format!("https://{second}"), &token), ACCEPTED);
    let is_it = |alert: &Alert| alert.reports(KEY) && alert.body.contains("some have the key");
    let alert = scene.telemetry.wait_alert(KEY, secs(240), is_it);
    scene.says(&format!("{} after {:?}: {}", alert.severity(), since.elapsed(), alert.body));
    assert!(alert.body.contains("default/new"), "{}", alert.body);
    assert!(!alert.body.contains("default/old"), "{}", alert.body);
    // The command shows the keys of the first one, which lacks that of the token.
    let published = scene.runs_remedy(&alert);
    let lacks = alert.attribute("tokenwatch.finding.evidence.key_ids");
    let ids: Vec<&str> = published.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert!(!ids.is_empty() && !ids.iter().any(|id| lacks.contains(id)), "{lacks}: {ids:?}");
}

fn different_clocks(scene: &Scene) {
    std::fs::write(format!("{}/clock/second", scene.cluster.get("STATE")), AHEAD.to_string())
        .unwrap();
    let since = Instant::now();
    let alert = scene.telemetry.wait_alert(SKEW, secs(400), |alert| alert.reports(SKEW));
    scene.says(&format!("{} after {:?}: {}", alert.severity(), since.elapsed(), alert.body));
    // A time server decides with its next answer: before, the node may have stood still.
    let which = format!("The clock of one of several API servers (certificate: {NAME}) is 1m 30");
    scene.shows(&which, secs(180));

    scene.says("kubelet asks the first API server, and is restarted");
    kubelet_asks(&scene.cluster, &first(&scene.cluster));
    scene.cluster.component("kubelet", &[]);
    let cleared = scene
        .telemetry
        .wait_alert("new tokens to clear it", secs(300), |alert| alert.is("cleared", KEY));
    scene.says(&cleared.body);
    let token = token_of(&scene.cluster, &scene.pod("new").uid);
    assert_eq!(scene.status(&token), ACCEPTED);
}
