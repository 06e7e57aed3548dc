//! The API server answers 403 to kubelet's request for a token: a policy forbids it.

use std::time::Instant;

use super::scene::{ACCEPTED, Scene, deployment, pod_of, token};
use crate::bed::Cluster;
use crate::requests::token_of;
use crate::wait::secs;

/// The age of the token when its pod starts, in seconds: it is due after 20 s at the earliest, in
/// which the test sees to it that it is not replaced, and late at 576.
const AGE: i64 = 450;

const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: denied}
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [serviceaccounts/token]
  validations: [{expression: "request.name != 'denied'"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: denied}
spec: {policyName: denied, validationActions: [Deny]}
"#;
const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: denied}\n---";

/// The pod, and another workload.
pub fn pods_with_old_tokens(cluster: &Cluster, other: (&str, String)) {
    let own = token("/identity", ", expirationSeconds: 600");
    let denied = ACCOUNT.to_owned() + &deployment("denied", "denied", &own);
    with_old_tokens(cluster, &[("denied", denied), other]);
    cluster.apply(POLICY);
}

/// Workloads whose tokens are old when they begin.
pub fn with_old_tokens(cluster: &Cluster, workloads: &[(&str, String)]) {
    cluster.shift_clock("apiserver", -AGE);
    for (name, yaml) in workloads {
        cluster.apply(yaml);
        pod_of(cluster, name);
    }
    cluster.shift_clock("apiserver", 0);
}

pub fn is_named_and_repaired(scene: &Scene) {
    let (pod, started) = (scene.pod("denied"), Instant::now());
    let token = token_of(&scene.cluster, &pod.uid);
    let late = scene.reports("token.rotation_late", &pod, secs(150));
    scene.says(&format!("late after {:?}", started.elapsed()));
    let stalled = scene.reports("token.rotation_stalled", &pod, secs(60));
    assert!(late.at < stalled.at);
    assert_eq!(scene.status(&token), ACCEPTED, "named before the first 401");
    for alert in [&late, &stalled] {
        assert!(alert.body.contains("kubelet logged why"), "{}", alert.body);
        assert!(alert.body.contains("request.name != 'denied'"), "{}", alert.body);
    }
    let logged = scene.runs_remedy(&stalled);
    let is_it = |line: &str| line.contains("Couldn't update token") && line.contains("forbidden");
    assert!(logged.lines().any(is_it), "{logged}");
    scene.cluster.kubectl(&["delete", "validatingadmissionpolicybinding", "denied"]);
    let is_last = |code: &str| ["token.rotation_stalled", "token.expired"].contains(&code);
    let cleared = scene.telemetry.wait_alert("the recovery", secs(180), |alert| {
        let is_it = alert.event == "tokenwatch.finding.cleared" && super::scene::is_of(alert, &pod);
        is_it && is_last(&alert.code()) && alert.body.contains("was replaced by a new token")
    });
    scene.says(&cleared.body);
}
