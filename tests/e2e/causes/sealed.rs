//! A token that is bound to a Secret, in a file by hand. The API server refuses it when the Secret
//! is deleted. No agent may read Secrets, so that it cannot know; it must not say that it is well.

use serde_json::Value;

use super::scene::{ACCEPTED, Pod, REFUSED, Scene, deployment};
use crate::requests::token_of;

/// Its token is in the Secret `holder`, and bound to the Secret `seal`.
pub fn pod(scene: &Scene) -> Pod {
    let cluster = &scene.cluster;
    cluster.kubectl(&["create", "secret", "generic", "seal"]);
    let bound = ["--bound-object-kind", "Secret", "--bound-object-name", "seal"];
    let token = cluster.kubectl(&[&["create", "token", "default"], bound.as_slice()].concat());
    let literal = format!("--from-literal=token={}", token.trim());
    cluster.kubectl(&["create", "secret", "generic", "holder", &literal]);
    let mount = "          volumeMounts: [{name: own, mountPath: /identity}]\n      \
                 automountServiceAccountToken: false\n      volumes: [{name: own, projected: \
                 {sources: [{secret: {name: holder}}]}}]";
    cluster.apply(&deployment("sealed", "default", mount));
    scene.pod("sealed")
}

pub fn is_not_called_healthy(scene: &Scene, pod: &Pod) {
    let token = token_of(&scene.cluster, &pod.uid);
    assert_eq!(scene.status(&token), ACCEPTED);
    scene.cluster.kubectl(&["delete", "secret", "seal"]);
    scene.wait_status(&token, REFUSED);
    let checked = scene.check();
    let is_it = |one: &&Value| one["pod"]["uid"] == pod.uid.as_str();
    let listed = checked["tokens"].as_array().unwrap().iter().find(is_it).unwrap();
    let (verdict, bound_to) = (&listed["verdict"], &listed["bound_to"]);
    assert_eq!((verdict, bound_to), (&"uncertain".into(), &"secret".into()), "{listed:#}");
    let why = scene.explained(pod);
    scene.says(&why);
    assert!(why.contains("Not known whether that still exists"), "{why}");
}
