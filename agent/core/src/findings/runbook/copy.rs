//! Runbooks about copies of tokens on the host.

use super::Runbook;
use super::steps::step;

pub(super) const COPY_STALE: Runbook = Runbook {
    impact: "If a CNI plugin uses the file: from the finding's deadline on, or now if it is \
             critical, every sandbox fails with `Unauthorized`. No pod can be created or deleted \
             on the node (event FailedCreatePodSandBox, pods that stay in ContainerCreating or \
             Terminating). Pods that run are not affected.",
    diagnosis: &[
        step(
            "The token in the file, with every deadline (FILE is in the finding)",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch explain /host/FILE",
        ),
        step(
            "For the reason `key unknown`: the keys that the API server has. `key_id` in the \
             evidence is not among them",
            "kubectl get --raw /openid/v1/jwks | grep -o '\"kid\":\"[^\"]*\"'",
        ),
        step(
            "Which CNI configurations name the plugin or the file; none: it is left over",
            "grep -rE 'kubeconfig|\"type\"' /etc/cni/net.d/",
        ),
        step(
            "The plugin's pods on the node (PLUGIN is in the evidence)",
            "kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep PLUGIN",
        ),
        step(
            "Pods that could not be created because of it",
            "kubectl get events -A --field-selector reason=FailedCreatePodSandBox | grep \
             Unauthorized | tail -n 5",
        ),
    ],
    mitigation: &[step(
        "Restart the plugin's pod on this node, so that it writes the file again",
        "kubectl delete pod -n NAMESPACE POD",
    )],
    resolved_when: "The file holds the token that is in the pod's volume, or a new one. The \
                    finding clears within seconds, and pods on the node start.",
    false_positives: "The plugin is installed under another name, and the file holds the token of \
                      its pod (reason unknown pod). The plugin's pod is being replaced and takes \
                      longer than two minutes to write the file. One of several API servers does \
                      not have its key yet while keys are replaced (reason key unknown, warning). \
                      A file that nothing uses, while a \
                      CNI configuration still names it: remove the configuration, too.",
};
