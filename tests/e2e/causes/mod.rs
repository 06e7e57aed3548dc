//! Failures of real clusters that no other test here has: what the API server really answers to the
//! token, which finding names the cause, and whether the command that it prints repairs it.

mod accounts;
mod audience;
mod balancer;
mod claimed;
mod denied;
mod kubelets;
mod scene;
mod sealed;
mod servers;

use crate::bed::Cluster;
use scene::Scene;

#[test]
fn causes_outside_of_kubelet_are_named_and_their_remedies_work() {
    let cluster = Cluster::up("causes");
    denied::pod_with_an_old_token(&cluster);
    let scene = Scene::start(cluster);
    let workloads = [accounts::workloads(), audience::workloads(), claimed::workloads()];
    scene.cluster.apply(&workloads.concat());
    let (sealed, claims) = (sealed::pod(&scene), claimed::pods(&scene));

    let lost = accounts::lose(&scene);
    let astray = audience::is_named(&scene);
    sealed::is_not_called_healthy(&scene, &sealed);
    denied::is_named_and_repaired(&scene);
    audience::is_repaired(&scene, &astray);
    let claim = claimed::is_deleted(&scene, &claims);
    accounts::are_named_and_repaired(&scene, &lost);
    claimed::is_named_and_repaired(&scene, &claim);
    scene.accuses_nobody_but(
        &["gone", "again", "astray", "denied", "claimed"],
        &["apiserver.rejecting"],
    );
    scene.end();
}
