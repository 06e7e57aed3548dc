//! Findings about keys that an API server does not have, and about issuers.

use super::names::plural;
use crate::base::text::shown;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::cause::{KEY_IDS, PUBLISHED_ISSUER};
use crate::findings::{
    Code, Finding, IssuerSymptom, KeySymptom, MAX_NAMED, Remedy, Severity, Subject, TokenGroup,
};
use crate::world::keys::{KeyState, Keys};

/// The ids of the keys that the API server verifies with.
const PUBLISHED: &str = "kubectl get --raw /openid/v1/jwks | grep -o '\"kid\":\"[^\"]*\"'";
/// Most keys and issuers that the evidence names.
const MAX_KEYS: usize = 8;

/// The finding about tokens whose key an API server does not have.
pub(crate) fn key(node: &str, symptom: &KeySymptom, keys: &Keys, now: Wall) -> Finding {
    let summary = match symptom.state {
        KeyState::Suspected => suspected(node, symptom, now),
        KeyState::Split => split(node, symptom, now),
        KeyState::Missing => missing(node, symptom, now),
        KeyState::Unknown | KeyState::NotChecked | KeyState::Open | KeyState::Known => {
            unknown(node, symptom, now)
        }
    };
    Finding {
        code: Code::KeyUnknown,
        severity: symptom.severity(),
        subject: Subject::node(node),
        summary,
        deadline: None,
        evidence: evidence(symptom, keys),
        remedy: remedy(symptom.state),
        trace: None,
    }
}

fn unknown(node: &str, symptom: &KeySymptom, now: Wall) -> String {
    let of = &symptom.tokens;
    format!(
        "No API server that answers has the key of {} on node {}: each answers 401 to {}: {}.{}{}",
        tokens(of),
        shown(node),
        them(of),
        pods(of),
        newer(symptom),
        until(of, now),
    )
}

fn missing(node: &str, symptom: &KeySymptom, now: Wall) -> String {
    let of = &symptom.tokens;
    format!(
        "The last answers of the API server do not have the key of {} on node {}: an API server \
         without it answers 401 to {}: {}. Whether every API server lacks it will show within \
         minutes.{}",
        tokens(of),
        shown(node),
        them(of),
        pods(of),
        until(of, now),
    )
}

fn split(node: &str, symptom: &KeySymptom, now: Wall) -> String {
    let of = &symptom.tokens;
    format!(
        "Of the last answers of the API servers, some have the key of {} on node {} and some do \
         not. An API server without it answers 401 to {}: {}.{}",
        tokens(of),
        shown(node),
        them(of),
        pods(of),
        until(of, now),
    )
}

fn suspected(node: &str, symptom: &KeySymptom, now: Wall) -> String {
    let of = &symptom.tokens;
    let why = if symptom.has_newer { LIKELY } else { EITHER };
    format!(
        "The API server refuses the agent's own token (401), although it is within its lifetime. \
         The same key signed {} on node {}: {}. {why}{}",
        tokens(of),
        shown(node),
        pods(of),
        until(of, now),
    )
}

const LIKELY: &str = "A key that was not there before signs new tokens: most likely the signing \
                      key was replaced, and the old one was not kept.";
const EITHER: &str = "The API server does not have the key any more, or does not accept the issuer \
                      any more, or only the agent's own pod or service account was deleted: the \
                      agent cannot tell before it gets a new token.";

fn newer(symptom: &KeySymptom) -> &'static str {
    if symptom.has_newer {
        " Another key signs new tokens: the signing key was replaced, and the old one was not kept."
    } else {
        ""
    }
}

fn until(tokens: &TokenGroup, now: Wall) -> String {
    let at = tokens.last_due.rfc3339();
    match (tokens.last_due > now, tokens.count) {
        (true, 1) => format!(" kubelet replaces it when due, at {at}."),
        (true, _) => format!(" kubelet replaces them when due, the last one at {at}."),
        (false, 1) => format!(" It was due at {at}, and kubelet has not replaced it."),
        (false, _) => format!(" All were due by {at}, and kubelet has not replaced them."),
    }
}

fn tokens(tokens: &TokenGroup) -> String {
    plural(tokens.count as u64, "token")
}

