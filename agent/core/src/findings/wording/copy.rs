//! The finding about a copy of a token on the host.

use super::copy_remedy;
use crate::base::text::shown;
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::findings::{CopyFault, CopySymptom, Finding, Subject};
use crate::world::cluster::PodRef;
use crate::world::copies::{CopyFacts, CopyKey, CopyKind, Mention, NotJudged, Plugin, Use};
use crate::world::keys::KeyState;
use crate::world::tokens::{Claims, ObjectRef, Replaced};

/// The evidence that names the generation of the copy.
pub(crate) const GENERATION: &str = "generation";

/// The finding about `symptom`, on `node`.
pub(crate) fn copy(node: &str, symptom: CopySymptom, facts: &CopyFacts<'_>) -> Finding {
    Finding {
        code: symptom.code(),
        severity: symptom.severity,
        subject: Subject::File { node: node.to_owned(), path: facts.file.seen.path.clone() },
        summary: summary(node, symptom.fault, facts),
        deadline: deadline(symptom.fault, facts),
        evidence: evidence(symptom.fault, facts),
        remedy: copy_remedy::of(node, symptom.fault, facts),
        trace: None,
    }
}

/// When the API server begins to refuse the copy. Without its pod, its key or a good signature it
/// does so since a time that the agent does not know.
fn deadline(fault: CopyFault, facts: &CopyFacts<'_>) -> Option<Wall> {
    match fault {
        CopyFault::PodGone | CopyFault::UnknownPod | CopyFault::Damaged | CopyFault::KeyUnknown => {
            None
        }
        CopyFault::Expired | CopyFault::OtherPod | CopyFault::Behind | CopyFault::NotRenewed => {
            Some(facts.refused_from())
        }
    }
}

fn summary(node: &str, fault: CopyFault, facts: &CopyFacts<'_>) -> String {
    let what = format!("{} {}", name(facts), what(fault, facts));
    match facts.usage() {
        Use::Used => format!("{what} {}", effect(node, fault, facts)),
        Use::Uncertain => format!("{what} {}", uncertain(facts)),
        Use::Unused => format!("{what} The file is left over: {}.", unused(facts)),
    }
}

/// `The kubeconfig /etc/cni/net.d/calico-kubeconfig (calico)`
fn name(facts: &CopyFacts<'_>) -> String {
    let seen = &facts.file.seen;
    let kind = match seen.kind {
        CopyKind::Kubeconfig => "kubeconfig",
        CopyKind::Token => "token file",
        CopyKind::Configuration => "CNI configuration",
        CopyKind::Text => "file",
    };
    let plugin = seen.plugin.map(|plugin| format!(" ({})", plugin.name())).unwrap_or_default();
    format!("The {kind} {}{plugin}", shown(&seen.path))
}

fn what(fault: CopyFault, facts: &CopyFacts<'_>) -> String {
    let claims = facts.claims();
    let owner = owner(claims);
    let left = facts.refused_from() - facts.verifier;
    match fault {
        CopyFault::Expired => format!(
            "holds a token of {owner} that expired {} ago: the API server refuses it.",
            facts.verifier - claims.expires_at
        ),
        CopyFault::PodGone => format!(
            "holds a token of {owner}, which does not exist any more: the API server refuses the \
             token, although it expires only at {}.",
            claims.expires_at.rfc3339()
        ),
        CopyFault::Damaged => format!(
            "holds a token of {owner} whose signature does not fit the key that it names: it was \
             damaged or forged after it was signed, and no API server accepts it."
        ),
        CopyFault::KeyUnknown => format!(
            "holds a token of {owner} that is signed with a key which {}. It expires only at {}.",
            lacking(facts),
            claims.expires_at.rfc3339()
        ),
        CopyFault::OtherPod => format!(
            "holds a token of {owner} with service account {}, which is not the plugin's{}. \
             Requests with it act as another account, and are probably forbidden (403).",
            account(claims),
            facts.writer.as_ref().map(pod_name).unwrap_or_default()
        ),
        CopyFault::Behind => format!(
            "holds an old token of {owner}: kubelet replaced that token {}, and nobody wrote the \
             copy again. {}",
            ago(facts),
            life(left, facts)
        ),
        CopyFault::NotRenewed => format!(
            "holds a token of {owner} that is {} old and lives for {}: whoever renews it would \
             have done so by now. {}",
            facts.verifier - claims.issued_at,
            facts.lifetime(),
            life(left, facts)
        ),
        CopyFault::UnknownPod => format!(
            "holds a token of {owner} with service account {}, which is not known to be the \
             plugin's.",
            account(claims)
        ),
    }
}

