//! The service account of a running Deployment is deleted, or deleted and created again.

use super::scene::{ACCEPTED, Pod, REFUSED, Scene, deployment, now};
use crate::requests::token_of;
use crate::wait::secs;

const CODE: &str = "token.subject_replaced";
/// Seconds until a lost account is named. The pods use five accounts, and each turn is two minutes
/// after the last (`MOST` in world/cluster/turns.rs). One that is lost just after its first turn
/// waits for six turns: the next one is empty, because every account was requested less than
/// `TURN_INTERVAL` before. One minute is for the answer and the alert.
const LONGEST: u64 = 6 * 120 + 60;

/// The pods, before their accounts are lost.
pub struct Lost {
    gone: Pod,
    again: Pod,
    /// When the accounts were lost, in nanoseconds.
    since: i128,
}

pub fn workloads() -> String {
    let account = |name: &str| {
        format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---")
    };
    ["gone", "again"].map(|name| account(name) + &deployment(name, name, "")).concat()
}

/// Deletes both accounts, and creates one of them again.
pub fn lose(scene: &Scene) -> Lost {
    let pods = ["gone", "again"].map(|name| scene.pod(name));
    let tokens = pods.each_ref().map(|pod| token_of(&scene.cluster, &pod.uid));
    for token in &tokens {
        assert_eq!(scene.status(token), ACCEPTED);
    }
    scene.says("two service accounts are deleted, and one of them is created again");
    scene.cluster.kubectl(&["delete", "serviceaccount", "gone", "again"]);
    scene.cluster.kubectl(&["create", "serviceaccount", "again"]);
    let since = now();
    for token in &tokens {
        scene.wait_status(token, REFUSED);
    }
    let [gone, again] = pods;
    for pod in [&gone, &again] {
        assert_eq!(scene.checked(pod), [CODE], "`check` asks about every account at once");
    }
    Lost { gone, again, since }
}

/// The agent asks about each account in turn, within 20 minutes on a node with up to 20 accounts
/// (`ROUND` in world/cluster/turns.rs).
pub fn are_named_and_repaired(scene: &Scene, lost: &Lost) {
    for (pod, name) in [(&lost.gone, "gone"), (&lost.again, "again")] {
        let alert = scene.reports(CODE, pod, secs(LONGEST));
        let took = (alert.at - lost.since) / 1_000_000_000;
        scene.says(&format!("{name}: named after {took} s"));
        assert!(took < LONGEST.into(), "{took} s");
        assert_eq!(alert.severity(), "critical");
        let state = alert.attribute("tokenwatch.finding.evidence.service_account_state");
        assert_eq!(state, if name == "gone" { "missing" } else { "replaced" });
        scene.runs_remedy(&alert);
        scene.resolves(CODE, pod, secs(180));
        let new = scene.renewed(name, pod);
        assert_eq!(scene.status(&token_of(&scene.cluster, &new.uid)), ACCEPTED);
        assert_eq!(scene.checked(&new), [""; 0]);
    }
}
