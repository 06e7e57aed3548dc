//! Runbooks about the control plane and kubelet.

use super::steps::{API_SERVER_CLOCK, DAEMON, LOOK, MEASURE, READY, RESTART, TOKEN, step};
use super::{Runbook, Step};

pub(super) const APISERVER_SKEW: Runbook = Runbook {
    impact: "The evidence names what breaks (effects). not_yet_valid: tokens of an API server that \
             is ahead are refused by verifiers whose clock is right, and by itself once its clock \
             is corrected. dead_before_refresh: the API server refuses tokens before kubelet \
             replaces them. refreshed_each_sync: kubelet requests tokens again and again. \
             future_dated: kubelet replaces tokens as much later as the clock is ahead.",
    diagnosis: &[
        LOOK,
        MEASURE,
        API_SERVER_CLOCK,
        step(
            "Which control-plane nodes run API servers",
            "kubectl get pods -n kube-system -l component=kube-apiserver -o wide",
        ),
        step("On each of them: whether its clock is synchronised", DAEMON.command),
    ],
    mitigation: &[step(
        "On the control-plane node that is wrong: let the time daemon run",
        "timedatectl set-ntp true",
    )],
    resolved_when: "Three answers of the API server show that its clock agrees to 2 s. Without \
                    access to it: the next new tokens are not dated in the future. Tokens that \
                    still are have a finding of their own from then on.",
    false_positives: "A proxy between the agent and the API server that sets the Date of answers \
                      itself shows its own clock.",
};

const REFUSALS: Step = step(
    "The reasons of the last refused requests, on the control-plane node",
    "grep -h 'Unable to authenticate the request' \
     /var/log/pods/kube-system_kube-apiserver-*/*/*.log | grep -o 'err=.*' | sort | uniq -c | \
     sort -n | tail",
);
const REFUSED_FROM: Step = step(
    "The addresses that they came from, in the audit log (the path is that of --audit-log-path)",
    "grep '\"code\":401' /var/log/kubernetes/audit/audit.log | grep -o '\"sourceIPs\":[^]]*' \
     | sort | uniq -c | sort -n | tail",
);
const BY_ADDRESS: Step =
    step("The pods with these addresses", "kubectl get pods -A -o wide --sort-by=.status.podIP");

pub(super) const APISERVER_REJECTING: Runbook = Runbook {
    impact: "Each of these requests failed. A client that does not read its token again fails \
             until it is restarted. The reasons show what all of them share: expired and \
             invalidated are of old tokens, signature of a replaced key, audience and issuer of \
             a token for somebody else. certificate is no token at all.",
    diagnosis: &[LOOK, REFUSALS, REFUSED_FROM, BY_ADDRESS],
    mitigation: &[step(
        "Restart the pods that a warning names: their containers read the token again",
        "kubectl delete pod -n NAMESPACE POD",
    )],
    resolved_when: "The API servers on the node have refused no request for 10 minutes.",
    false_positives: "A client that sends a useless token on purpose, such as a scanner or a \
                      test. An expired kubeconfig of a person. A controller outside of the \
                      cluster with a copied token. These are info: at most an address points to \
                      a pod.",
};

const PUBLISHED: Step = step(
    "The ids of the keys that the API server verifies with",
    "kubectl get --raw /openid/v1/jwks | grep -o '\"kid\":\"[^\"]*\"'",
);
const KEY_FILES: Step = step(
    "On each control-plane node: the files that the API server verifies and signs with",
    "grep service-account /etc/kubernetes/manifests/kube-apiserver.yaml",
);
const DISCOVERY: Step = step(
    "The issuer that the API server writes into new tokens",
    "kubectl get --raw /.well-known/openid-configuration",
);

