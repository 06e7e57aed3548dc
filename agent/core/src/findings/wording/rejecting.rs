//! The finding about requests that the API servers on this node refuse.

use super::names::plural;
use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, MAX_NAMED, RejectingSymptom, Remedy, Subject};
use crate::world::refusals::{Foresight, Match, RefusalReason, RefusedFacts, RefusedPod};

/// Most pods that the sentence names.
const MAX_SHOWN: usize = 3;
/// What the log of the API server has of each refused request.
const LOGGED: &str = "grep -h 'Unable to authenticate the request' \
                      /var/log/pods/kube-system_kube-apiserver-*/*/*.log | tail";

/// The finding that requests are refused.
pub(crate) fn rejecting(node: &str, symptom: &RejectingSymptom) -> Finding {
    Finding {
        code: Code::ApiserverRejecting,
        severity: symptom.severity,
        subject: Subject::node(node),
        summary: summary(node, &symptom.facts),
        deadline: None,
        evidence: evidence(&symptom.facts),
        remedy: remedy(),
        trace: None,
    }
}

fn remedy() -> Remedy {
    let text = Code::ApiserverRejecting.info().action.to_owned();
    Remedy { text, command: Some(LOGGED.to_owned()) }
}

fn summary(node: &str, facts: &RefusedFacts) -> String {
    let who = [pods(facts), of_nodes(facts), missed(facts), of_accounts(facts)];
    let others = who.into_iter().chain([reasonless(facts), rest(facts)]);
    let parts = [requests(node, facts)].into_iter().chain(others.flatten());
    parts.collect::<Vec<_>>().join(" ")
}

fn requests(node: &str, facts: &RefusedFacts) -> String {
    let reasons = by_count(&facts.reasons).into_iter();
    let reasons: Vec<String> =
        reasons.map(|(reason, count)| format!("{count} {}", because(reason))).collect();
    let begin = if reasons.is_empty() { "" } else { ": " };
    format!(
        "The API server on node {} refused {} (401) within the last 10 minutes{begin}{}.",
        shown(node),
        plural(facts.requests, "request"),
        reasons.join(", "),
    )
}

/// The most frequent first.
fn by_count(reasons: &[(RefusalReason, u64)]) -> Vec<(RefusalReason, u64)> {
    let mut sorted = reasons.to_vec();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted
}

fn because(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Expired => "because the token has expired",
        RefusalReason::NotYetValid => "because the token is not valid yet",
        RefusalReason::Invalidated => "because the pod of the token was deleted",
        RefusalReason::ObjectReplaced => "because the pod of the token was replaced",
        RefusalReason::AccountDeleted => "because the service account was deleted",
        RefusalReason::AccountReplaced => "because the service account was replaced",
        RefusalReason::Audience => "because of the token's audience",
        RefusalReason::Issuer => "because of the token's issuer",
        RefusalReason::Signature => "because of the token's key or signature",
        RefusalReason::Certificate => "because of a client certificate",
        RefusalReason::Other => "for another reason",
    }
}

fn pods(facts: &RefusedFacts) -> Option<String> {
    let proven = listed(facts.named().filter(|pod| pod.is_proven()));
    let others = listed(facts.named().filter(|pod| !pod.is_proven()));
    let proven = proven.map(|pods| format!("Behind them: {pods}."));
    let others = others.map(|pods| {
        format!("Perhaps behind them, or another client with the same address: {pods}.")
    });
    let both: Vec<String> = proven.into_iter().chain(others).collect();
    (!both.is_empty()).then(|| both.join(" "))
}

fn listed<'a>(pods: impl Iterator<Item = &'a RefusedPod>) -> Option<String> {
    let named: Vec<&RefusedPod> = pods.collect();
    let others = named.len().saturating_sub(MAX_SHOWN);
    let shown: Vec<String> = named.into_iter().take(MAX_SHOWN).map(pod).collect();
    let more = match others {
        0 => String::new(),
        others => format!(" and {}", plural(others as u64, "other pod")),
    };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

/// `pod shop/cart-0 (12, the only user of its address)`
fn pod(of: &RefusedPod) -> String {
    let by = match of.by {
        Match::Log => "named in the log",
        Match::Credential => "the only user of its address, with a token of this node",
        Match::Address => "the only user of its address",
        Match::Api => "the only pod with its address",
    };
    let old =
        if of.was_replaced { ", last seen with a token that kubelet has replaced" } else { "" };
    let why = joined(of).unwrap_or_default();
    format!("{} ({}, {by}{old}{why})", shown(&of.pod.full_name()), of.count)
}

/// `; by the times in both logs, 9 because the token has expired`
fn joined(of: &RefusedPod) -> Option<String> {
    let reasons = by_count(&of.reasons).into_iter();
    let reasons: Vec<String> =
        reasons.map(|(reason, count)| format!("{count} {}", because(reason))).collect();
    let text = || format!("; by the times in both logs, {}", reasons.join(", "));
    (!reasons.is_empty()).then(text)
}

/// The nodes behind others of them.
fn of_nodes(facts: &RefusedFacts) -> Option<String> {
    let nodes: Vec<String> =
        facts.nodes.iter().take(MAX_SHOWN).map(|(node, count)| node_with(node, *count)).collect();
    let text = || format!("From processes on the network of these nodes: {}.", nodes.join(", "));
    (!nodes.is_empty()).then(text)
}

fn node_with(node: &str, count: u64) -> String {
    format!("{} ({count})", shown(node))
}

/// The requests of pods whose reason is not known.
fn reasonless(facts: &RefusedFacts) -> Option<String> {
    let why = without_reason_because(facts)?;
    Some(format!("Why {} of these pods were refused is not known: {why}.", facts.without_reason))
}

fn without_reason_because(facts: &RefusedFacts) -> Option<&'static str> {
    match (facts.without_reason, facts.reasons.is_empty()) {
        (0, _) => None,
        (_, true) => Some("the agent sees no reason in a log of the API server"),
        (_, false) => Some(
            "other requests were refused at the same moment, or one of the two logs lacks them",
        ),
    }
}

