//! A ConfigMap that a volume needs beside its token is deleted: kubelet cannot fill the volume any
//! more, and says why.

use std::time::Instant;

use super::scene::{ACCEPTED, Pod, Scene, deployment};
use crate::requests::token_of;
use crate::wait::secs;

const CODE: &str = "token.rotation_stalled";
const SETTINGS: [&str; 3] = ["create", "configmap", "settings"];

/// The pod, its token, and when the ConfigMap was deleted.
pub struct Missing {
    pod: Pod,
    token: String,
    at: Instant,
}

pub fn workloads(scene: &Scene) -> String {
    create(scene);
    let volume = "          volumeMounts: [{name: own, mountPath: /identity}]\n      \
                  automountServiceAccountToken: false\n      volumes: [{name: own, projected: \
                  {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: \
                  settings}}]}}]";
    deployment("sourced", "default", volume)
}

fn create(scene: &Scene) {
    scene.cluster.kubectl(&[&SETTINGS[..], &["--from-literal=a=b"]].concat());
}

/// Once kubelet's rhythm is known.
pub fn is_deleted(scene: &Scene) -> Missing {
    let pod = scene.pod("sourced");
    let token = token_of(&scene.cluster, &pod.uid);
    scene.cluster.kubectl(&["delete", "configmap", "settings"]);
    Missing { pod, token, at: Instant::now() }
}

/// kubelet's own text names the ConfigMap, and the remedy is to create it again. The end of the
/// finding comes with the next attempt of kubelet, after up to two minutes.
pub fn is_named_and_created_again(scene: &Scene, missing: &Missing) {
    let alert = scene.reports(CODE, &missing.pod, secs(300));
    scene.says(&format!("within {:?}", missing.at.elapsed()));
    let text = &alert.body;
    assert!(text.contains("a ConfigMap or Secret of the volume is missing"), "{text}");
    assert!(text.contains("configmap \"settings\" not found"), "{text}");
    assert_eq!(scene.status(&missing.token), ACCEPTED, "named long before the first 401");
    scene.runs_remedy(&alert);
    create(scene);
}

pub fn is_resolved(scene: &Scene, missing: &Missing) {
    scene.resolves(CODE, &missing.pod, secs(240));
}
