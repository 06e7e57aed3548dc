//! Failures of real clusters that no other test here has: what the API server really answers to the
//! token, which finding names the cause, and whether the command that it prints repairs it.

mod accounts;
mod audience;
mod authorizer;
mod balancer;
mod beside;
mod claimed;
mod copied;
mod denied;
mod keeper;
mod kubelets;
mod scene;
mod sealed;
mod servers;
mod skew;
mod source;

use crate::bed::Cluster;
use scene::Scene;

#[test]
fn causes_outside_of_kubelet_are_named_and_their_remedies_work() {
    let cluster = Cluster::up("causes");
    denied::pods_with_old_tokens(&cluster, (copied::DAEMON, copied::workloads()));
    let root = copied::usual_root(&cluster);
    let scene = Scene::with_log_of_kubelet(cluster, &["--root", &root]);
    let workloads = [accounts::workloads(), audience::workloads(), claimed::workloads()];
    let more = [keeper::workloads(), source::workloads(&scene)];
    scene.cluster.apply(&(workloads.concat() + &more.concat()));
    let (sealed, claims) = (sealed::pod(&scene), claimed::pods(&scene));
    let keeper = keeper::pod(&scene);

    let lost = accounts::lose(&scene);
    let astray = audience::is_named(&scene);
    sealed::is_not_called_healthy(&scene, &sealed);
    copied::is_left_behind(&scene);
    denied::is_named_and_repaired(&scene);
    audience::is_repaired(&scene, &astray);
    copied::is_damaged(&scene);
    let claim = claimed::is_deleted(&scene, &claims);
    let missing = source::is_deleted(&scene);
    source::is_named_and_created_again(&scene, &missing);
    keeper::is_named_and_restarted(&scene, &keeper);
    accounts::are_named_and_repaired(&scene, &lost);
    claimed::is_named_and_repaired(&scene, &claim);
    source::is_resolved(&scene, &missing);
    scene.accuses_nobody_but(
        &["gone", "again", "astray", "denied", "claimed", "keeper", "sourced"],
        &["apiserver.rejecting", "copy.stale"],
    );
    scene.end();
}