pub(super) const KEY_UNKNOWN: Runbook = Runbook {
    impact: "Every request with these tokens gets 401 now, from the API server and from all that \
             ask it about tokens (TokenReview). DNS, the network plugin and other system pods fail \
             with the rest, and kubectl logs and exec may fail, too. A verifier outside of the \
             cluster refuses them when it next fetches the keys. Each pod recovers when kubelet \
             replaces its token, and its containers read the new one.",
    diagnosis: &[PUBLISHED, KEY_FILES, TOKEN],
    mitigation: &[
        step(
            "If the old public key cannot be given back: restart kubelet on each node, so that it \
             requests every token again",
            RESTART.command,
        ),
        step(
            "Then see which readers still have an old token, and restart those",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch readers",
        ),
    ],
    resolved_when: "The keys that the API server publishes include that of every token on the \
                    node. The finding clears at once when the last token is replaced, and after \
                    some 20 minutes if the old key is given back.",
    false_positives: "A proxy between the agent and the API server that answers /openid/v1/jwks \
                      itself. An API server that publishes other keys than it verifies with is \
                      not known.",
};

pub(super) const ISSUER_MISMATCH: Runbook = Runbook {
    impact: "None at an API server that still lists the old issuer. Else it answers 401 to these \
             tokens until kubelet has replaced them. A cloud, Vault or a mesh that trusts one of \
             the two issuers refuses the tokens of the other.",
    diagnosis: &[DISCOVERY, KEY_FILES, TOKEN],
    mitigation: &[],
    resolved_when: "kubelet has replaced the tokens, and they name the issuer of new tokens.",
    false_positives: "The issuer is replaced with care: the API server lists both issuers, and \
                      each verifier outside of the cluster trusts both.",
};

pub(super) const KUBELET_STALLED: Runbook = Runbook {
    impact: "Requests of each pod on the node are rejected from the moment when its token expires. \
             The evidence has the first and the last of these moments.",
    diagnosis: &[
        LOOK,
        step("Whether kubelet runs, and since when", "systemctl status kubelet"),
        step(
            "What kubelet logged about tokens and the API server",
            "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|Unauthorized|\
             connection refused|i/o timeout|x509|Skipping pod synchronization\" | tail -n 20",
        ),
        step(
            "Whether the control plane hears from this kubelet (Ready, and the last heartbeat)",
            "kubectl get node NODE -o jsonpath='{.status.conditions[?(@.type==\"Ready\")]}'",
        ),
        step(
            "When kubelet's client certificate expires",
            "openssl x509 -enddate -noout -in /var/lib/kubelet/pki/kubelet-client-current.pem",
        ),
        READY,
    ],
    mitigation: &[RESTART],
    resolved_when: "kubelet replaces the tokens, and the finding clears within two minutes of the \
                    first replacement. Where no token was due, it clears when kubelet syncs \
                    volumes again.",
    false_positives: "Three pods with different owners have causes of their own (a missing \
                      ConfigMap, for example), and kubelet had no other token to replace in the \
                      meantime. The finding becomes one finding for each token within two minutes \
                      after kubelet replaced any. kubelet was stopped on purpose for \
                      some minutes.",
};

pub(super) const TOKEN_CONTROLLER_DOWN: Runbook = Runbook {
    impact: "None for running pods: kubelet requests their tokens from the API server. Pods in new \
             namespaces do not start (no service account, no kube-root-ca.crt), and new Secrets of \
             the type kubernetes.io/service-account-token stay empty. Nothing else that \
             controllers do happens either: no new pods of Deployments, no garbage collection.",
    diagnosis: &[
        step(
            "Who held the lease, and when it was last renewed",
            "kubectl get lease -n kube-system kube-controller-manager -o \
             custom-columns=HOLDER:.spec.holderIdentity,RENEWED:.spec.renewTime",
        ),
        step(
            "Whether its pods run (kubeadm; a managed control plane does not show them)",
            "kubectl get pods -n kube-system -l component=kube-controller-manager -o wide",
        ),
        READY,
    ],
    mitigation: &[],
    resolved_when: "The renewTime of the lease changes again. The finding clears within a minute \
                    of that.",
    false_positives: "A controller manager without leader election (--leader-elect=false) beside \
                      the lease of an earlier one.",
};
