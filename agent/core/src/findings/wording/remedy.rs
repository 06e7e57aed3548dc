//! Remedies: what to do, and a command to paste where one exists.

use crate::findings::{ClockFault, Code, PodEnd, Remedy, Severity, TokenFault, TokenSymptom};
use crate::world::clocks::ClockFacts;
use crate::world::cluster::{AccountLoss, PodRef};
use crate::world::tokens::{Claims, Generation};

/// The remedy for a symptom of a token.
pub(super) fn of_token(
    symptom: TokenSymptom,
    pod: &PodRef,
    generation: Option<&Generation>,
) -> Remedy {
    let fault = symptom.fault;
    if let (Some(lost), Some(generation)) = (fault.lost(), generation) {
        return of_account(lost, &generation.claims, pod);
    }
    let command = match fault {
        TokenFault::RotationLate | TokenFault::RotationStalled(_) | TokenFault::Expired(_) => {
            kubelet_log(pod)
        }
        TokenFault::NotYetValid => delete_pod(pod),
        TokenFault::FutureDated => Some("tokenwatch clock".to_owned()),
        TokenFault::PodTerminating(end) => return of_pod_end(end, pod),
        TokenFault::Malformed | TokenFault::Unreadable | TokenFault::Subpath => describe_pod(pod),
    };
    Remedy { text: action(symptom).to_owned(), command }
}

