//! What is wrong with the agent itself: what it cannot see, what it cannot deliver.

use std::collections::BTreeSet;

use crate::findings::{Code, Finding, Remedy, Severity, Subject};
use crate::observation::{BlindSpot, DeliveryState};
use crate::text::shown;
use crate::time::{Delta, Reading};
use crate::value::Attributes;

/// A finding names this many volumes; the count says how many there are.
const NAMED: usize = 10;

/// Volumes that the agent cannot see into.
pub fn blind(node: &str, spots: &[BlindSpot]) -> Option<Finding> {
    let first = spots.first()?;
    let pods: BTreeSet<&str> = spots.iter().map(|spot| spot.pod_uid.as_str()).collect();
    let named: Vec<String> = spots.iter().take(NAMED).map(|spot| format!("{}/{}", spot.pod_uid, spot.volume)).collect();
    let summary = format!(
        "This agent cannot see {} of {} on node {node}: {}. Their tokens are not watched.",
        plural(spots.len(), "projected volume"),
        plural(pods.len(), "pod"),
        shown(&first.reason)
    );
    let evidence = Attributes::new().with("volumes", spots.len()).with("pods", pods.len()).with("first", named.as_slice());
    Some(finding(node, Code::AgentBlind, summary, evidence.with("directory", &first.directory)))
}

/// Alerts that no collector accepts.
pub fn delivery(node: &str, state: &DeliveryState, now: &Reading, limit: Delta) -> Option<Finding> {
    let since = state.waiting_since?;
    let waited = now.boot - since.boot;
    if waited < limit {
        return None;
    }
    let why = state.last_error.as_deref().unwrap_or("no answer yet");
    let summary = format!(
        "{} of node {node} could not be delivered for {waited}: the collector does not accept them ({}).{}",
        plural_u64(state.waiting, "alert"),
        shown(why),
        lost(state)
    );
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let evidence = Attributes::new()
        .with("waiting", count(state.waiting))
        .with("waiting_since", since.wall)
        .with("given_up", count(state.given_up))
        .with("rejected", count(state.rejected))
        .with_some("last_error", state.last_error.as_deref());
    let mut finding = finding(node, Code::DeliveryDelayed, summary, evidence);
    finding.remedy.command = Some("tokenwatch config".to_owned()); // says where alerts go, and by whose word
    Some(finding)
}

fn lost(state: &DeliveryState) -> String {
    let parts = [(state.given_up, "given up, because memory is bounded"), (state.rejected, "refused by it for good")];
    let said = |(count, what)| if count > 0 { format!(" {} {what}.", plural_u64(count, "alert")) } else { String::new() };
    parts.map(said).concat()
}

fn finding(node: &str, code: Code, summary: String, evidence: Attributes) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        subject: Subject::node(node),
        summary,
        deadline: None,
        evidence,
        remedy: Remedy { text: code.info().action.to_owned(), command: None },
        trace: None,
    }
}

fn plural(n: usize, thing: &str) -> String {
    plural_u64(n as u64, thing)
}

fn plural_u64(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}
