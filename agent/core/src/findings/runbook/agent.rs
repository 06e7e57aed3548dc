//! Runbooks about the agent itself.

use super::Runbook;
use super::steps::{LOOK, step};

pub(super) const AGENT_BLIND: Runbook = Runbook {
    impact: "None for the pods. The agent cannot report what happens to the tokens of the pods \
             that the finding names, or only not who reads them: the finding states which.",
    diagnosis: &[
        LOOK,
        step(
            "How kubelet's directory is mounted into the agent (must be HostToContainer)",
            "kubectl get ds -A -l app.kubernetes.io/name=tokenwatch -o yaml | grep -B4 -A2 \
             mountPropagation",
        ),
        step(
            "What kubelet has mounted on the node",
            "findmnt -t tmpfs | grep kubernetes.io~projected",
        ),
        step(
            "Whether a file system of the node hangs: processes that wait for it",
            "ps -eo state,pid,wchan:32,args | grep ^D",
        ),
    ],
    mitigation: &[step(
        "If the mounts were right when the finding was raised, restart the agent on this node",
        "kubectl delete pod -A -l app.kubernetes.io/name=tokenwatch --field-selector \
         spec.nodeName=NODE",
    )],
    resolved_when: "`tokenwatch check` lists the pods of the node, and the finding clears.",
    false_positives: "A pod is stuck while kubelet creates or deletes it, and kubelet itself has \
                      lost the volume.",
};

pub(super) const DELIVERY_DELAYED: Runbook = Runbook {
    impact: "Alerts arrive late. If its memory for alerts is full, the agent drops some. A restart \
             loses those that wait; the agent then raises findings that are still active again.",
    diagnosis: &[
        step(
            "Where the agent sends alerts, and where that setting comes from",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch config | grep -A8 otlp",
        ),
        step(
            "Whether the collector runs",
            "kubectl get pod -n observability -l app.kubernetes.io/name=otel-collector",
        ),
        step(
            "Whether the collector's Service has endpoints",
            "kubectl get endpointslices -n observability -l \
             kubernetes.io/service-name=otel-collector",
        ),
        step(
            "What each of the collector's pods logs",
            "kubectl logs -n observability -l app.kubernetes.io/name=otel-collector --prefix \
             --since=15m --tail=30",
        ),
    ],
    mitigation: &[step(
        "Restart the collector",
        "kubectl rollout restart -n observability deploy/otel-collector",
    )],
    resolved_when: "The waiting alerts arrive, with the times at which they were raised, and this \
                    finding clears.",
    false_positives: "The collector is being rolled out. An alert that waits for a minute is not \
                      lost.",
};