fn them(tokens: &TokenGroup) -> &'static str {
    if tokens.count == 1 { "it" } else { "them" }
}

/// `shop/cart-0, shop/cart-1 and 7 other pods`
fn pods(tokens: &TokenGroup) -> String {
    let named: Vec<_> = tokens.pods.iter().take(3).map(|pod| shown(pod)).collect();
    match tokens.pods.len() - named.len() {
        0 => named.join(", "),
        others => format!("{} and {}", named.join(", "), plural(others as u64, "other pod")),
    }
}

fn evidence(symptom: &KeySymptom, keys: &Keys) -> Attributes {
    let published = keys.published().map(|set| set.ids.as_slice()).unwrap_or_default();
    let ids = firsts(symptom.key_ids.iter());
    group(&symptom.tokens)
        .with(KEY_IDS, ids.as_slice())
        .with("published_key_ids", firsts(published.iter()).as_slice())
        .with("state", name(symptom.state))
        .with("newer_key", symptom.has_newer)
}

fn group(tokens: &TokenGroup) -> Attributes {
    let named: Vec<String> = tokens.pods.iter().take(MAX_NAMED).cloned().collect();
    Attributes::new()
        .with("tokens", tokens.count)
        .with("pods", tokens.pods.len())
        .with("first", named.as_slice())
        .with("replaced_until", tokens.last_due)
}

fn firsts<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    all.take(MAX_KEYS).cloned().collect()
}

fn name(state: KeyState) -> &'static str {
    match state {
        KeyState::NotChecked => "not_checked",
        KeyState::Open => "open",
        KeyState::Known => "known",
        KeyState::Split => "some_api_servers",
        KeyState::Suspected => "own_token_refused",
        KeyState::Missing => "missing",
        KeyState::Unknown => "unknown",
    }
}

fn remedy(state: KeyState) -> Remedy {
    let text = match state {
        KeyState::Split => SAME_FILES,
        KeyState::Suspected => COMPARE,
        KeyState::Missing
        | KeyState::Unknown
        | KeyState::NotChecked
        | KeyState::Open
        | KeyState::Known => Code::KeyUnknown.info().action,
    };
    Remedy { text: text.to_owned(), command: Some(PUBLISHED.to_owned()) }
}

const SAME_FILES: &str = "Give every API server the same files in --service-account-key-file: the \
                          public key of each signing key in use. The command shows the keys of the \
                          API server that answers.";
const COMPARE: &str = "Compare the key ids: if key_ids of the evidence is not among those that the \
                       command shows, give the API servers the old public key again \
                       (--service-account-key-file can be given several times). Else compare \
                       --service-account-issuer with the issuer of the tokens, and check the \
                       service account of the agent.";

/// The finding about tokens whose issuer is not that of new tokens.
pub(crate) fn issuer(node: &str, symptom: &IssuerSymptom, now: Wall) -> Finding {
    let issuers = firsts(symptom.issuers.iter());
    Finding {
        code: Code::IssuerMismatch,
        severity: Severity::Info,
        subject: Subject::node(node),
        summary: issuer_summary(node, symptom, &issuers, now),
        deadline: None,
        evidence: group(&symptom.tokens)
            .with("issuers", issuers.as_slice())
            .with(PUBLISHED_ISSUER, &symptom.published),
        remedy: Remedy {
            text: Code::IssuerMismatch.info().action.to_owned(),
            command: Some("kubectl get --raw /.well-known/openid-configuration".to_owned()),
        },
        trace: None,
    }
}

fn issuer_summary(node: &str, symptom: &IssuerSymptom, issuers: &[String], now: Wall) -> String {
    let issuers: Vec<_> = issuers.iter().map(|issuer| shown(issuer)).collect();
    format!(
        "{} on node {} {} the issuer {}, and the API server writes {} into new ones. An API server \
         that does not list the old issuer any more answers 401 to {}, and so does a verifier \
         outside of the cluster: {}.{}",
        tokens(&symptom.tokens),
        shown(node),
        if symptom.tokens.count == 1 { "names" } else { "name" },
        issuers.join(", "),
        shown(&symptom.published),
        them(&symptom.tokens),
        pods(&symptom.tokens),
        until(&symptom.tokens, now),
    )
}
