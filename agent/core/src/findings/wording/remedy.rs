//! Remedies: what to do, and a command to paste where one exists.

use super::by_hand;
use crate::findings::{Code, PodEnd, Remedy, Severity, TokenFault, TokenSymptom};
use crate::world::cluster::{AccountLoss, AccountName, PodRef};
use crate::world::kubelet::{Extent, Silence};
use crate::world::tokens::Generation;

/// The remedy for a symptom of a token. `account`: its service account, if more than its claims
/// names it.
pub(super) fn of_token(
    symptom: TokenSymptom,
    pod: &PodRef,
    generation: Option<&Generation>,
    account: Option<&AccountName>,
) -> Remedy {
    let fault = symptom.fault;
    if let Some(lost) = fault.lost() {
        return of_account(lost, account, pod);
    }
    let is_old = matches!(
        fault,
        TokenFault::RotationLate | TokenFault::RotationStalled | TokenFault::Expired
    );
    if is_old && generation.is_some_and(|of| !of.claims.binding.is_of_kubelet()) {
        return Remedy { text: by_hand::REMEDY.to_owned(), command: describe_pod(pod) };
    }
    if let TokenFault::Unsynced(silence) = fault {
        return of_unsynced(&silence, pod);
    }
    let command = match fault {
        TokenFault::RotationLate
        | TokenFault::RotationStalled
        | TokenFault::Unsynced(_)
        | TokenFault::Expired => kubelet_log(pod),
        TokenFault::NotYetValid
        | TokenFault::SubjectReplaced(_)
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen => renew_pods(pod),
        TokenFault::FutureDated => Some("tokenwatch clock".to_owned()),
        TokenFault::PodTerminating(end) => return of_pod_end(end, pod),
        TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::Audience(_) => describe_pod(pod),
    };
    Remedy { text: action(symptom).to_owned(), command }
}

/// The catalogue's action. A late rotation with little time left is treated as a stalled one.
fn action(symptom: TokenSymptom) -> &'static str {
    let is_urgent = symptom.severity > Severity::Info;
    let code = match symptom.fault {
        TokenFault::RotationLate if is_urgent => Code::RotationStalled,
        TokenFault::RotationLate
        | TokenFault::RotationStalled
        | TokenFault::Unsynced(_)
        | TokenFault::Expired
        | TokenFault::SubjectReplaced(_)
        | TokenFault::NotYetValid
        | TokenFault::FutureDated
        | TokenFault::PodTerminating(_)
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::Audience(_)
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen => symptom.fault.code(),
    };
    code.info().action
}

fn of_pod_end(end: PodEnd, pod: &PodRef) -> Remedy {
    let (text, command) = match end {
        PodEnd::Ahead { .. } => (Code::PodTerminating.info().action, describe_pod(pod)),
        PodEnd::Overdue { .. } => (
            "On the node, look in kubelet's log for the reason that it does not end the pod: it \
             may not reach the API server, or a container or volume may hang. Restart kubelet. If \
             the node is lost, shut it down before anything else takes over the pod's work.",
            kubelet_log(pod),
        ),
        PodEnd::Deleted(_) => (
            "On the node, check whether containers of the pod still run, and stop them. kubelet \
             removes the files when they have ended. If kubelet does not do so, look for \
             \"orphaned pod\" in its log.",
            containers(pod),
        ),
        PodEnd::Ended(_) => (
            "No action needed: no container of the pod uses the token. kubelet removes the files \
             with the pod.",
            describe_pod(pod),
        ),
    };
    Remedy { text: text.to_owned(), command }
}

/// The remedy for a volume that kubelet does not sync.
fn of_unsynced(silence: &Silence, pod: &PodRef) -> Remedy {
    let (text, command) = match silence.extent {
        Extent::Volume => (VOLUME_ALONE, describe_pod(pod)),
        Extent::Pod | Extent::VolumeOrPod | Extent::Unknown => (VOLUME_OR_POD, describe_pod(pod)),
        Extent::Most => (VOLUME_OR_POD, kubelet_log(pod)),
        Extent::Node => (NODE, kubelet_log(pod)),
    };
    Remedy { text: text.to_owned(), command }
}

