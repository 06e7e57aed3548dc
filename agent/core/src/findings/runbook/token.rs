//! Runbooks about tokens.

use super::Runbook;
use super::steps::{
    ACCOUNT, API_SERVER_CLOCK, DELETE, DESCRIBE, KUBELET, MEASURE, READY, RESTART, TOKEN, VOLUME,
    step,
};

pub(super) const ROTATION_LATE: Runbook = Runbook {
    impact: "None yet. If the rotation stalls, the pod with this token is affected from the \
             finding's deadline on.",
    diagnosis: &[VOLUME, KUBELET],
    mitigation: &[],
    resolved_when: "The file holds a new token. The finding usually clears within one or two \
                    minutes.",
    false_positives: "kubelet was restarted or is busy with many pods, and catches up. A kubelet \
                      with a syncFrequency above its default of 1 minute is always late: set \
                      kubelet.sync_period to the same value.",
};

pub(super) const ROTATION_STALLED: Runbook = Runbook {
    impact: "The pod gets 401 for every request with this token, from the finding's deadline on. A \
             token of the default lifetime (3607 s, extended to a year) keeps working at an API \
             server that extends tokens. The API server counts it as stale. A token for another \
             audience (a cloud, Vault, a mesh) has no extension: its verifier rejects it at once.",
    diagnosis: &[VOLUME, KUBELET, DESCRIBE, ACCOUNT, READY],
    mitigation: &[RESTART, DELETE],
    resolved_when: "The directory that ..data points to is newer than the repair, and `tokenwatch \
                    explain` reports the token as fresh. The event tokenwatch.finding.cleared \
                    arrives within seconds.",
    false_positives: "The pod is terminating and ends before the deadline: kubelet does not rotate \
                      the tokens of terminating pods. A volume that is not synced at info: kubelet \
                      pulls a large image for the pod, or waits for its postStart hook, and syncs \
                      the volume when that is done.",
};

pub(super) const EXPIRED: Runbook = Runbook {
    impact: "The pod gets 401 for every request with this token, at the latest 70 s after exp (60 \
             s leeway, 10 s cache). A client that holds an older copy in memory may have failed \
             earlier.",
    diagnosis: &[TOKEN, KUBELET, DESCRIBE, MEASURE],
    mitigation: &[RESTART, DELETE],
    resolved_when: "The file holds a fresh token, and the pod's requests succeed again. If the \
                    client does not read the file again, restart the container.",
    false_positives: "The pod does not use the token: it is mounted by default \
                      (automountServiceAccountToken), and the pod calls no API. Even so, kubelet \
                      has stopped serving this pod.",
};

pub(super) const NOT_YET_VALID: Runbook = Runbook {
    impact: "The pod gets 401 (\"not valid yet\") now, from every verifier whose clock is right. \
             This lasts until the verifier's clock reaches the token's nbf, or until kubelet \
             replaces the token.",
    diagnosis: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    mitigation: &[
        step(
            "When the clocks agree, restart kubelet, so that it requests every token again",
            "systemctl restart kubelet",
        ),
        DELETE,
    ],
    resolved_when: "`tokenwatch explain` shows an issue time in the past, and the finding clears.",
    false_positives: "The node's clock is behind and the API server's clock is right. The token is \
                      then good, and the node needs the repair. If time servers confirm this, the \
                      agent raises clock.offset as well.",
};

pub(super) const FUTURE_DATED: Runbook = Runbook {
    impact: "None yet. If the API server's clock is set back by more than a minute, it rejects \
             every token it signed before. This lasts until true time has caught up, and kubelet \
             does not replace the tokens.",
    diagnosis: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    mitigation: &[step(
        "On the control plane hosts, check the time daemon; let it slew the clock, do not step it \
         back",
        "chronyc tracking && chronyc sources",
    )],
    resolved_when: "New tokens are issued at the node's own time. The finding clears with the next \
                    rotation.",
    false_positives: "This node's clock is behind. If time servers confirm that, the agent raises \
                      clock.offset instead. If no server is configured, compare with `tokenwatch \
                      clock --server HOST`.",
};

pub(super) const MALFORMED: Runbook = Runbook {
    impact: "The pod's next request fails: no API server accepts these bytes.",
    diagnosis: &[TOKEN, VOLUME],
    mitigation: &[DELETE],
    resolved_when: "`tokenwatch explain` decodes the file.",
    false_positives: "Somebody replaced the token with another kind of file on purpose.",
};

