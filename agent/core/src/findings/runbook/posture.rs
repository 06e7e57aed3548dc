//! Runbooks about tokens that work here, and should not be relied on, or do not work elsewhere.

use super::Runbook;
use super::steps::{DESCRIBE, TOKEN, step};

pub(super) const AUDIENCE_UNKNOWN: Runbook = Runbook {
    impact: "If the verifier does not accept the audience, every request with this token fails \
             from the pod's start on: AWS answers InvalidIdentityToken (Incorrect token audience), \
             Entra AADSTS700212, the API server 401, a mesh gives the proxy no certificate.",
    diagnosis: &[
        TOKEN,
        step(
            "The audience that the pod's volume asks for",
            "kubectl get pod -n NAMESPACE POD -o \
             jsonpath='{.spec.volumes[?(@.name==\"VOLUME\")].projected.sources}'",
        ),
        step(
            "The annotation that sets it for AWS",
            "kubectl get serviceaccount -n NAMESPACE -o yaml | grep -E \
             '^    name:|eks.amazonaws.com/audience'",
        ),
    ],
    mitigation: &[],
    resolved_when: "The pod's token has an audience that its client's verifier usually accepts, or \
                    the pod no longer exists.",
    false_positives: "The verifier was configured for exactly this audience. The client does not \
                      use the token: it gets its credential in another way.",
};

pub(super) const EXTENDED_ONLY: Runbook = Runbook {
    impact: "None while the API server extends the expiry of tokens. On the day it does not, each \
             of these clients gets 401 an hour after its start, and until it is restarted.",
    diagnosis: &[
        step(
            "Which workloads would fail, with owner, evidence and time",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch report upgrade",
        ),
        step(
            "Whether the API server extends tokens: the token's warnafter",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch explain \
             /host/var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
        ),
    ],
    mitigation: &[step(
        "Restart a workload, so that it reads its current token",
        "kubectl rollout restart -n NAMESPACE deployment/NAME",
    )],
    resolved_when: "No client on the node is left that holds a token past its warnafter.",
    false_positives: "The client keeps the token and makes no more requests.",
};

pub(super) const LEGACY: Runbook = Runbook {
    impact: "None. Whoever has a copy of the token can use it until the Secret or its service \
             account is deleted.",
    diagnosis: &[
        step(
            "Every such Secret, its age, and the day of its last use",
            "kubectl get secrets -A --field-selector type=kubernetes.io/service-account-token -L \
             kubernetes.io/legacy-token-last-used",
        ),
        DESCRIBE,
    ],
    mitigation: &[],
    resolved_when: "No pod on the node mounts such a Secret.",
    false_positives: "A program outside of the cluster cannot have a projected token, and a pod \
                      carries its token there.",
};

pub(super) const LIFETIME_LONG: Runbook = Runbook {
    impact: "None. Whoever has a copy of the token can use it until it expires, as long as the \
             pod exists.",
    diagnosis: &[
        TOKEN,
        step(
            "The lifetime that the pod's volume asks for",
            "kubectl get pod -n NAMESPACE POD -o \
             jsonpath='{.spec.volumes[*].projected.sources[*].serviceAccountToken}'",
        ),
    ],
    mitigation: &[],
    resolved_when: "No token on the node was requested for more than 48 h.",
    false_positives: "The node's kubelet does not replace tokens at all (a virtual cluster, a \
                      virtual kubelet), and somebody chose a long life for that reason.",
};
