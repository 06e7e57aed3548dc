//! Runbooks about the control plane and kubelet.

use super::Runbook;
use super::steps::{API_SERVER_CLOCK, DAEMON, LOOK, MEASURE, READY, RESTART, step};

pub(super) const APISERVER_SKEW: Runbook = Runbook {
    impact: "The evidence names what breaks (effects). not_yet_valid: tokens of an API server that \
             is ahead are refused by verifiers whose clock is right, and by itself once its clock \
             is corrected. dead_before_refresh: the API server refuses tokens before kubelet \
             replaces them. refreshed_each_sync: kubelet requests tokens again and again.",
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
    resolved_when: "Three answers of the API server show that its clock agrees to 2 s.",
    false_positives: "A proxy between the agent and the API server that sets the Date of answers \
                      itself shows its own clock.",
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
