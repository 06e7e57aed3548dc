//! The units of systemd in which a kubelet runs.

/// By distribution. Where kubelet shares a process with others, its lines are known by their text.
const KNOWN: [&str; 11] = [
    "kubelet.service", // kubeadm, EKS, AKS, GKE, OpenShift, Bottlerocket
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
    "snap.microk8s.daemon-kubelite.service", // MicroK8s
    "snap.microk8s.daemon-kubelet.service",  // MicroK8s before 1.21
    "snap.k8s.kubelet.service",              // Canonical Kubernetes
    "k0sworker.service",
    "k0scontroller.service",
    "snap.kubelet.daemon.service",
];
/// What the name of a unit ends with, if it has no other type.
const SERVICE: &str = ".service";

/// The units whose messages are kubelet's.
#[derive(Clone, Debug)]
pub(super) struct Units(Vec<String>);

impl Units {
    /// Those that are known, and these: a name without a type is that of a service.
    pub(super) fn new(more: &[String]) -> Self {
        let full = |unit: &String| {
            if unit.contains('.') { unit.clone() } else { format!("{unit}{SERVICE}") }
        };
        Self(KNOWN.map(str::to_owned).into_iter().chain(more.iter().map(full)).collect())
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, unit: &[u8]) -> bool {
        self.0.iter().any(|known| known.as_bytes() == unit)
    }

    /// The longest name.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or_default()
    }
}
