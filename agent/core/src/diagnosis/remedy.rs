//! What to do, as a sentence and, where one exists, a command that can be pasted.

use crate::findings::{Code, Remedy};
use crate::world::cluster::AccountLoss;
use crate::world::cluster::PodRef;
use crate::world::tokens::Claims;

/// The remedy for a finding about a pod's token.
pub(super) fn of_token(code: Code, pod: &PodRef) -> Remedy {
    let command = match code {
        Code::RotationLate | Code::RotationStalled | Code::Expired => kubelet_log(pod),
        Code::NotYetValid => delete_pod(pod),
        Code::FutureDated => Some("tokenwatch clock".to_owned()),
        _ => describe_pod(pod),
    };
    Remedy { text: code.info().action.to_owned(), command }
}

/// The remedy where it is the service account that is gone: what holds for kubelet's own troubles
/// would lead astray.
pub(super) fn of_account(lost: AccountLoss, claims: &Claims, pod: &PodRef) -> Remedy {
    let (text, command) = match lost {
        AccountLoss::Missing => (
            "Make the service account again, and kubelet writes a new token within two minutes; \
             or delete what still uses it. Find out who deleted it.",
            create_account(claims),
        ),
        AccountLoss::Replaced => (
            "Find out in kubelet's log why it does not replace the token: a new one is of the \
             account that there is now, and works. Deleting the pod helps only once kubelet gets \
             tokens again.",
            kubelet_log(pod),
        ),
    };
    Remedy { text: text.to_owned(), command }
}

fn create_account(claims: &Claims) -> Option<String> {
    Some(format!(
        "kubectl create serviceaccount -n {} {}",
        safe(&claims.namespace)?,
        safe(&claims.service_account.name)?
    ))
}

/// kubelet's own words about this pod's volumes, from its log and from events.
fn kubelet_log(pod: &PodRef) -> Option<String> {
    let uid = safe(&pod.uid)?;
    Some(format!(
        "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|{uid}\" | tail -n 20"
    ))
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

/// Names come from claims and paths: only what Kubernetes would accept as a name goes into a
/// command that people paste.
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
    fn hostile_names_do_not_become_commands() {
        let pod = |name: &str| PodRef {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: "u-1".into(),
            owner: None,
        };
        assert_eq!(
            of_token(Code::NotYetValid, &pod("cart-0")).command.as_deref(),
            Some("kubectl delete pod -n shop cart-0")
        );
        for hostile in ["$(reboot)", "a;b", "-n", "", "a b", "x\n"] {
            assert_eq!(of_token(Code::NotYetValid, &pod(hostile)).command, None, "{hostile:?}");
        }
    }
}
