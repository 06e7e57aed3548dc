//! A PersistentVolumeClaim of a pod is being deleted: kubelet syncs none of the pod's volumes any
//! more. While the claim has its protection, kubelet goes on.

use std::time::Instant;

use super::scene::{ACCEPTED, Pod, Scene, deployment};
use crate::requests::token_of;
use crate::wait::{secs, until};

const CODE: &str = "token.rotation_stalled";
/// How long an agent sees syncs before it judges them (`OBSERVED` in world/kubelet/rhythm.rs), and
/// the time until kubelet has synced each again.
pub const LEARNS: std::time::Duration = secs(330);

/// Pods with claims, and since when they run.
pub struct Claims {
    claimed: Pod,
    protected: Pod,
    since: Instant,
}

/// The pod whose claim was deleted, its token, and when.
pub struct Deleted {
    pod: Pod,
    token: String,
    at: Instant,
}

pub fn workloads() -> String {
    ["claimed", "protected"].map(|name| volume(name) + &with_claim(name)).concat()
}

fn volume(name: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 1Mi}}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {{namespace: default, name: {name}}}
  hostPath: {{path: /var/lib/{name}, type: DirectoryOrCreate}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, finalizers: [tokenwatch.test/hold]}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: {name}
  resources: {{requests: {{storage: 1Mi}}}}
---
"#
    )
}

fn with_claim(name: &str) -> String {
    let mounts = "          volumeMounts: [{name: data, mountPath: /data}]\n";
    let claim =
        format!("      volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]");
    deployment(name, "default", &(mounts.to_owned() + &claim))
}

pub fn pods(scene: &Scene) -> Claims {
    let [claimed, protected] = ["claimed", "protected"].map(|name| scene.pod(name));
    Claims { claimed, protected, since: Instant::now() }
}

/// Waits until kubelet's rhythm is known, and deletes both claims. One loses its protection.
pub fn is_deleted(scene: &Scene, claims: &Claims) -> Deleted {
    std::thread::sleep(LEARNS.saturating_sub(claims.since.elapsed()));
    scene.says("two claims are deleted, and one of them loses its protection");
    scene.cluster.kubectl(&["delete", "pvc", "claimed", "protected", "--wait=false"]);
    finalizers(scene, r#"["tokenwatch.test/hold"]"#);
    let pod = claims.claimed.clone();
    assert_eq!(scene.checked(&claims.protected), [""; 0]);
    Deleted { token: token_of(&scene.cluster, &pod.uid), pod, at: Instant::now() }
}

fn finalizers(scene: &Scene, to: &str) {
    let patch = format!(r#"{{"metadata": {{"finalizers": {to}}}}}"#);
    scene.cluster.kubectl(&["patch", "pvc", "claimed", "--type=merge", "-p", &patch]);
}

pub fn is_named_and_repaired(scene: &Scene, deleted: &Deleted) {
    let pod = &deleted.pod;
    let alert = scene.reports(CODE, pod, secs(300));
    scene.says(&format!("within {:?}", deleted.at.elapsed()));
    let text = format!("{} {}", alert.body, alert.attribute("tokenwatch.finding.remedy"));
    assert!(text.contains("although it syncs those of other pods"), "{text}");
    // By kubelet's log if it has a line about it by then, else as one of the possible causes.
    let names_it = text.contains("PersistentVolumeClaim") && text.contains("being deleted");
    assert!(names_it, "{text}");
    assert_eq!(alert.severity(), "info", "kubelet may be held up and go on");
    assert_eq!(scene.status(&deleted.token), ACCEPTED, "named long before the first 401");
    // The finding's command shows the event, and the claim is given back.
    scene.runs_remedy(&alert);
    finalizers(scene, "null");
    until("the claim to be deleted", secs(60), || {
        let left = scene.cluster.kubectl(&["get", "pvc", "claimed", "--ignore-not-found"]);
        left.is_empty().then_some(())
    });
    scene.cluster.kubectl(&["delete", "pv", "claimed"]);
    scene.cluster.apply(&volume("claimed"));
    scene.cluster.kubectl(&["rollout", "restart", "deployment/claimed"]);
    scene.resolves(CODE, pod, secs(120));
    scene.renewed("claimed", pod);
}
