//! Commands that more than one runbook shows.

use super::Step;

pub(super) const fn step(what: &'static str, command: &'static str) -> Step {
    Step { what, command }
}

pub(super) const TOKEN: Step = step(
    "The token as the agent sees it, with every deadline",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch explain \
     /host/var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
);
pub(super) const VOLUME: Step = step(
    "The time of kubelet's last write, in the name of the directory that ..data points to",
    "ls -la /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/",
);
pub(super) const KUBELET: Step = step(
    "What kubelet logged about this volume",
    "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|MountVolume.SetUp|UID\" | \
     tail -n 20",
);
pub(super) const DESCRIBE: Step = step(
    "The pod, its events and the sources of its volumes",
    "kubectl describe pod -n NAMESPACE POD",
);
pub(super) const ACCOUNT: Step = step(
    "Whether the pod's service account exists (without it, kubelet gets no token)",
    "kubectl get serviceaccount -n NAMESPACE \"$(kubectl get pod -n NAMESPACE POD -o \
     jsonpath='{.spec.serviceAccountName}')\"",
);
pub(super) const READY: Step =
    step("Whether the API server answers", "kubectl get --raw '/readyz?verbose'");
pub(super) const DELETE: Step = step(
    "Delete the pod, so that its controller starts a new one with a new token",
    "kubectl delete pod -n NAMESPACE POD",
);
pub(super) const RESTART: Step =
    step("Restart kubelet, so that it requests every token again", "systemctl restart kubelet");
pub(super) const MEASURE: Step = step(
    "The clock, measured now against each server",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch clock",
);
pub(super) const DAEMON: Step = step(
    "The status of the time daemon",
    "chronyc tracking || timedatectl timesync-status || ntpq -p",
);
pub(super) const LOOK: Step =
    step("Every token on the node, now", "kubectl exec -n tokenwatch AGENT -- tokenwatch check");
pub(super) const API_SERVER_CLOCK: Step = step(
    "The API server's clock, for comparison",
    "kubectl get --raw /version -v=8 2>&1 | grep -i date:",
);