const VOLUME_ALONE: &str = "kubelet cannot fill the volume, most likely because a ConfigMap or \
                            Secret in it is missing. Look for FailedMount in the events of the \
                            pod, and restore what is missing.";
const VOLUME_OR_POD: &str = "Either kubelet cannot fill the volume, because a ConfigMap or Secret \
                             in it is missing, or it is held up with the pod: by an image that it \
                             pulls, by a hook, by a PersistentVolumeClaim that is being deleted, \
                             by the network that is not ready, or by the container runtime. The \
                             events of the pod show which.";
const NODE: &str = "kubelet syncs no volume on this node: it is stopped or hangs, or its tokens \
                    have ended while it does not reach the API server. Look at its state and its \
                    log.";

/// The remedy for a kubelet that replaces no token.
pub(super) fn of_kubelet() -> Remedy {
    let command = "systemctl status kubelet --no-pager | head -n 5; journalctl -u kubelet --since \
                   -1h | grep -E \"Couldn't update token|Skipping pod|Unauthorized|refused|\
                   timeout|x509\" | \
                   tail -n 20";
    Remedy {
        text: Code::KubeletStalled.info().action.to_owned(),
        command: Some(command.to_owned()),
    }
}

/// The remedy for a missing token.
pub(super) fn of_missing(pod: &PodRef) -> Remedy {
    let described = full_name(pod).and_then(|_| describe_pod(pod));
    let command = described.or_else(|| kubelet_log(pod));
    Remedy { text: Code::Missing.info().action.to_owned(), command }
}

/// The remedy for empty volumes of unknown pods.
pub(super) fn of_empty_volumes() -> Remedy {
    let text = "Check that kubelet runs and reaches the API server: look for MountVolume.SetUp \
                errors in its log. If the pods no longer exist, delete their directories. With \
                kubernetes.enabled the agent tells the two apart.";
    let command = "journalctl -u kubelet --since -1h | grep -E \"MountVolume.SetUp|orphaned pod\" \
                   | tail -n 20";
    Remedy { text: text.to_owned(), command: Some(command.to_owned()) }
}

/// The remedy for a lost service account. A new account does not help the old tokens: only new pods
/// get new ones at once, because kubelet keeps a token until it is due.
fn of_account(lost: AccountLoss, account: Option<&AccountName>, pod: &PodRef) -> Remedy {
    let (text, command) = match lost {
        AccountLoss::Missing => (
            "Create the service account again, and then restart the pods that use it: their tokens \
             belong to the deleted account and stay refused. Or delete what still uses the \
             account. Find out who deleted it.",
            account.and_then(|account| create_account(account, pod)),
        ),
        AccountLoss::Replaced => (
            "Restart the pods that use the account: new pods get tokens of the new account. \
             Otherwise the tokens stay refused until kubelet replaces them. If kubelet is already \
             late, look in its log for the reason.",
            renew_pods(pod),
        ),
    };
    Remedy { text: text.to_owned(), command }
}

/// The remedy for a finding about the agent itself.
pub(super) fn of_agent(code: Code) -> Remedy {
    // `config` prints where alerts go, and which setting decides that.
    let command = (code == Code::DeliveryDelayed).then(|| "tokenwatch config".to_owned());
    Remedy { text: code.info().action.to_owned(), command }
}

/// Creates the account unless somebody has done so for another workload, and then restarts the
/// pods. A pod without an owner is not deleted: nothing would start it again.
pub(super) fn create_account(account: &AccountName, pod: &PodRef) -> Option<String> {
    let (namespace, name) = (safe(&account.namespace)?, safe(&account.name)?);
    let account = format!("serviceaccount -n {namespace} {name}");
    let restart = pod.owner.as_ref().and_then(|_| renew_pods(pod));
    let restart = restart.map(|restart| format!(" && {restart}")).unwrap_or_default();
    Some(format!("kubectl get {account} || kubectl create {account}{restart}"))
}

