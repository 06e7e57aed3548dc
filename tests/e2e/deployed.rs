//! Scenario 8: deployed as README says it, on a real cluster, from the image and the chart that
//! users get; upgraded, rolled back, taken away.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
};

use crate::bed::repository;
use crate::deployment::{Deployment, NAMESPACE, image};
use crate::gateway::{Gateway, SERVICE};
use crate::operator;
use crate::process::text;
use crate::wait::{secs, until};

/// The goal that docs/performance.md names.
const MOST_IMAGE_BYTES: u64 = 12_000_000;
const RUNGS: [&str; 3] = ["files", "hostPID", "fanotify"];

#[test]
fn it_is_installed_upgraded_rolled_back_and_gone() {
    let _state = StateDirectory::taken();
    the_image_is_small();
    let deployment = Deployment::prepare("deployed");
    // Where README's command sends to.
    let gateway = Gateway::deploy(&deployment);
    gateway.takes_alerts();

    installed(&deployment);
    sees_every_pod(&deployment);
    telemetry_arrives_by_name(&deployment, &gateway);
    what_a_namespace_must_allow(&deployment);
    operator::define_kinds(&deployment);
    every_value_is_admitted(&deployment);
    operator::agents_are_monitored(&deployment);
    each_rung(&deployment);
    rolled_back(&deployment);
    a_changed_value_is_a_new_pod(&deployment);
    uninstalled(&deployment);
    the_manifests_alone(&deployment);
    deployment.readme.every_command_was_run();
}

/// What the agent remembers on the node: this machine, for once.
struct StateDirectory;

impl StateDirectory {
    const PATH: &'static str = "/var/lib/tokenwatch";

    fn taken() -> Self {
        assert!(
            !Path::new(Self::PATH).exists(),
            "{} is there: this machine has a tokenwatch, or a test was killed; remove it if it \
             was that",
            Self::PATH
        );
        Self
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Self::PATH);
    }
}

/// The true one: every byte of it, as `docker save` writes it, unpacked.
fn the_image_is_small() {
    let bytes = std::fs::metadata(image()).unwrap().len();
    println!("[deployed] the image takes {:.2} MB", bytes as f64 / 1e6);
    assert!(bytes <= MOST_IMAGE_BYTES, "{bytes} bytes");
}

fn installed(deployment: &Deployment) {
    let notes = deployment.as_in_readme("helm install");
    assert!(
        notes.contains(&format!(
            "kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch check"
        )),
        "{notes}"
    );
    assert!(notes.contains(&format!("http://{SERVICE}:4317")), "{notes}");
    deployment.as_in_readme("kubectl label namespace");
    deployment.as_in_readme("kubectl rollout status");
    assert!(deployment.served("").contains("tokenwatch"), "no status page");
}

/// Pods that were there before the agent, pods that came after it, and the agent itself; those of
/// another user too.
fn sees_every_pod(deployment: &Deployment) {
    let cluster = &deployment.cluster;
    cluster.apply(&std::fs::read_to_string(repository().join("tests/cluster/pods.yaml")).unwrap());
    for pod in ["short", "default", "vault"] {
        cluster.wait_running(pod);
    }
    let checked = deployment.as_in_readme("kubectl exec");
    for pod in ["default/short", "default/default", "default/vault", "tokenwatch/tokenwatch-"] {
        assert!(checked.contains(pod), "check does not list {pod}:\n{checked}");
    }
}

/// By DNS, from a static program in an empty image, and through the gateway: nothing else has been
/// told where its far ends are.
fn telemetry_arrives_by_name(deployment: &Deployment, gateway: &Gateway) {
    let (cluster, node) = (&deployment.cluster, deployment.cluster.get("NODE_NAME"));
    let uid = cluster.pod_uid("vault");
    cluster.kubectl(&["delete", "pod", "vault", "--wait=true"]);
    let span = gateway.far_end.wait_span("the trace of a pod that went", secs(60), |span| {
        span.name == "token.generation" && span.attribute("k8s.pod.uid") == uid
    });
    assert_eq!(crate::telemetry::attribute(&span.resource, "k8s.node.name"), node);
    assert!(gateway.spans_taken() > 0.0, "the gateway's pods have not been sent a span");
    // Of the last minutes: metrics come once a minute, and this Prometheus forgets them sooner.
    let recorded =
        format!("last_over_time(node:tokenwatch_privilege:max{{k8s_node_name=\"{node}\"}}[5m])");
    until("metrics, with the node's name", secs(90), || {
        gateway.prometheus.query(&recorded).is_ok_and(|series| !series.is_empty()).then_some(())
    });
}

