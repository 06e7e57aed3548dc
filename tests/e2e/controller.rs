//! A control plane whose controller manager does not run, and whose API server refuses requests:
//! what stops, what goes on, and what the agent reports.

use std::time::Instant;

use crate::access::{account, kubeconfig};
use crate::bed::{Cluster, Collector, free_udp_port, ntp_server, workdir};
use crate::process::Process;
use crate::requests::{status_for, token_of};
use crate::telemetry::Telemetry;
use crate::wait::{secs, until};

const NAME: &str = "controller";
/// The right that the chart grants with kubernetes.controllerLease.
const RIGHT: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tokenwatch, namespace: kube-system}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [kube-controller-manager]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tokenwatch, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tokenwatch}
subjects: [{kind: ServiceAccount, name: tokenwatch, namespace: tokenwatch}]
";

#[test]
fn a_controller_manager_that_is_down_is_named_and_kubelet_is_not() {
    let directory = workdir(NAME);
    let cluster = Cluster::up(NAME);
    let (collector, time) = (Collector::planned(&directory), free_udp_port());
    let _others = [ntp_server(&directory, time, None, None), collector.start()];
    cluster.apply(&account());
    cluster.apply(RIGHT);
    let kubeconfig = kubeconfig(&cluster, &directory);
    elects_a_leader(&cluster);
    cluster.apply(POD);
    cluster.wait_running("web");
    cluster.component("controller-manager", &["--only-stop"]);
    let stopped = Instant::now();

    let mut command = cluster.agent(time);
    command.arg("--apiserver-log").arg(format!("{}/log/apiserver.log", cluster.get("STATE")));
    command.args(["--kubernetes", "true", "--kubernetes-controller-lease", "true", "--kubeconfig"]);
    collector.receives(command.arg(&kubeconfig), "grpc");
    let agent = Process::start(&mut command, &directory.join("agent.log"));
    let telemetry = collector.telemetry();
    let code = "controlplane.token_controller_down";
    let raised = telemetry.wait_alert(code, secs(180), |alert| alert.is("raised", code));
    println!("[{NAME}] {:?} after it stopped: {}", stopped.elapsed(), raised.body);
    assert!(raised.body.contains("Tokens in projected volumes are replaced as before"));

    // What the finding claims: a new namespace gets no account, and tokens are issued as before.
    cluster.kubectl(&["create", "namespace", "new"]);
    let token = cluster.kubectl(&["create", "token", "default", "--duration", "10m"]);
    assert_eq!(status_for(&cluster, token.trim()), "403", "authenticated, and without a right");
    let mounted = token_of(&cluster, &cluster.pod_uid("web"));
    assert_eq!(status_for(&cluster, &mounted), "403", "so is the token of the pod");
    std::thread::sleep(secs(10));
    let accounts = || cluster.kubectl(&["get", "serviceaccounts", "-n", "new", "-o", "name"]);
    assert_eq!(accounts().trim(), "");

    refused(&cluster, &telemetry, token.trim());
    cluster.component("controller-manager", &["--only-start"]);
    let started = Instant::now();
    let cleared = telemetry.wait_alert("its end", secs(240), |alert| alert.is("cleared", code));
    println!("[{NAME}] {:?} after it started: {}", started.elapsed(), cleared.body);
    until("the account of the new namespace", secs(60), || {
        accounts().contains("default").then_some(())
    });
    assert!(agent.stop(secs(15)).success());
}

/// Somebody sends a token whose signature is wrong.
fn refused(cluster: &Cluster, telemetry: &Telemetry, token: &str) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let broken: String = signature.chars().rev().collect();
    let forged = format!("{signed}.{broken}");
    let sent = Instant::now();
    for _ in 0..4 {
        assert_eq!(status_for(cluster, &forged), "401");
    }
    let code = "apiserver.rejecting";
    let raised = telemetry.wait_alert(code, secs(60), |alert| alert.is("raised", code));
    println!("[{NAME}] {:?} after the first refusal: {}", sent.elapsed(), raised.body);
    assert_eq!(raised.severity(), "info", "no pod is known behind them");
    assert!(raised.body.contains("because of the token's key or signature"), "{}", raised.body);
}

/// The controller manager holds its lease, as everywhere but in this test bed.
fn elects_a_leader(cluster: &Cluster) {
    let script = format!("{}/run/controller-manager", cluster.get("STATE"));
    let text = std::fs::read_to_string(&script).unwrap();
    assert!(text.contains("--leader-elect=false"), "{text}");
    std::fs::write(&script, text.replace("--leader-elect=false", "--leader-elect=true")).unwrap();
    cluster.component("controller-manager", &[]);
    until("the lease to have a holder", secs(60), || {
        let lease = ["get", "leases", "-n", "kube-system", "-o"];
        let holders = "jsonpath={.items[?(@.metadata.name=='kube-controller-manager')].spec}";
        cluster
            .kubectl(&[lease.as_slice(), &[holders]].concat())
            .contains("renewTime")
            .then_some(())
    });
}

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: tokenwatch.test/busybox:1
      imagePullPolicy: Never
      command: [sleep, "86400"]
"#;
