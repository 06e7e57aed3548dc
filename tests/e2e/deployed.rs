//! Scenario 8: deployed with README's commands on a real cluster, from the image and the chart that
//! users get; then upgraded, rolled back and uninstalled.

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

/// The binary, which has outgrown its goal (docs/performance.md), and its certificate authorities.
const MOST_IMAGE_BYTES: u64 = 13_550_000;
const RUNGS: [&str; 3] = ["files", "hostPID", "fanotify"];

#[test]
fn the_agent_is_installed_upgraded_rolled_back_and_uninstalled() {
    the_image_is_small();
    let deployment = Deployment::prepare("deployed");
    // The agents of README's command send to it.
    let gateway = Gateway::deploy(&deployment);
    gateway.accepts_alerts();

    installed(&deployment);
    sees_every_pod(&deployment);
    telemetry_arrives_by_name(&deployment, &gateway);
    the_documented_pod_security_level_is_enough(&deployment);
    operator::define_kinds(&deployment);
    the_api_server_admits_every_value(&deployment);
    operator::agents_are_monitored(&deployment);
    each_rung(&deployment);
    rolled_back(&deployment);
    a_changed_value_is_a_new_pod(&deployment);
    uninstalled(&deployment);
    the_state_is_on_the_node(&deployment);
    the_manifests_alone(&deployment);
    deployment.readme.every_command_was_run();
}

/// The size of the whole image as `docker save` writes it, not compressed.
fn the_image_is_small() {
    let bytes = std::fs::metadata(image()).unwrap().len();
    println!("[deployed] the image has {:.2} MB", bytes as f64 / 1e6);
    assert!(bytes <= MOST_IMAGE_BYTES, "{bytes} bytes");
}

fn installed(deployment: &Deployment) {
    deployment.as_in_readme("kubectl create namespace");
    deployment.as_in_readme("kubectl label namespace");
    let notes = deployment.as_in_readme("helm install");
    assert!(
        notes.contains(&format!(
            "kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch check"
        )),
        "{notes}"
    );
    assert!(notes.contains(&format!("http://{SERVICE}:4317")), "{notes}");
    deployment.as_in_readme("kubectl rollout status");
    assert!(deployment.served("").contains("tokenwatch"), "no status page");
}

/// Pods that are older than the agent, newer ones, those of another user, and the agent's own.
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

/// The agent, a static program in an empty image, finds the gateway by DNS. Only the gateway has
/// the addresses of the backends.
fn telemetry_arrives_by_name(deployment: &Deployment, gateway: &Gateway) {
    let (cluster, node) = (&deployment.cluster, deployment.cluster.get("NODE_NAME"));
    let uid = cluster.pod_uid("vault");
    cluster.kubectl(&["delete", "pod", "vault", "--wait=true"]);
    let span = gateway.backend.wait_span("the trace of a deleted pod", secs(60), |span| {
        span.name == "token.generation" && span.attribute("k8s.pod.uid") == uid
    });
    assert_eq!(crate::telemetry::attribute(&span.resource, "k8s.node.name"), node);
    assert!(gateway.spans_received() > 0.0, "the gateway's pods have received no span");
    // Over five minutes: metrics arrive once a minute, and this Prometheus ends a series sooner.
    let recorded =
        format!("last_over_time(node:tokenwatch_privilege:max{{k8s_node_name=\"{node}\"}}[5m])");
    until("metrics, with the node's name", secs(90), || {
        gateway.prometheus.query(&recorded).is_ok_and(|series| !series.is_empty()).then_some(())
    });
}

/// The API server agrees with NOTES.txt and the docs about Pod Security.
fn the_documented_pod_security_level_is_enough(deployment: &Deployment) {
    let [baseline, privileged] =
        ["baseline", "privileged"].map(|level| deployment.pod_security_warnings(NAMESPACE, level));
    for violation in ["hostPath volumes", "non-default capabilities"] {
        assert!(baseline.contains(violation), "no {violation}: {baseline}");
    }
    assert!(!privileged.contains("violate"), "{privileged}");
}

/// The API server itself validates the rendered chart, and refuses a field that it does not know.
fn the_api_server_admits_every_value(deployment: &Deployment) {
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
    wait_rung(deployment, "files");
    deployment.as_in_readme("helm upgrade");
    deployment.wait_ready();
    wait_rung(deployment, "hostPID");
    for rung in RUNGS {
        deployment.upgrade(&[&format!("privilege={rung}")]);
        wait_rung(deployment, rung);
    }
}

/// Waits until the agent reports this rung. The agent finds it by trying, not from its settings.
fn wait_rung(deployment: &Deployment, rung: &str) {
    until(&format!("the agent to log the rung {rung}"), secs(60), || {
        let logs = deployment.logs();
        logs.contains(&format!("\"privilege\":\"{rung}\"")).then_some(())
    });
    assert!(
        !deployment.logs().contains("CAP_DAC_READ_SEARCH"),
        "the agent lacks a capability that every rung has:\n{}",
        deployment.logs()
    );
    assert!(deployment.logs().contains(expected_confinement()), "{}", deployment.logs());
    let series = format!("tokenwatch_privilege{{tokenwatch_privilege_rung=\"{rung}\"");
    until(&format!("the metric with the rung {rung}"), secs(30), || {
        deployment.served("metrics").contains(&series).then_some(())
    });
}

/// A text that the log must have: complete confinement on a kernel with Landlock ABI 3, and any
/// line about confinement on an older one.
fn expected_confinement() -> &'static str {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let whole = strict.handle_access(AccessFs::from_all(ABI::V3)).and_then(Ruleset::create).is_ok();
    if whole { "confined: can write nowhere but in /var/lib/tokenwatch" } else { "confined" }
}

/// To the rung before the last.
fn rolled_back(deployment: &Deployment) {
    deployment.as_in_readme("helm rollback");
    deployment.wait_ready();
    wait_rung(deployment, "hostPID");
}

fn a_changed_value_is_a_new_pod(deployment: &Deployment) {
    let pod =
        || deployment.cluster.kubectl(&["get", "pods", "--namespace", NAMESPACE, "--output=name"]);
    let before = pod();
    deployment.upgrade(&["log.level=debug", "config.alerts.remind_every=2h"]);
    assert_ne!(pod(), before, "a new configuration must create a new pod");
    let config = deployment.shell(&format!(
        "kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch config"
    ));
    assert!(text(&config.stdout).contains("remind_every: 2h"), "{}", text(&config.stdout));
}

fn uninstalled(deployment: &Deployment) {
    assert_eq!(
        operator::monitoring(deployment).len(),
        3,
        "the test does not find the objects that exist"
    );
    deployment.as_in_readme("helm uninstall");
    deployment.nothing_is_left();
    deployment.as_in_readme("kubectl delete namespace");
}

/// The state directory stays, as the chart's comment says. The node has a /var/lib of its own.
fn the_state_is_on_the_node(deployment: &Deployment) {
    let state = Path::new(deployment.cluster.get("STATE")).join("node/var/lib/tokenwatch");
    assert!(state.is_dir(), "no {}", state.display());
}

fn the_manifests_alone(deployment: &Deployment) {
    deployment.as_in_readme("kubectl apply -k");
    deployment.wait_ready();
    wait_rung(deployment, "files");
    deployment.as_in_readme("kubectl delete -k");
    deployment.nothing_is_left();
}
