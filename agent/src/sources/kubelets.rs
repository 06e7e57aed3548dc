//! How kubelet is recognised among the processes of a node.

/// Names of the processes that run kubelet: kubelet itself, or the program that contains it in k3s,
/// RKE2 and MicroK8s.
const KUBELETS: [&str; 5] = ["kubelet", "kubelite", "k3s-server", "k3s-agent", "rke2"];

/// Whether a process with this name, outside of all containers, is kubelet.
pub(super) fn is_kubelet(name: &str) -> bool {
    KUBELETS.contains(&name)
}
