//! Findings about tokens that work, and should not be relied on.

use std::collections::BTreeSet;

use super::names::plural;
use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{
    Code, Finding, MAX_NAMED, PostureFault, PostureItem, PostureSymptom, Remedy, Severity, Subject,
};

/// Pods whose containers keep an old token, and what each reads.
const UPGRADE: &str = "tokenwatch report upgrade";
/// Every Secret that holds a token.
const SECRETS: &str = "kubectl get secrets -A --field-selector \
                       type=kubernetes.io/service-account-token \
                       -L kubernetes.io/legacy-token-last-used";

/// The finding about tokens of the node.
pub(crate) fn posture(node: &str, symptom: &PostureSymptom) -> Finding {
    let code = symptom.fault.code();
    Finding {
        code,
        severity: Severity::Info,
        subject: Subject::node(node),
        summary: summary(node, symptom),
        deadline: None,
        evidence: evidence(symptom),
        remedy: remedy(code, symptom),
        trace: None,
    }
}

fn summary(node: &str, symptom: &PostureSymptom) -> String {
    let (node, first) = (shown(node), first(&symptom.items));
    let tokens = plural(symptom.items.len() as u64, "token");
    let (is, them) = if symptom.items.len() == 1 { ("is", "it") } else { ("are", "them") };
    match symptom.fault {
        PostureFault::ExtendedOnly { from } => format!(
            "{tokens} on node {node} {is} held by clients that did not read the next one, and \
             works only because the API server extends its expiry: {first}. Without the extension \
             it would have refused the first one since {}.",
            from.rfc3339()
        ),
        PostureFault::Legacy => format!(
            "{tokens} on node {node} come from Secrets: they never expire, and whoever has a copy \
             can use {them} until the Secret is deleted: {first}."
        ),
        PostureFault::LifetimeLong { longest } => format!(
            "{tokens} on node {node} live for up to {longest}: whoever has a copy can use {them} \
             so long, as long as the pod exists. kubelet replaces them after a day: {first}."
        ),
    }
}

/// `shop/cart-0 (Secret cart-token of cart) and 2 others`
fn first(items: &BTreeSet<PostureItem>) -> String {
    let Some(one) = items.first() else { return String::new() };
    let named = format!("{} ({})", shown(&one.pod.full_name()), shown(&one.what));
    match items.len() - 1 {
        0 => named,
        others => format!("{named} and {}", plural(others as u64, "other")),
    }
}

fn evidence(symptom: &PostureSymptom) -> Attributes {
    let items = &symptom.items;
    let pods: BTreeSet<&str> = items.iter().map(|item| item.pod.uid.as_str()).collect();
    let named = |item: &PostureItem| {
        format!("{}, volume {}: {}", item.pod.full_name(), item.volume, item.what)
    };
    let first: Vec<String> = items.iter().take(MAX_NAMED).map(named).collect();
    Attributes::new()
        .with("tokens", items.len())
        .with("pods", pods.len())
        .with("first", first.as_slice())
}

fn remedy(code: Code, symptom: &PostureSymptom) -> Remedy {
    let command = match symptom.fault {
        PostureFault::ExtendedOnly { .. } => UPGRADE,
        PostureFault::Legacy => SECRETS,
        PostureFault::LifetimeLong { .. } => "tokenwatch report posture",
    };
    Remedy { text: code.info().action.to_owned(), command: Some(command.to_owned()) }
}
