//! Scenario 8: deployed as README says it, on a real cluster, from the image and the chart that users get; upgraded, rolled back, taken away.

use std::path::Path;

use crate::bed::{Cluster, Collector, repository, workdir};
use crate::deployment::{Deployment, NAMESPACE, image};
use crate::process::{Process, text};
use crate::wait::{secs, until};

/// Where README's command sends to.
const COLLECTOR: &str = "otel-collector.observability";
/// The goal that docs/performance.md names.
const MOST_IMAGE_BYTES: u64 = 12_000_000;
const RUNGS: [&str; 3] = ["files", "hostPID", "fanotify"];

#[test]
fn it_is_installed_upgraded_rolled_back_and_gone() {
    let _state = StateDirectory::taken();
    the_image_is_small();
    let deployment = Deployment::prepare("deployed");
    let (collector, _running) = a_collector(&deployment);

    installed(&deployment);
    sees_every_pod(&deployment);
    telemetry_arrives_by_name(&deployment.cluster, &collector);
    what_a_namespace_must_allow(&deployment);
    every_value_is_admitted(&deployment);
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
            "{} is there: this machine has a tokenwatch, or a test was killed; remove it if it was that",
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

/// On the node, under the name that a Service would have.
fn a_collector(deployment: &Deployment) -> (Collector, Process) {
    let node = deployment.cluster.get("NODE_IP");
    let collector = Collector::at(&workdir("deployed"), node, 4317, 4318);
    let running = collector.start();
    deployment.name(COLLECTOR, node);
    (collector, running)
}

fn installed(deployment: &Deployment) {
    let notes = deployment.as_in_readme("helm install");
    assert!(notes.contains(&format!("kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch check")), "{notes}");
    assert!(notes.contains(&format!("http://{COLLECTOR}:4317")), "{notes}");
    deployment.as_in_readme("kubectl label namespace");
    deployment.as_in_readme("kubectl rollout status");
    assert!(deployment.served("").contains("tokenwatch"), "no status page");
}

/// Pods that were there before the agent, pods that came after it, and the agent itself; those of another user too.
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

/// By DNS, from a static program in an empty image.
fn telemetry_arrives_by_name(cluster: &Cluster, collector: &Collector) {
    let uid = cluster.pod_uid("vault");
    cluster.kubectl(&["delete", "pod", "vault", "--wait=true"]);
    let telemetry = collector.telemetry();
    let span = telemetry.wait_span("the trace of a pod that went", secs(60), |span| {
        span.name == "token.generation" && span.attribute("k8s.pod.uid") == uid
    });
    assert_eq!(crate::telemetry::attribute(&span.resource, "k8s.node.name"), cluster.get("NODE_NAME"));
    until("metrics", secs(90), || telemetry.metric_names().iter().any(|name| name == "tokenwatch.privilege").then_some(()));
}

/// What NOTES.txt and the docs say of Pod Security is what the API server says.
fn what_a_namespace_must_allow(deployment: &Deployment) {
    let label = |level: &str| {
        let line = format!("kubectl label namespace {NAMESPACE} --overwrite --dry-run=server pod-security.kubernetes.io/enforce={level}");
        text(&deployment.shell(&line).stderr)
    };
    assert!(label("baseline").contains("hostPath volumes"), "{}", label("baseline"));
    assert!(!label("privileged").contains("violate"), "{}", label("privileged"));
}

/// What the chart makes of its values is looked at by the API server itself, but for the Prometheus operator's own kinds, which it does not know.
fn every_value_is_admitted(deployment: &Deployment) {
    let template = format!("helm template other deploy/chart --namespace {NAMESPACE} --values tests/chart/everything.yaml");
    let without = "--set podMonitor.enabled=false,serviceMonitor.enabled=false,prometheusRule.enabled=false";
    let admitted = text(&deployment.shell(&format!("{template} {without} | kubectl apply --dry-run=server --filename -")).stdout);
    for kind in ["daemonset.apps", "networkpolicy.networking.k8s.io", "clusterrole.rbac.authorization.k8s.io", "service"] {
        assert!(admitted.contains(&format!("{kind}/")), "{admitted}");
    }
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
        diary.contains(&format!("privileges: {rung}")).then_some(())
    });
    assert!(!deployment.diary().contains("CAP_DAC_READ_SEARCH"), "it lacks what every rung has:\n{}", deployment.diary());
    assert!(deployment.diary().contains("confined: can write nowhere but in /var/lib/tokenwatch"), "{}", deployment.diary());
    let series = format!("tokenwatch_privilege{{tokenwatch_privilege_rung=\"{rung}\"");
    until(&format!("the metric to say {rung}"), secs(30), || deployment.served("metrics").contains(&series).then_some(()));
}

/// To the rung before the last.
fn rolled_back(deployment: &Deployment) {
    deployment.as_in_readme("helm rollback");
    deployment.wait_ready();
    stands_on(deployment, "hostPID");
}

fn a_changed_value_is_a_new_pod(deployment: &Deployment) {
    let pod = || deployment.cluster.kubectl(&["get", "pods", "--namespace", NAMESPACE, "--output=name"]);
    let before = pod();
    deployment.upgrade(&["log.level=debug", "config.alerts.remind_every=2h"]);
    assert_ne!(pod(), before, "a new configuration without a new pod");
    let config = deployment.shell(&format!("kubectl exec --namespace {NAMESPACE} daemonset/tokenwatch -- tokenwatch config"));
    assert!(text(&config.stdout).contains("remind_every: 2h"), "{}", text(&config.stdout));
}

fn uninstalled(deployment: &Deployment) {
    assert!(!deployment.objects().is_empty(), "the test itself is blind: it finds no object of a release that is there");
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
