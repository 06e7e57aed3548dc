//! Runbooks about those who read tokens.

use super::Runbook;
use super::steps::{DELETE, DESCRIBE, KUBELET, TOKEN, step};

pub(super) const READER_STALE: Runbook = Runbook {
    impact: "The container gets 401 for every request with the old token, from the finding's \
             deadline on. If the API server extends the expiry of the token, that is up to a year \
             away. The evidence then also has the time from which a cluster without extension \
             refuses it. Until then, the API server counts each request as one with a stale \
             token. A verifier other than the API server (a cloud, Vault, a mesh) extends nothing.",
    diagnosis: &[
        step(
            "Who reads the token: the generation that each container holds, its last reads, its \
             habit and the evidence",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch readers NAMESPACE/POD",
        ),
        step(
            "Whether the container logs that requests are refused",
            "kubectl logs -n NAMESPACE POD -c CONTAINER --since=1h | grep -iE \
             \"401|unauthorized|expired\" | tail -n 20",
        ),
        step(
            "When the container started (if that was after the last rotation, it has the new \
             token)",
            "kubectl get pod -n NAMESPACE POD -o jsonpath='{range .status.containerStatuses[*]}\
             {.name} {.state.running.startedAt}{\"\\n\"}{end}'",
        ),
        step(
            "Whether the API server has counted requests with a stale token (it does so for \
             tokens whose expiry it extends)",
            "kubectl get --raw /metrics | grep ^serviceaccount_stale_tokens_total",
        ),
        TOKEN,
    ],
    mitigation: &[
        step(
            "Restart all pods of a Deployment (StatefulSet and DaemonSet alike), one after the \
             other",
            "kubectl rollout restart -n NAMESPACE deployment/NAME",
        ),
        DELETE,
    ],
    resolved_when: "The container reads the new token, or is restarted. The finding clears within \
                    seconds of the first read.",
    false_positives: "At info: a client that reads the token before its next request, and has sent \
                      none. At warning: a client that is connected to the API server without a \
                      token (a health check, another credential), or that exchanges its token \
                      rarely, and whose earlier exchanges the agent has not seen. \
                      docs/reader-evidence.md lists whom the agent does not report at all.",
};

pub(super) const MOUNT_FROZEN: Runbook = Runbook {
    impact: "The container gets 401 for every request with its token, from the finding's deadline \
             on. Other files of the volume (ca.crt, ConfigMaps) are frozen in the same way. To \
             read the token again does not help.",
    diagnosis: &[
        step(
            "The mount of the node: the device is the third column",
            "grep UID /proc/$(pgrep -xo kubelet)/mountinfo | grep VOLUME",
        ),
        step(
            "The mount of the container (on the node; PID is a process of it): another device than \
             the node's is the old mount",
            "grep -E \"serviceaccount|/tokens\" /proc/PID/mountinfo",
        ),
        step(
            "The last write that the container sees, in the name of the directory that ..data \
             points to (DIRECTORY is in the evidence)",
            "kubectl exec -n NAMESPACE POD -c CONTAINER -- ls -la DIRECTORY",
        ),
        KUBELET,
        DESCRIBE,
    ],
    mitigation: &[DELETE],
    resolved_when: "No container of the pod has the old mount.",
    false_positives: "The container does not use the token.",
};
