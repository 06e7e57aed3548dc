//! A program that keeps the token which it opened at its start. The command of the finding restarts
//! it by its owner.

use super::scene::{ACCEPTED, Pod, Scene, deployment, token};
use crate::requests::token_of;
use crate::wait::secs;

const CODE: &str = "token.reader_stale";
const IDLE: &str = "while :; do sleep 3600 & wait $!; done";
/// It reads a byte now and then by the descriptor that it opened first.
const KEEPS: &str = "exec 3</identity/token; while :; do dd bs=1 count=1 of=/dev/null <&3 \
                     2>/dev/null; sleep 5 & wait $!; done";

pub fn workloads() -> String {
    let own = token("/identity", ", expirationSeconds: 600");
    deployment("keeper", "default", &own).replace(IDLE, KEEPS)
}

/// The pod, and the token that it keeps.
pub struct Keeper {
    pod: Pod,
    first: String,
}

pub fn pod(scene: &Scene) -> Keeper {
    let pod = scene.pod("keeper");
    let first = token_of(&scene.cluster, &pod.uid);
    Keeper { pod, first }
}

/// kubelet replaces its token after 8 minutes of 10. The first one is used before these are over,
/// so a test waits for slower findings afterwards.
pub fn is_named_and_restarted(scene: &Scene, Keeper { pod, first }: &Keeper) {
    let alert = scene.reports(CODE, pod, secs(600));
    assert_eq!(alert.severity(), "warning");
    assert_ne!(&token_of(&scene.cluster, &pod.uid), first, "kubelet has replaced it");
    assert_eq!(scene.status(first), ACCEPTED, "named before the first 401");
    scene.runs_remedy(&alert);
    scene.resolves(CODE, pod, secs(120));
    scene.renewed("keeper", pod);
}
