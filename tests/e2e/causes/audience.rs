//! A token for another audience where clients of the API server look for theirs.

use super::scene::{ACCEPTED, Pod, REFUSED, Scene, deployment, token};
use crate::requests::token_of;
use crate::wait::secs;

const CODE: &str = "token.audience_unknown";
const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// One with the wrong audience, and two that are right: a token for another service elsewhere, and
/// one without an audience.
pub fn workloads() -> String {
    let elsewhere = token("/var/run/secrets/vault", ", audience: vault");
    deployment("astray", "default", &token(PLACE, ", audience: shop.example"))
        + &deployment("vault", "default", &elsewhere)
        + &deployment("own", "default", &token(PLACE, ""))
}

pub fn is_named(scene: &Scene) -> Pod {
    let pod = scene.pod("astray");
    let token = token_of(&scene.cluster, &pod.uid);
    // A client that tries again, as most do.
    (0..4).for_each(|_| assert_eq!(scene.status(&token), REFUSED));
    let alert = scene.reports(CODE, &pod, secs(60));
    assert_eq!(alert.severity(), "warning");
    assert!(alert.body.contains("is for shop.example"), "{}", alert.body);
    assert_eq!(scene.checked(&pod), [CODE]);
    let refused = scene.telemetry.wait_alert("the refused requests", secs(120), |alert| {
        alert.reports("apiserver.rejecting") && alert.body.contains("audience")
    });
    scene.says(&format!("{} {}", refused.severity(), refused.body));
    assert_eq!(refused.severity(), "info", "nothing shows who sent them");
    pod
}

/// What the finding advises: the audience is corrected where the pod is defined.
pub fn is_repaired(scene: &Scene, pod: &Pod) {
    let path = "/spec/template/spec/volumes/0/projected/sources/0/serviceAccountToken/audience";
    let patch = format!(r#"[{{"op": "remove", "path": "{path}"}}]"#);
    scene.cluster.kubectl(&["patch", "deployment", "astray", "--type=json", "-p", &patch]);
    scene.resolves(CODE, pod, secs(120));
    let new = scene.renewed("astray", pod);
    assert_eq!(scene.status(&token_of(&scene.cluster, &new.uid)), ACCEPTED);
    for name in ["vault", "own", "astray"] {
        assert_eq!(scene.checked(&scene.pod(name)), [""; 0], "{name}");
    }
}