/// What NOTES.txt and the docs say of Pod Security is what the API server says.
fn what_a_namespace_must_allow(deployment: &Deployment) {
    let [baseline, privileged] =
        ["baseline", "privileged"].map(|level| deployment.warned_of(NAMESPACE, level));
    assert!(baseline.contains("hostPath volumes"), "{baseline}");
    assert!(!privileged.contains("violate"), "{privileged}");
}

/// What the chart makes of its values is looked at by the API server itself; a field that it does
/// not know is refused.
fn every_value_is_admitted(deployment: &Deployment) {
    let template = format!(
        "helm template other deploy/chart --namespace {NAMESPACE} --values \
         tests/chart/everything.yaml"
    );
    let apply = "kubectl apply --dry-run=server --validate=strict --filename -";
    let admitted = text(&deployment.shell(&format!("{template} | {apply}")).stdout);
    let kinds = [
        "daemonset.apps",
        "networkpolicy.networking.k8s.io",
        "clusterrole.rbac.authorization.k8s.io",
        "service",
    ];
    let monitoring = ["podmonitor", "servicemonitor", "prometheusrule"]
        .map(|kind| format!("{kind}.monitoring.coreos.com"));
    for kind in kinds.into_iter().chain(monitoring.iter().map(String::as_str)) {
        assert!(admitted.contains(&format!("{kind}/")), "{admitted}");
    }
    let misspelt = text(
        &deployment
            .shell(&format!("! {template} | sed s/scrapeTimeout/scrapeTimeOut/ | {apply}"))
            .stderr,
    );
    assert!(
        misspelt.contains("unknown field \"spec.podMetricsEndpoints[0].scrapeTimeOut\""),
        "{misspelt}"
    );
}

fn each_rung(deployment: &Deployment) {
    stands_on(deployment, "files");
    deployment.as_in_readme("helm upgrade");
    deployment.wait_ready();
    stands_on(deployment, "hostPID");
    for rung in RUNGS {
        deployment.upgrade(&[&format!("privilege={rung}")]);
        stands_on(deployment, rung);
    }
}

/// As the agent finds it by trying, not as it was told.
fn stands_on(deployment: &Deployment, rung: &str) {
    until(&format!("the agent to say that it stands on {rung}"), secs(60), || {
        let diary = deployment.diary();
        diary.contains(&format!("level={rung}")).then_some(())
    });
    assert!(
        !deployment.diary().contains("CAP_DAC_READ_SEARCH"),
        "it lacks what every rung has:\n{}",
        deployment.diary()
    );
    assert!(deployment.diary().contains(what_confinement_is_said()), "{}", deployment.diary());
    let series = format!("tokenwatch_privilege{{tokenwatch_privilege_rung=\"{rung}\"");
    until(&format!("the metric to say {rung}"), secs(30), || {
        deployment.served("metrics").contains(&series).then_some(())
    });
}

/// On a kernel with all that it takes, that it writes nowhere else; on another one, that it is held
/// to less, or to nothing.
fn what_confinement_is_said() -> &'static str {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let whole = strict.handle_access(AccessFs::from_all(ABI::V3)).and_then(Ruleset::create).is_ok();
    if whole { "confined: can write nowhere but in /var/lib/tokenwatch" } else { "confined" }
}

/// To the rung before the last.
fn rolled_back(deployment: &Deployment) {
    deployment.as_in_readme("helm rollback");
    deployment.wait_ready();
    stands_on(deployment, "hostPID");
}

fn a_changed_value_is_a_new_pod(deployment: &Deployment) {
    let pod =
        || deployment.cluster.kubectl(&["get", "pods", "--namespace", NAMESPACE, "--output=name"]);
    let before = pod();
    deployment.upgrade(&["log.level=debug", "config.alerts.remind_every=2h"]);
    assert_ne!(pod(), before, "a new configuration without a new pod");
    let config = deployment.shell(&format!(
        "kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch config"
    ));
    assert!(text(&config.stdout).contains("remind_every: 2h"), "{}", text(&config.stdout));
}

fn uninstalled(deployment: &Deployment) {
    assert_eq!(
        operator::monitoring(deployment).len(),
        3,
        "the test itself is blind: it does not find what is there"
    );
    deployment.as_in_readme("helm uninstall");
    deployment.nothing_is_left();
    deployment.as_in_readme("kubectl delete namespace");
}

fn the_manifests_alone(deployment: &Deployment) {
    deployment.as_in_readme("kubectl apply -k");
    deployment.wait_ready();
    stands_on(deployment, "files");
    deployment.as_in_readme("kubectl delete -k");
    deployment.nothing_is_left();
}
