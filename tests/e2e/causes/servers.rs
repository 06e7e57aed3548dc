//! Two API servers behind one address. One signs with a key that the other does not know, and later
//! has another clock.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::balancer;
use super::scene::{ACCEPTED, REFUSED, Scene, deployment, pod_of};
use crate::bed::Cluster;
use crate::faulty::{status_at, token_of};
use crate::process::run;
use crate::telemetry::Alert;
use crate::wait::{secs, until};

const KEY: &str = "token.key_unknown";
const SKEW: &str = "apiserver.skew";
const PORT: &str = "6445";
/// How far the clock of the second one is ahead, in seconds.
const AHEAD: i64 = 90;

#[test]
fn api_servers_with_different_keys_and_clocks_are_named() {
    let cluster = Cluster::up("servers");
    let second = second_server(&cluster);
    let first = cluster.get("APISERVER").trim_start_matches("https://").to_owned();
    let address = cluster.get("NODE_IP").to_owned();
    let balancer = balancer::start(&address, vec![first, second.clone()]);
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
    let first = std::fs::read_to_string(format!("{state}/run/apiserver")).unwrap();
    let script = first
        .replace("clock/apiserver", "clock/second")
        .replace("audit.log", "second-audit.log")
        .replace("--secure-port 6443", &format!("--secure-port {PORT}"))
        .replace(&format!("signing-key-file {key}"), &format!("signing-key-file {own}"))
        .replace(
            &format!("--service-account-key-file {key}"),
            &format!("--service-account-key-file {key} --service-account-key-file {own}"),
        );
    let file = Path::new(state).join("run/second");
    std::fs::write(&file, script).unwrap();
    run(Command::new("chmod").arg("755").arg(&file));
    cluster.component("second", &["--only-start"]);
    let address = format!("{}:{PORT}", cluster.get("NODE_IP"));
    until("the second API server", secs(60), || {
        (status_at(&format!("https://{address}"), cluster.get("TOKEN")) == "200").then_some(())
    });
    address
}

/// From now on kubelet reaches this API server.
fn kubelet_asks(cluster: &Cluster, server: &str) {
    let script = format!("{}/run/relay", cluster.get("STATE"));
    let text = std::fs::read_to_string(&script).unwrap();
    let first = cluster.get("APISERVER").trim_start_matches("https://");
    let second = format!("{}:{PORT}", cluster.get("NODE_IP"));
    let text = text.replace(&format!("--to {first}"), &format!("--to {server}"));
    std::fs::write(&script, text.replace(&format!("--to {second}"), &format!("--to {server}")))
        .unwrap();
    cluster.component("relay", &[]);
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
}

fn different_clocks(scene: &Scene) {
    std::fs::write(format!("{}/clock/second", scene.cluster.get("STATE")), AHEAD.to_string())
        .unwrap();
    let since = Instant::now();
    let alert = scene.telemetry.wait_alert(SKEW, secs(400), |alert| alert.reports(SKEW));
    scene.says(&format!("{} after {:?}: {}", alert.severity(), since.elapsed(), alert.body));
    // A time server decides with its next answer: before, the node may have stood still.
    scene.shows("The clock of one of several API servers is 1m 30", secs(180));

    scene.says("kubelet asks the first API server, and is restarted");
    let first = scene.cluster.get("APISERVER").trim_start_matches("https://");
    kubelet_asks(&scene.cluster, first);
    scene.cluster.component("kubelet", &[]);
    let cleared = scene
        .telemetry
        .wait_alert("new tokens to clear it", secs(300), |alert| alert.is("cleared", KEY));
    scene.says(&cleared.body);
    let token = token_of(&scene.cluster, &scene.pod("new").uid);
    assert_eq!(scene.status(&token), ACCEPTED);
}
