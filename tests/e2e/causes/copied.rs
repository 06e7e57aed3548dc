//! A CNI plugin that writes its token into a kubeconfig on the node once, at its start, as the thin
//! plugin of Multus does. The command of the finding restarts its pod, which writes the file again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::scene::{ACCEPTED, REFUSED, Scene};
use crate::bed::Cluster;
use crate::process::text;
use crate::telemetry::Alert;
use crate::wait::{secs, until};

const CODE: &str = "copy.stale";
pub const DAEMON: &str = "kube-multus-ds";
/// Where Multus keeps its files on a node of k3s. The node of the test bed has a /var/lib of its
/// own, and no /etc.
const NET: &str = "/var/lib/rancher/k3s/agent/etc/cni/net.d";
const FILE: &str = "multus.d/multus.kubeconfig";

/// What runs in the pod: it writes its kubeconfig and the CNI configuration that names it.
const PROGRAM: &str = r#"
              trap 'exit 0' TERM
              mkdir -p /host/net.d/multus.d
              {
                echo 'apiVersion: v1'
                echo 'kind: Config'
                echo 'clusters:'
                echo '- name: local'
                echo '  cluster:'
                echo "    server: https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"
                echo "    certificate-authority-data: $(base64 /identity/ca.crt | tr -d '\n')"
                echo 'users:'
                echo '- name: multus'
                echo '  user:'
                echo "    token: $(cat /identity/token)"
                echo 'contexts:'
                echo '- name: multus-context'
                echo '  context: {cluster: local, user: multus}'
                echo 'current-context: multus-context'
              } >/host/net.d/multus.d/new
              chmod 600 /host/net.d/multus.d/new
              mv /host/net.d/multus.d/new /host/net.d/multus.d/multus.kubeconfig
              echo '{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus",
                "kubeconfig": "{net}/multus.d/multus.kubeconfig"}' >/host/net.d/00-multus.conf
              while :; do sleep 3600 & wait $!; done"#;

pub fn workloads() -> String {
    let program = PROGRAM.replace("{net}", NET);
    format!(
        r"apiVersion: v1
kind: ServiceAccount
metadata: {{name: multus}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {DAEMON}}}
spec:
  selector: {{matchLabels: {{app: {DAEMON}}}}}
  template:
    metadata: {{labels: {{app: {DAEMON}}}}}
    spec:
      serviceAccountName: multus
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      containers:
        - name: kube-multus
          image: tokenwatch.test/busybox:1
          imagePullPolicy: Never
          command:
            - sh
            - -c
            - |{program}
          volumeMounts:
            - {{name: own, mountPath: /identity}}
            - {{name: net, mountPath: /host/net.d}}
      volumes:
        - name: net
          hostPath: {{path: {NET}, type: DirectoryOrCreate}}
        - name: own
          projected:
            sources:
              - serviceAccountToken: {{path: token, expirationSeconds: 600}}
              - configMap: {{name: kube-root-ca.crt, items: [{{key: ca.crt, path: ca.crt}}]}}
"
    )
}

/// A second name for kubelet's root: the one that it has on most nodes. By it the agent knows where
/// the node's other files are.
pub fn usual_root(cluster: &Cluster) -> String {
    let root = node(cluster).join("var/lib/kubelet");
    std::fs::create_dir_all(&root).unwrap();
    std::os::unix::fs::symlink(cluster.kubelet_root().join("pods"), root.join("pods")).unwrap();
    root.to_str().unwrap().to_owned()
}

/// The files of the node, as the machine sees them.
fn node(cluster: &Cluster) -> PathBuf {
    Path::new(cluster.get("STATE")).join("node")
}

fn file(scene: &Scene) -> PathBuf {
    node(&scene.cluster).join(NET.trim_start_matches('/')).join(FILE)
}

/// kubelet replaces the token that the plugin has copied, and the plugin does not.
pub fn is_left_behind(scene: &Scene) {
    let old = copied(scene);
    let alert = reports(scene, "behind");
    assert!(alert.body.contains("kubelet replaced that token"), "{}", alert.body);
    assert_eq!(scene.status(&old), ACCEPTED, "named before the first 401");
    assert_eq!(copied(scene), old, "nobody has written the file again");
    is_repaired(scene, &alert);
    assert_ne!(copied(scene), old);
}

/// A character of the signature is another one: the API server refuses the copy from then on.
pub fn is_damaged(scene: &Scene) {
    assert!(accepts(scene), "the copy is good");
    let (path, good) = (file(scene), std::fs::read_to_string(file(scene)).unwrap());
    let token = copied(scene);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let damaged = format!("{signed}.{other}{}", &signature[1..]);
    std::fs::write(&path, good.replace(&token, &damaged)).unwrap();
    assert_eq!(scene.status(&damaged), REFUSED);
    assert!(!accepts(scene), "the API server refuses the copy");
    let alert = reports(scene, "damaged");
    assert_eq!(alert.severity(), "critical");
    is_repaired(scene, &alert);
}

fn reports(scene: &Scene, reason: &str) -> Alert {
    let is_it = |alert: &Alert| {
        let of = |name: &str| alert.attribute(&format!("tokenwatch.finding.evidence.{name}"));
        alert.reports(CODE) && of("reason") == reason
    };
    let alert = scene.telemetry.wait_alert(&format!("{CODE} ({reason})"), secs(240), is_it);
    scene.says(&format!("{} {}", alert.severity(), alert.body));
    assert!(alert.body.contains(&format!("{NET}/{FILE} (multus)")), "{}", alert.body);
    alert
}

/// Runs the command of the finding: the DaemonSet starts another pod, which writes the file.
fn is_repaired(scene: &Scene, alert: &Alert) {
    let old = scene.pod(DAEMON);
    let restart = format!("kubectl delete pod -n default {}", old.name);
    assert_eq!(alert.attribute("tokenwatch.finding.command"), restart);
    scene.runs_remedy(alert);
    let cleared = scene.telemetry.wait_alert("the copy to be good", secs(120), |other| {
        other.is("cleared", CODE) && other.at > alert.at
    });
    scene.says(&cleared.body);
    scene.renewed(DAEMON, &old);
    assert!(accepts(scene), "the API server accepts the new copy");
}

/// The token in the kubeconfig.
fn copied(scene: &Scene) -> String {
    until("the plugin's kubeconfig", secs(60), || {
        let text = std::fs::read_to_string(file(scene)).ok()?;
        text.split_once("token: ").map(|(_, rest)| rest.lines().next().unwrap().to_owned())
    })
}

/// Whether the API server knows who sends the token of the kubeconfig.
fn accepts(scene: &Scene) -> bool {
    let output = whoami(scene);
    let (printed, failed) = (text(&output.stdout), text(&output.stderr));
    let is_accepted = output.status.success();
    let expected =
        if is_accepted { "system:serviceaccount:default:multus" } else { "Unauthorized" };
    assert!((printed + &failed).contains(expected), "{output:?}");
    is_accepted
}

fn whoami(scene: &Scene) -> Output {
    let mut command = Command::new(scene.cluster.get("KUBE"));
    scene.cluster.reached_by(&mut command).env_remove("KUBECONFIG");
    command.arg("kubectl").arg("--kubeconfig").arg(file(scene));
    command.args(["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]);
    command.output().unwrap()
}