pub(super) const UNREADABLE: Runbook = Runbook {
    impact: "None for the pod. The agent cannot report what happens to this token.",
    diagnosis: &[
        step(
            "Who may read the file",
            "namei -l /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
        ),
        step(
            "What the agent may do (DAC_READ_SEARCH is bit 2 of CapEff)",
            "grep Cap /proc/$(pgrep -xo tokenwatch)/status",
        ),
    ],
    mitigation: &[],
    resolved_when: "The finding clears at the agent's next full rescan, within two minutes \
                    (files.rescan).",
    false_positives: "None known: the agent waits for files that are being replaced and for \
                      terminating pods.",
};

pub(super) const MISSING: Runbook = Runbook {
    impact: "A container that starts now fails, or waits for its volume. A running container keeps \
             its own mount: its requests fail when the last token in it expires, because kubelet \
             no longer renews that one.",
    diagnosis: &[
        VOLUME,
        step(
            "What is mounted for the pod on the node, in kubelet's mount namespace",
            "grep UID /proc/$(pgrep -xo kubelet)/mountinfo",
        ),
        KUBELET,
        DESCRIBE,
        READY,
    ],
    mitigation: &[DELETE],
    resolved_when: "The file is in the volume again, or the pod no longer exists.",
    false_positives: "Without access to the Kubernetes API, the finding about the node also counts \
                      directories of pods that no longer exist. kubelet logs those as orphaned \
                      pods.",
};

pub(super) const SUBPATH: Runbook = Runbook {
    impact: "The container gets 401 for every request with its token, from the finding's deadline \
             on, although the token in the volume is fresh. If subPath names a directory, the \
             container finds no file there after the first rotation.",
    diagnosis: &[
        DESCRIBE,
        step(
            "The token as the container has it (PATH is the mountPath in the evidence)",
            "kubectl exec -n NAMESPACE POD -c CONTAINER -- cat PATH | cut -d. -f2 | base64 -d \
             2>/dev/null",
        ),
    ],
    mitigation: &[step(
        "Until the mount is changed, restart the pod before its token expires",
        "kubectl delete pod -n NAMESPACE POD",
    )],
    resolved_when: "No container of the pod mounts the token by subPath.",
    false_positives: "The application reads the token once, right after it starts, and exchanges \
                      it for another credential.",
};

pub(super) const POD_TERMINATING: Runbook = Runbook {
    impact: "Requests from the terminating pod are rejected from the finding's deadline until the \
             pod ends. This affects its preStop hook and its shutdown. A pod that should have \
             ended and still runs has no working token at all.",
    diagnosis: &[
        step(
            "When the deletion started, and the grace period",
            "kubectl get pod -n NAMESPACE POD -o jsonpath='{.metadata.deletionTimestamp} \
             {.metadata.deletionGracePeriodSeconds}'",
        ),
        TOKEN,
    ],
    mitigation: &[step(
        "If the pod should have ended: end it on the node, or restart kubelet",
        "crictl ps --label io.kubernetes.pod.uid=UID -q | xargs -r crictl stop; systemctl restart \
         kubelet",
    )],
    resolved_when: "The pod's files are no longer on the node.",
    false_positives: "The pod's shutdown needs no token. To avoid the finding, set a longer \
                      expirationSeconds in the volume (above the grace period divided by 0.2).",
};

pub(super) const SUBJECT_REPLACED: Runbook = Runbook {
    impact: "The pod gets 401 for every request to the API server with this token, from the moment \
             the account was deleted. This also applies to other programs that ask the API server \
             about the token (TokenReview), such as Vault. A verifier that checks only signature \
             and expiry, such as a cloud's token service, accepts the token until exp.",
    diagnosis: &[
        ACCOUNT,
        step(
            "The UID of the account now, and when it was created",
            "kubectl get serviceaccount -n NAMESPACE \"$(kubectl get pod -n NAMESPACE POD -o \
             jsonpath='{.spec.serviceAccountName}')\" -o jsonpath='{.metadata.uid} \
             {.metadata.creationTimestamp}'",
        ),
        step(
            "The UID of the account in the token: service_account.uid",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch explain --output json \
             /host/var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
        ),
    ],
    mitigation: &[
        step(
            "If the account is missing, create it again, best from its chart or manifest, with its \
             annotations",
            "kubectl create serviceaccount -n NAMESPACE \"$(kubectl get pod -n NAMESPACE POD -o \
             jsonpath='{.spec.serviceAccountName}')\"",
        ),
        DELETE,
    ],
    resolved_when: "The file holds a token of the account that exists now, or the pod is gone. If \
                    the API server answers again that the account exists with the UID in the token \
                    (a restored backup), the finding clears within five minutes.",
    false_positives: "The pod does not use its token. A release is being removed and its pods \
                      terminate later than its account: the finding clears with the pods.",
};
