//! The node authorizer refuses the token: to the API server that kubelet reaches, its credential is
//! that of another node, on which the pod does not run.

use super::beside::{first, kubelet_asks, start};
use super::denied::with_old_tokens;
use super::scene::{ACCEPTED, Scene, deployment, token};
use crate::bed::Cluster;
use crate::requests::token_of;
use crate::wait::secs;

const LATE: &str = "token.rotation_late";
const STALLED: &str = "token.rotation_stalled";

#[test]
fn a_denial_by_the_node_authorizer_is_named_in_the_words_of_kubelet() {
    let cluster = Cluster::up("authorizer");
    let other = start(&cluster, "other", "6446", |script| of_another_node(&cluster, &script));
    let own = token("/identity", ", expirationSeconds: 600");
    with_old_tokens(&cluster, &[("bound", deployment("bound", "default", &own))]);
    kubelet_asks(&cluster, &other);
    let scene = Scene::with_log_of_kubelet(cluster, &[]);
    let pod = scene.pod("bound");
    let token = token_of(&scene.cluster, &pod.uid);
    for code in [LATE, STALLED] {
        let alert = scene.reports(code, &pod, secs(150));
        let words = "no relationship found between node 'other' and this object";
        assert!(alert.body.contains("its node authorizer does not know"), "{}", alert.body);
        assert!(alert.body.contains(words), "{}", alert.body);
        let cause = alert.attribute("tokenwatch.finding.evidence.kubelet_error");
        assert_eq!(cause, "node_authorizer");
        if code == STALLED {
            scene.runs_remedy(&alert);
        }
    }
    assert_eq!(scene.status(&token), ACCEPTED, "named before the first 401");
    kubelet_asks(&scene.cluster, &first(&scene.cluster));
    let cleared = scene.telemetry.wait_alert("the recovery", secs(180), |alert| {
        let is_cleared = alert.event == "tokenwatch.finding.cleared";
        is_cleared && alert.body.contains("was replaced by a new token")
    });
    scene.says(&cleared.body);
    scene.accuses_nobody_but(&["bound"], &[]);
    scene.end();
}

/// The credential of kubelet is that of the node `other`.
fn of_another_node(cluster: &Cluster, script: &str) -> String {
    let (state, node) = (cluster.get("STATE"), cluster.get("NODE_NAME"));
    let tokens = std::fs::read_to_string(format!("{state}/etc/tokens.csv")).unwrap();
    let mine = format!("system:node:{node}");
    assert!(tokens.contains(&mine), "kubelet's identity");
    std::fs::write(format!("{state}/etc/other.csv"), tokens.replace(&mine, "system:node:other"))
        .unwrap();
    script.replace("etc/tokens.csv", "etc/other.csv")
}