/// Who lacks the key, and what follows.
fn lacking(facts: &CopyFacts<'_>) -> &'static str {
    match facts.key.state() {
        Some(KeyState::Unknown) => "no API server has any more: each refuses the token",
        Some(KeyState::Split) => "some API servers have and others do not: those refuse the token",
        Some(
            KeyState::NotChecked
            | KeyState::Open
            | KeyState::Known
            | KeyState::Suspected
            | KeyState::Missing,
        )
        | None => "the last answers of the API server did not have: who lacks it refuses the token",
    }
}

/// How long ago kubelet replaced the token: `5m 10s ago`.
fn ago(facts: &CopyFacts<'_>) -> String {
    match facts.replaced() {
        Some(Replaced::At(at)) => format!("{} ago", facts.now.wall - at),
        Some(Replaced::Before(at)) => format!("at least {} ago", facts.now.wall - at),
        None => "before".to_owned(),
    }
}

fn life(left: Delta, facts: &CopyFacts<'_>) -> String {
    let at = facts.refused_from().rfc3339();
    if facts.claims().warn_after.is_some() {
        format!(
            "The copy works until {at}, in {left}, because the API server extends its expiry, and \
             no longer than its pod exists."
        )
    } else {
        format!("The API server refuses the copy in {left}, from {at} on.")
    }
}

/// What fails then, or fails now.
fn effect(node: &str, fault: CopyFault, facts: &CopyFacts<'_>) -> String {
    let is_now = match fault {
        CopyFault::Expired | CopyFault::PodGone | CopyFault::OtherPod | CopyFault::Damaged => true,
        CopyFault::KeyUnknown if facts.key.state() == Some(KeyState::Unknown) => true,
        CopyFault::KeyUnknown => return SOME_REFUSE.to_owned(),
        CopyFault::Behind | CopyFault::NotRenewed => false,
        CopyFault::UnknownPod => return UNKNOWN_POD.to_owned(),
    };
    let is_cni = facts.plugin().is_some() || facts.file.seen.kind == CopyKind::Configuration;
    let no_pod = format!("no pod can be created or deleted on node {}.", shown(node));
    match (is_cni, is_now) {
        (true, true) => format!("Until the file is written again, {no_pod}"),
        (true, false) => format!("Then {no_pod}"),
        (false, true) => "Whatever uses the file gets 401.".to_owned(),
        (false, false) => "Then whatever uses the file gets 401.".to_owned(),
    }
}

const SOME_REFUSE: &str = "Whatever uses the file gets 401 from an API server without the key.";
/// The plugin may be installed under another name: then all is well.
const UNKNOWN_POD: &str = "If that pod does not write the file, requests with the token act as \
                           another account, and are probably forbidden (403).";

fn uncertain(facts: &CopyFacts<'_>) -> String {
    let of = facts.plugin().map_or("whatever wrote it", Plugin::name);
    format!("No CNI configuration on the node names it, but {of} runs on the node and may use it.")
}

fn unused(facts: &CopyFacts<'_>) -> String {
    let of = facts.plugin().map_or("whatever wrote it", Plugin::name);
    match facts.file.seen.mention {
        Mention::OtherNamed => {
            format!("the CNI configurations on the node name another kubeconfig of {of}")
        }
        Mention::NotNamed if facts.plugin().is_none() => {
            "no CNI configuration on the node names it".to_owned()
        }
        Mention::NotNamed => format!("no CNI configuration on the node names it or {of}"),
        Mention::Configured | Mention::Named | Mention::Unknown => {
            format!("the node has no CNI configuration and no pod of {of}")
        }
    }
}

/// `pod kube-system/kube-multus-ds-x`, or the account of a token that is bound to no pod.
fn owner(claims: &Claims) -> String {
    match &claims.binding.pod {
        Some(ObjectRef { name, .. }) => {
            format!("pod {}/{}", shown(&claims.binding.namespace), shown(name))
        }
        None => format!("service account {}", account(claims)),
    }
}

fn account(claims: &Claims) -> String {
    let binding = &claims.binding;
    format!("{}/{}", shown(&binding.namespace), shown(&binding.service_account.name))
}

fn pod_name(pod: &PodRef) -> String {
    format!(": that is pod {}", shown(&pod.full_name()))
}

fn evidence(fault: CopyFault, facts: &CopyFacts<'_>) -> Attributes {
    let (seen, claims) = (&facts.file.seen, facts.claims());
    let writer = facts.writer.as_ref().filter(|_| fault != CopyFault::UnknownPod);
    let current = facts.source.and_then(|source| source.tracked.current.as_ref());
    let current = current.filter(|_| facts.replaced().is_some());
    Attributes::new()
        .with("reason", reason(fault))
        .with_some("plugin", facts.plugin().map(Plugin::name))
        .with("kind", seen.kind.name())
        .with("used_by", seen.mention.name())
        .with_some("user", facts.token.user.as_ref())
        .with_some("token_file", facts.token.token_file.as_ref())
        .with_some("key_id", claims.key.id.as_ref().filter(|_| fault == CopyFault::KeyUnknown))
        .with_some("key", key(facts.key))
        .with_some("signature", facts.token.signature.map(|seen| seen.result.name()))
        .with_some("pod", claims.binding.pod.as_ref().map(|_| owner(claims)))
        .with("bound_pod", facts.pod.name())
        .with("service_account", &claims.binding.service_account.name)
        .with_some("writer", writer.map(|pod| shown(&pod.full_name()).into_owned()))
        .with(GENERATION, claims.generation().as_str())
        .with_some(
            "current_generation",
            current.map(|of| of.claims.generation().as_str().to_owned()),
        )
        .with_some("replaced_at", replaced_at(facts))
        .with_some("written_at", seen.written_at)
        .with("issued_at", claims.issued_at)
        .with_some("warn_after", claims.warn_after)
        .with("expires_at", claims.expires_at)
        .with("node_time", facts.now.wall)
        .with("seconds_left", facts.refused_from() - facts.verifier)
}

/// What is known of its key, where an API server is asked.
fn key(key: CopyKey) -> Option<&'static str> {
    (key != CopyKey::NotJudged(NotJudged::NoAnswer)).then(|| key.text())
}

/// When kubelet replaced the token, where the agent knows it.
fn replaced_at(facts: &CopyFacts<'_>) -> Option<Wall> {
    match facts.replaced()? {
        Replaced::At(at) => Some(at),
        Replaced::Before(_) => None,
    }
}

fn reason(fault: CopyFault) -> &'static str {
    match fault {
        CopyFault::Expired => "expired",
        CopyFault::PodGone => "pod gone",
        CopyFault::Damaged => "damaged",
        CopyFault::KeyUnknown => "key unknown",
        CopyFault::OtherPod => "other pod",
        CopyFault::UnknownPod => "unknown pod",
        CopyFault::Behind => "behind",
        CopyFault::NotRenewed => "not renewed",
    }
}