fn missed(facts: &RefusedFacts) -> Option<String> {
    let missed = missed_pods(facts);
    (!missed.is_empty()).then(|| {
        format!(
            "No finding had named {} before: tokenwatch missed this.",
            missed.iter().take(MAX_SHOWN).map(|pod| shown(pod)).collect::<Vec<_>>().join(", ")
        )
    })
}

fn missed_pods(facts: &RefusedFacts) -> Vec<String> {
    let missed = facts.named().filter(|pod| pod.foresight == Some(Foresight::Missed));
    missed.map(|pod| pod.pod.full_name()).collect()
}

/// Those of which no pod is known, and why.
fn rest(facts: &RefusedFacts) -> Option<String> {
    let why = unknown_because(facts)?;
    let count = facts.unknown.saturating_add(facts.shared);
    Some(format!("Who sent {count} of them is not known: {why}."))
}

/// The service accounts of which no pod is known.
fn of_accounts(facts: &RefusedFacts) -> Option<String> {
    let accounts: Vec<String> = accounts(facts).take(MAX_SHOWN).collect();
    let named = || format!("Service accounts without a known pod: {}.", accounts.join(", "));
    (!accounts.is_empty()).then(named)
}

/// Why nobody is known behind some of the requests; none if somebody is behind all.
fn unknown_because(facts: &RefusedFacts) -> Option<&'static str> {
    match (facts.unknown, facts.shared, facts.has_audit) {
        (0, 0, _) => None,
        (_, _, false) => Some(
            "the API server's log has no sender, and no audit event showed who uses which address",
        ),
        (0, _, true) => Some("several users share the address"),
        (_, _, true) => Some(
            "no request of a service account was accepted from the same address within the last \
             hour, or the audit policy leaves them out",
        ),
    }
}

fn accounts(facts: &RefusedFacts) -> impl Iterator<Item = String> {
    facts.accounts.iter().map(|(account, count)| {
        format!("{}/{}: {count}", shown(&account.namespace), shown(&account.name))
    })
}

fn evidence(facts: &RefusedFacts) -> Attributes {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let accounts: Vec<String> = accounts(facts).take(MAX_NAMED).collect();
    let missed: Vec<String> = missed_pods(facts).into_iter().take(MAX_NAMED).collect();
    Attributes::new()
        .with("requests", count(facts.requests))
        .with("reasons", reasons(facts).as_slice())
        .with("pods", facts.named().count())
        .with("first", first(facts).as_slice())
        .and(joined_evidence(facts))
        .with("missed", missed.as_slice())
        .with("accounts", accounts.as_slice())
        .with("not_known", count(facts.unknown.saturating_add(facts.shared)))
        .with_some("not_known_because", unknown_because(facts))
}

/// `expired: 12`
fn reasons(facts: &RefusedFacts) -> Vec<String> {
    let by_count = by_count(&facts.reasons).into_iter();
    by_count.map(|(reason, count)| format!("{}: {count}", reason.name())).collect()
}

/// `shop/cart-0: 12 (address)`
fn first(facts: &RefusedFacts) -> Vec<String> {
    let text =
        |pod: &RefusedPod| format!("{}: {} ({})", pod.pod.full_name(), pod.count, pod.by.name());
    facts.named().take(MAX_NAMED).map(text).collect()
}

/// What both logs and the API server tell together.
fn joined_evidence(facts: &RefusedFacts) -> Attributes {
    let without_reason = i64::try_from(facts.without_reason).unwrap_or(i64::MAX);
    Attributes::new()
        .with("first_reasons", first_reasons(facts).as_slice())
        .with("without_reason", without_reason)
        .with_some("without_reason_because", without_reason_because(facts))
        .with("nodes", nodes(facts).as_slice())
}

/// `n2 (7)`
fn nodes(facts: &RefusedFacts) -> Vec<String> {
    facts.nodes.iter().take(MAX_NAMED).map(|(node, count)| node_with(node, *count)).collect()
}

/// `shop/cart-0: expired 9`
fn first_reasons(facts: &RefusedFacts) -> Vec<String> {
    let of_pod = |pod: &RefusedPod| {
        let name = pod.pod.full_name();
        let reasons = by_count(&pod.reasons).into_iter();
        reasons.map(move |(reason, count)| format!("{name}: {} {count}", reason.name()))
    };
    facts.named().flat_map(of_pod).take(MAX_NAMED).collect()
}
