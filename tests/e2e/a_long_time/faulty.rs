//! Scenarios 2 and 3: a kubelet that cannot reach its API server, and an API server whose clock is
//! ahead.

use crate::bed::{Cluster, IMAGE, Scene, json, tokenwatch};
use crate::requests::{status_for, token_of};
use crate::telemetry::Telemetry;
use crate::wait::{secs, until};

fn pod(name: &str, expiration: Option<u32>) -> String {
    let token = expiration.map_or(String::new(), |seconds| {
        format!(
            "\n      volumeMounts: [{{name: tokens, mountPath: /tokens}}]\n  volumes:\n    - \
             name: tokens\n      projected:\n        sources:\n          - serviceAccountToken: \
             {{path: token, expirationSeconds: {seconds}}}"
        )
    });
    let automount = expiration.is_none();
    // Tolerates every taint. Otherwise a node that is cut off for minutes would have its pods
    // evicted.
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         automountServiceAccountToken: {automount}\n  terminationGracePeriodSeconds: 1\n  \
         tolerations: [{{operator: Exists}}]\n  containers:\n    - name: main\n      \
         image: {IMAGE}\n      imagePullPolicy: Never\n      command: [sh, -c, \
         \"trap exit TERM; while :; do sleep 3600 & wait $!; done\"]{token}\n"
    )
}

#[test]
fn a_cut_off_kubelet_and_an_api_server_ahead() {
    let scene = Scene::start("cut-off", "http/protobuf");
    let (cluster, collector) = (&scene.cluster, &scene.collector);
    let telemetry = collector.telemetry();

    cluster.apply(&format!("{}---\n{}", pod("short", Some(600)), pod("bystander", None)));
    cluster.wait_running("short");
    cluster.wait_running("bystander");
    let short = cluster.pod_uid("short");

    api_server_ahead(cluster, &telemetry);

    println!("[cut-off] cutting kubelet off from its API server");
    cluster.gate("cut");
    kubelet_cut_off(cluster, &telemetry, &short);
    no_other_pod_has_an_alert(&telemetry, &["short", "ahead", "slightly-ahead"]);
    assert!(scene.agent.stop(secs(15)).success());
    scene.recording.gives_the_same_alerts(&telemetry);
}

fn api_server_ahead(cluster: &Cluster, telemetry: &Telemetry) {
    println!("[cut-off] API server 40 s, then 300 s ahead");
    cluster.shift_clock("apiserver", 40);
    cluster.apply(&pod("slightly-ahead", Some(600)));
    cluster.wait_running("slightly-ahead");
    telemetry.wait_alert("token.future_dated", secs(30), |alert| {
        alert.is("raised", "token.future_dated")
            && alert.attribute("k8s.pod.name") == "slightly-ahead"
    });
    cluster.shift_clock("apiserver", 300);
    cluster.apply(&pod("ahead", Some(600)));
    cluster.wait_running("ahead");
    let uid = cluster.pod_uid("ahead");
    let token = token_of(cluster, &uid);
    assert_eq!(
        status_for(cluster, &token),
        "403",
        "while it is ahead, the API server authenticates the token, and RBAC denies the request"
    );
    cluster.shift_clock("apiserver", 0);
    let future = telemetry.wait_alert("token.not_yet_valid", secs(30), |alert| {
        alert.is("raised", "token.not_yet_valid") && alert.attribute("k8s.pod.uid") == uid
    });
    assert_eq!(future.severity(), "critical");
    until("the API server to refuse the token", secs(20), || {
        (status_for(cluster, &token) == "401").then_some(())
    });
    println!("[cut-off] the API server answers 401, as the alert predicted: {}", future.body);
    let (code, checked) = json(
        tokenwatch().args(["check", "--output", "json", "--root"]).arg(cluster.kubelet_root()),
    );
    assert_eq!(code, 1);
    let listed = checked["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["pod"]["uid"] == uid.as_str())
        .unwrap();
    assert_eq!(listed["state"], "not_yet_valid", "{listed:#}");
}

fn kubelet_cut_off(cluster: &Cluster, telemetry: &Telemetry, uid: &str) {
    let about = |what: &'static str, code: &'static str| {
        let uid = uid.to_owned();
        move |alert: &crate::telemetry::Alert| {
            alert.is(what, code) && alert.attribute("k8s.pod.uid") == uid
        }
    };
    let late =
        telemetry.wait_alert("rotation_late", secs(640), about("raised", "token.rotation_late"));
    let stalled = telemetry.wait_alert(
        "rotation_stalled",
        secs(60),
        about("reminded", "token.rotation_stalled"),
    );
    let claims = explained(cluster, uid);
    assert_eq!(
        stalled.attribute("tokenwatch.finding.deadline"),
        claims["expires_at"].as_str().unwrap()
    );
    assert!(late.at < stalled.at && stalled.body.contains("default/short"), "{}", stalled.body);
    assert!(!stalled.trace_id.is_empty(), "an alert has the trace id of its token");
    println!("[cut-off] {}", stalled.body);
    cluster.gate("open");
    let cleared = telemetry.wait_alert("the recovery to clear the alert", secs(180), |alert| {
        let last = ["token.rotation_stalled", "token.expired"].contains(&alert.code().as_str())
            && !alert.body.contains("became");
        last && alert.event == "tokenwatch.finding.cleared" && alert.attribute("k8s.pod.uid") == uid
    });
    assert!(
        cleared.body.contains("was replaced by a new token"),
        "cleared by a rotation, not by the end of the pod: {}",
        cleared.body
    );
    println!("[cut-off] {}", cleared.body);
}

fn explained(cluster: &Cluster, uid: &str) -> serde_json::Value {
    let (_, checked) = json(
        tokenwatch().args(["check", "--output", "json", "--root"]).arg(cluster.kubelet_root()),
    );
    checked["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["pod"]["uid"] == uid)
        .unwrap_or_else(|| panic!("{uid} is not in {checked:#}"))
        .clone()
}

fn no_other_pod_has_an_alert(telemetry: &Telemetry, expected: &[&str]) {
    let unexpected: Vec<_> = telemetry
        .alerts()
        .into_iter()
        .filter(|alert| {
            alert.code().starts_with("token.")
                && alert.severity() != "info"
                && !expected.contains(&alert.attribute("k8s.pod.name").as_str())
        })
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}