/// Prints what kubelet logged about this pod's volumes.
pub(super) fn kubelet_log(pod: &PodRef) -> Option<String> {
    let uid = safe(&pod.uid)?;
    Some(format!(
        "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|{uid}\" | tail -n 20"
    ))
}

/// Lists the containers of the pod that run.
fn containers(pod: &PodRef) -> Option<String> {
    Some(format!("crictl ps --label io.kubernetes.pod.uid={}", safe(&pod.uid)?))
}

/// Deletes the pod, so that its controller starts another one.
pub(super) fn delete_pod(pod: &PodRef) -> Option<String> {
    by_name("delete pod", pod)
}

/// Restarts the pods of a workload, or deletes this pod where nothing restarts pods one by one.
pub(super) fn renew_pods(pod: &PodRef) -> Option<String> {
    let restarted = ["Deployment", "StatefulSet", "DaemonSet"];
    let owner = pod.owner.as_ref().filter(|owner| restarted.contains(&owner.kind.as_str()));
    let Some(owner) = owner else { return delete_pod(pod) };
    Some(format!(
        "kubectl rollout restart -n {} {}/{}",
        safe(pod.namespace.as_deref()?)?,
        owner.kind.to_lowercase(),
        safe(&owner.name)?
    ))
}

/// Shows the pod, if anything names it.
pub(super) fn describe_pod(pod: &PodRef) -> Option<String> {
    pod.name.as_ref()?;
    by_name("describe pod", pod)
}

/// `kubectl VERB` for this pod, by its name. Where that is not proven, the command finds the pod by
/// the UID, which the path on the node proves.
fn by_name(verb: &str, pod: &PodRef) -> Option<String> {
    if pod.is_claimed || pod.name.is_none() {
        let uid = safe(&pod.uid)?;
        return Some(format!(
            "kubectl get pods -A --no-headers -o custom-columns=U:.metadata.uid,\
             N:.metadata.namespace,P:.metadata.name | awk '$1 == \"{uid}\" {{print \"-n\", $2, \
             $3}}' | xargs -r kubectl {verb}"
        ));
    }
    let (namespace, name) = full_name(pod)?;
    Some(format!("kubectl {verb} -n {namespace} {name}"))
}

/// Namespace and name of the pod, where more than the claims of a file gives them.
fn full_name(pod: &PodRef) -> Option<(&str, &str)> {
    if pod.is_claimed {
        return None;
    }
    Some((safe(pod.namespace.as_deref()?)?, safe(pod.name.as_deref()?)?))
}

/// `name`, if Kubernetes would accept it as a name (RFC 1123). Names come from claims and paths,
/// and people paste these commands into a shell.
pub(super) fn safe(name: &str) -> Option<&str> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    (!name.is_empty() && !name.starts_with('-') && name.len() <= 253 && name.bytes().all(fits))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::cluster::Owner;

    #[test]
    fn names_with_shell_characters_give_no_command() {
        let pod = |name: &str| PodRef {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: "u-1".into(),
            ..PodRef::default()
        };
        let owner = Some(Owner { kind: "Deployment".into(), name: "cart".into() });
        let early = TokenSymptom { fault: TokenFault::NotYetValid, severity: Severity::Critical };
        assert_eq!(
            of_token(early, &pod("cart-0"), None, None).command.as_deref(),
            Some("kubectl delete pod -n shop cart-0")
        );
        let owned = PodRef { owner, ..pod("cart-0") };
        assert_eq!(
            of_token(early, &owned, None, None).command.as_deref(),
            Some("kubectl rollout restart -n shop deployment/cart"),
            "the owner's own command"
        );
        for name in ["$(reboot)", "a;b", "-n", "", "a b", "x\n"] {
            assert_eq!(of_token(early, &pod(name), None, None).command, None, "{name:?}");
        }
    }
}