/// The catalogue's action. A late rotation with little time left is treated as a stalled one.
fn action(symptom: TokenSymptom) -> &'static str {
    let is_urgent = symptom.severity > Severity::Info;
    let code = match symptom.fault {
        TokenFault::RotationLate if is_urgent => Code::RotationStalled,
        TokenFault::RotationLate
        | TokenFault::RotationStalled(_)
        | TokenFault::Expired(_)
        | TokenFault::NotYetValid
        | TokenFault::FutureDated
        | TokenFault::PodTerminating(_)
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath => symptom.fault.code(),
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

/// The remedy for a kubelet that replaces no token.
pub(super) fn of_kubelet() -> Remedy {
    let command = "systemctl status kubelet --no-pager | head -n 5; journalctl -u kubelet --since \
                   -1h | grep -E \"Couldn't update token|Unauthorized|refused|timeout|x509\" | \
                   tail -n 20";
    Remedy {
        text: Code::KubeletStalled.info().action.to_owned(),
        command: Some(command.to_owned()),
    }
}

/// The remedy for a missing token.
pub(super) fn of_missing(pod: &PodRef) -> Remedy {
    let command = describe_pod(pod).or_else(|| kubelet_log(pod));
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

/// The remedy for a lost service account. The catalogue's action is about kubelet, which is not the
/// cause here.
fn of_account(lost: AccountLoss, claims: &Claims, pod: &PodRef) -> Remedy {
    let (text, command) = match lost {
        AccountLoss::Missing => (
            "Create the service account again, and kubelet writes a new token within two minutes. \
             Or delete what still uses it. Find out who deleted it.",
            create_account(claims),
        ),
        AccountLoss::Replaced => (
            "Look in kubelet's log for the reason that it does not replace the token. A new token \
             belongs to the new account, and works. Deleting the pod helps only once kubelet gets \
             tokens again.",
            kubelet_log(pod),
        ),
    };
    Remedy { text: text.to_owned(), command }
}

/// The remedy for a fault of a clock.
pub(super) fn of_clock(fault: &ClockFault, facts: &ClockFacts<'_>) -> Remedy {
    let (text, command) = match fault {
        ClockFault::Offset => (
            "Repair time synchronisation on this node: check the sources of its time daemon, then \
             let the daemon step the clock.",
            Some("chronyc tracking || timedatectl timesync-status || ntpq -p"),
        ),
        ClockFault::Unsynchronized => (
            "Start chrony, ntpd or systemd-timesyncd on this node.",
            Some("timedatectl set-ntp true"),
        ),
        ClockFault::Stepped(_) => (
            "Find what set the clock: the first synchronisation of a time daemon, a resumed \
             virtual machine, or a person.",
            Some(
                "journalctl --since -15m -u chrony -u chronyd -u ntpd -u ntpsec -u \
                 systemd-timesyncd",
            ),
        ),
        ClockFault::LeapSecond(_) => {
            ("No action needed: the clock followed an announced leap second.", None)
        }
        ClockFault::Unknown => of_unknown_clock(facts),
        ClockFault::Contradiction { .. } => (
            "Configure at least three time servers, so that the others outvote one that is wrong.",
            Some("tokenwatch clock"),
        ),
        ClockFault::Falseticker { .. } => (
            "Repair this server, or remove it from clock.servers and from the configuration of \
             the time daemon.",
            Some("tokenwatch clock"),
        ),
    };
    Remedy { text: text.to_owned(), command: command.map(ToOwned::to_owned) }
}

const REPAIR_NAMES: &str =
    "Repair name resolution on this node, or set clock.servers to addresses instead of names.";

fn of_unknown_clock(facts: &ClockFacts<'_>) -> (&'static str, Option<&'static str>) {
    if facts.no_name_resolves() {
        return (REPAIR_NAMES, Some("tokenwatch clock --server ADDRESS"));
    }
    if facts.servers_configured() {
        let text = "Open UDP port 123 from this node to its time servers, or set clock.servers to \
                    servers that it can reach.";
        return (text, Some("tokenwatch clock"));
    }
    let text = "Set clock.servers to time servers that this node can reach, or start a time \
                daemon on it.";
    (text, Some("tokenwatch clock --server HOST"))
}

/// The remedy for a finding about the agent itself.
pub(super) fn of_agent(code: Code) -> Remedy {
    // `config` prints where alerts go, and which setting decides that.
    let command = (code == Code::DeliveryDelayed).then(|| "tokenwatch config".to_owned());
    Remedy { text: code.info().action.to_owned(), command }
}

fn create_account(claims: &Claims) -> Option<String> {
    Some(format!(
        "kubectl create serviceaccount -n {} {}",
        safe(&claims.binding.namespace)?,
        safe(&claims.binding.service_account.name)?
    ))
}

/// Prints what kubelet logged about this pod's volumes.
fn kubelet_log(pod: &PodRef) -> Option<String> {
    let uid = safe(&pod.uid)?;
    Some(format!(
        "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|{uid}\" | tail -n 20"
    ))
}

/// Lists the containers of the pod that run.
fn containers(pod: &PodRef) -> Option<String> {
    Some(format!("crictl ps --label io.kubernetes.pod.uid={}", safe(&pod.uid)?))
}

fn delete_pod(pod: &PodRef) -> Option<String> {
    let (namespace, name) = full_name(pod)?;
    Some(format!("kubectl delete pod -n {namespace} {name}"))
}

fn describe_pod(pod: &PodRef) -> Option<String> {
    let (namespace, name) = full_name(pod)?;
    Some(format!("kubectl describe pod -n {namespace} {name}"))
}

fn full_name(pod: &PodRef) -> Option<(&str, &str)> {
    Some((safe(pod.namespace.as_deref()?)?, safe(pod.name.as_deref()?)?))
}

/// `name`, if Kubernetes would accept it as a name (RFC 1123). Names come from claims and paths,
/// and people paste these commands into a shell.
fn safe(name: &str) -> Option<&str> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    (!name.is_empty() && !name.starts_with('-') && name.len() <= 253 && name.bytes().all(fits))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_shell_characters_give_no_command() {
        let pod = |name: &str| PodRef {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: "u-1".into(),
            owner: None,
        };
        let early = TokenSymptom { fault: TokenFault::NotYetValid, severity: Severity::Critical };
        assert_eq!(
            of_token(early, &pod("cart-0"), None).command.as_deref(),
            Some("kubectl delete pod -n shop cart-0")
        );
        for name in ["$(reboot)", "a;b", "-n", "", "a b", "x\n"] {
            assert_eq!(of_token(early, &pod(name), None).command, None, "{name:?}");
        }
    }
}
