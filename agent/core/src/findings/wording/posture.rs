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
    let (of, first) = (Counted::of(symptom, node), first(&symptom.items));
    match symptom.fault {
        PostureFault::ExtendedOnly { from } => format!(
            "{} held by clients that did not read the next one, and {} only because the API \
             server extends the expiry: {first}. Without the extension it would have refused the \
             first one since {}.",
            of.verb("is", "are"),
            of.word("works", "work"),
            from.rfc3339()
        ),
        PostureFault::Legacy => format!(
            "{} from a Secret: {} no expiry, and whoever has a copy can use it until the Secret \
             is deleted: {first}.",
            of.verb("comes", "come"),
            of.word("it has", "they have"),
        ),
        PostureFault::LifetimeLong { longest } => format!(
            "{} for up to {longest}: whoever has a copy can use it so long, as long as the pod \
             exists. kubelet replaces a token after a day at the latest: {first}.",
            of.verb("lives", "live")
        ),
    }
}

/// A number of tokens of a node, for sentences about one or several.
struct Counted {
    tokens: String,
    is_one: bool,
}

impl Counted {
    fn of(symptom: &PostureSymptom, node: &str) -> Self {
        let count = symptom.items.len();
        let tokens = format!("{} on node {}", plural(count as u64, "token"), shown(node));
        Self { tokens, is_one: count == 1 }
    }

    fn word<'a>(&self, one: &'a str, several: &'a str) -> &'a str {
        if self.is_one { one } else { several }
    }

    /// `2 tokens on node n1 come`
    fn verb(&self, one: &str, several: &str) -> String {
        format!("{} {}", self.tokens, self.word(one, several))
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
