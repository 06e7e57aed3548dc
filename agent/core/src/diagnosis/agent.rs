//! What is wrong with the agent itself: what it cannot see, what it cannot deliver.

use std::collections::BTreeSet;

use crate::base::text::shown;
use crate::base::time::{Delta, Reading};
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, Remedy, Severity, Subject};
use crate::world::observation::{BlindSpot, DeliveryState};

/// A finding names this many pods and volumes; the count says how many there are.
const NAMED: usize = 10;

/// What the agent cannot see into: kubelet roots, pods, volumes. Each kind has its own reason, and
/// the first of a kind tells it.
pub fn blind(node: &str, spots: &[BlindSpot]) -> Option<Finding> {
    let first = spots.first()?;
    let of = |is: fn(&BlindSpot) -> bool| spots.iter().filter(|spot| is(spot)).collect::<Vec<_>>();
    let (roots, pods, volumes) = (
        of(BlindSpot::is_root),
        of(BlindSpot::is_pod),
        of(|spot| !spot.is_root() && !spot.is_pod()),
    );
    let kinds = [
        (roots_named(&roots), &roots),
        (pods_counted(&pods), &pods),
        (volumes_counted(&volumes), &volumes),
    ];
    let told = kinds.iter().filter_map(|(what, spots)| Some((what, &spots.first()?.reason)));
    let sentences: Vec<String> =
        told.enumerate().map(|(n, (what, reason))| sentence(node, n == 0, what, reason)).collect();
    let summary = format!("{} Tokens there are not watched.", sentences.join(" "));
    let named: Vec<String> =
        spots.iter().filter(|spot| !spot.is_root()).take(NAMED).map(named).collect();
    let evidence = Attributes::new()
        .with("volumes", volumes.len())
        .with("pods", distinct_pods(spots))
        .with("first", named.as_slice());
    let roots: Vec<String> = roots.iter().map(|spot| spot.directory.clone()).collect();
    let evidence = evidence.with_some("roots", (!roots.is_empty()).then_some(roots.as_slice()));
    Some(finding(node, Code::AgentBlind, summary, evidence.with("directory", &first.directory)))
}

fn sentence(node: &str, is_first: bool, what: &str, reason: &str) -> String {
    if is_first {
        return format!("This agent cannot see {what} on node {node}: {}.", shown(reason));
    }
    format!("Nor can it see {what}: {}.", shown(reason))
}

fn named(spot: &BlindSpot) -> String {
    format!("{}/{}", spot.pod_uid, spot.volume)
}

/// `the kubelet root /a`, `the kubelet roots /a and /b`.
fn roots_named(spots: &[&BlindSpot]) -> String {
    let names: Vec<_> = spots.iter().map(|spot| shown(&spot.directory)).collect();
    format!("the kubelet root{} {}", if names.len() == 1 { "" } else { "s" }, names.join(" and "))
}

fn pods_counted(spots: &[&BlindSpot]) -> String {
    format!("any projected volume of {}", plural(spots.len(), "pod"))
}

fn volumes_counted(spots: &[&BlindSpot]) -> String {
    let pods = distinct_pods(spots.iter().copied());
    format!("{} of {}", plural(spots.len(), "projected volume"), plural(pods, "pod"))
}

fn distinct_pods<'a>(spots: impl IntoIterator<Item = &'a BlindSpot>) -> usize {
    let named = spots.into_iter().filter(|spot| !spot.is_root()).map(|spot| spot.pod_uid.as_str());
    named.collect::<BTreeSet<_>>().len()
}

/// Alerts that no collector accepts.
pub fn delivery(node: &str, state: &DeliveryState, now: &Reading, limit: Delta) -> Option<Finding> {
    let since = state.waiting_since?;
    let waited = now.monotonic - since.monotonic;
    if waited < limit {
        return None;
    }
    let why = state.last_error.as_deref().unwrap_or("no answer yet");
    let summary = format!(
        "{} of node {node} could not be delivered for {waited}: the collector does not accept \
         them ({}).{}",
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
    let parts = [
        (state.given_up, "given up, because memory is bounded"),
        (state.rejected, "refused by it for good"),
    ];
    let said = |(count, what)| {
        if count > 0 { format!(" {} {what}.", plural_u64(count, "alert")) } else { String::new() }
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(pod: &str, volume: &str, directory: &str, reason: &str) -> BlindSpot {
        BlindSpot {
            pod_uid: pod.into(),
            volume: volume.into(),
            directory: directory.into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn each_kind_of_blindness_is_told_with_its_own_reason() {
        let root = |path| spot("*", "*", path, "its pods cannot be read");
        let (pod, volume) = (spot("a", "*", "/k/a", "no permission"), |pod, name| {
            spot(pod, name, "/k/v", "not mounted here")
        });
        let table = [
            (
                vec![root("/k")],
                "This agent cannot see the kubelet root /k on node n: its pods cannot be read.",
            ),
            (
                vec![root("/j"), root("/k")],
                "This agent cannot see the kubelet roots /j and /k on node n: its pods cannot be \
                 read.",
            ),
            (
                vec![pod.clone()],
                "This agent cannot see any projected volume of 1 pod on node n: no permission.",
            ),
            (
                vec![volume("b", "v"), volume("b", "w"), volume("c", "v")],
                "This agent cannot see 3 projected volumes of 2 pods on node n: not mounted here.",
            ),
            (
                vec![root("/j"), pod, volume("b", "v")],
                "This agent cannot see the kubelet root /j on node n: its pods cannot be read. \
                 Nor can it see any projected volume of 1 pod: no permission. Nor can it see 1 \
                 projected volume of 1 pod: not mounted here.",
            ),
        ];
        for (spots, told) in table {
            assert_eq!(
                blind("n", &spots).unwrap().summary,
                format!("{told} Tokens there are not watched.")
            );
        }
        assert_eq!(blind("n", &[]), None);
    }

    #[test]
    fn a_root_is_no_pod_and_no_volume() {
        let told =
            blind("n", &[spot("*", "*", "/j", "r"), spot("b", "v", "/k/v", "s")]).unwrap().evidence;
        let get = |name| told.get(name).cloned();
        assert_eq!((get("pods"), get("volumes")), (Some(1_usize.into()), Some(1_usize.into())));
        assert_eq!(
            (get("first"), get("roots")),
            (Some(["b/v".to_owned()].as_slice().into()), Some(["/j".to_owned()].as_slice().into()))
        );
    }
}
