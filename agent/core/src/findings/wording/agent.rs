//! Findings about the agent itself: what it cannot see, and what it cannot deliver.

use std::collections::BTreeSet;

use super::names::plural;
use super::{remedy, shares};
use crate::base::text::shown;
use crate::base::time::{Delta, Reading};
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, MAX_NAMED, Severity, Subject};
use crate::world::Crowded;
use crate::world::observation::{BlindSpot, DeliveryState};

/// Blind spots by kind. All of one kind have the same cause, so the first one gives the reason.
struct Spots<'a> {
    roots: Vec<&'a BlindSpot>,
    pods: Vec<&'a BlindSpot>,
    volumes: Vec<&'a BlindSpot>,
}

impl<'a> Spots<'a> {
    fn new(spots: &[&'a BlindSpot]) -> Self {
        let of =
            |is: fn(&BlindSpot) -> bool| spots.iter().copied().filter(|spot| is(spot)).collect();
        Self {
            roots: of(BlindSpot::is_root),
            pods: of(BlindSpot::is_pod),
            volumes: of(|spot| !spot.is_root() && !spot.is_pod()),
        }
    }

    /// Each kind that occurs, in words, with its reason.
    fn described(&self) -> impl Iterator<Item = (String, &'a str)> {
        let kinds = [
            (roots_named(&self.roots), self.roots.first()),
            (pods_counted(&self.pods), self.pods.first()),
            (volumes_counted(&self.volumes), self.volumes.first()),
        ];
        kinds.into_iter().filter_map(|(what, first)| Some((what, first?.reason.as_str())))
    }
}

/// The finding about what the agent cannot see: kubelet roots, pods and volumes; what sources that
/// stand still would read, each with when its read began; and what it does not follow of pods with
/// more than their share.
pub(crate) fn blind(
    node: &str,
    spots: &[&BlindSpot],
    still: &[(&str, Reading)],
    crowded: &Crowded,
) -> Option<Finding> {
    let unseen = (!spots.is_empty() || !still.is_empty()).then(|| unseen(node, spots, still));
    let parts = unseen.into_iter().chain(shares::beyond(node, crowded));
    let (summary, evidence) = parts.reduce(|(summary, evidence), (more, also)| {
        (format!("{summary} {more}"), evidence.and(also))
    })?;
    Some(finding(node, Code::AgentBlind, summary, evidence))
}

/// What the agent cannot see, with its evidence.
fn unseen(node: &str, spots: &[&BlindSpot], still: &[(&str, Reading)]) -> (String, Attributes) {
    let kinds = Spots::new(spots);
    let sentence = |(at, (what, reason)): (usize, (String, &str))| match at {
        0 => {
            format!("This agent cannot see {what} on node {}: {}.", shown(node), shown(reason))
        }
        _ => format!("It also cannot see {what}: {}.", shown(reason)),
    };
    let hidden = kinds.described().enumerate().map(sentence);
    let unwatched = (!spots.is_empty()).then(|| "It does not watch the tokens there.".to_owned());
    let sentences: Vec<String> =
        still_sentence(node, still).into_iter().chain(hidden).chain(unwatched).collect();
    let evidence = blind_evidence(spots, &kinds)
        .with_some("directory", spots.first().map(|first| first.directory.as_str()));
    (sentences.join(" "), with_still(evidence, still))
}

/// The sentence about sources that stand still. It claims nothing of what happened since.
fn still_sentence(node: &str, still: &[(&str, Reading)]) -> Option<String> {
    let since = still.iter().map(|(_, since)| since.wall).min()?;
    let what: Vec<&str> = still.iter().map(|(source, _)| read_by(source)).collect();
    Some(format!(
        "This agent cannot read {} on node {}: a read that began at {} has not returned, as on a \
         file system that hangs. What it reports of that is as old.",
        what.join(", "),
        shown(node),
        since.rfc3339()
    ))
}

/// What a source reads, in words.
fn read_by(source: &str) -> &str {
    match source {
        "files" => "the token files",
        "copies" => "the copies of tokens on the host",
        "readers" => "who reads tokens",
        "fanotify" => "which process opens a token",
        "processes" => "the processes of pods",
        other => other,
    }
}

fn with_still(evidence: Attributes, still: &[(&str, Reading)]) -> Attributes {
    let names: Vec<String> = still.iter().map(|(source, _)| (*source).to_owned()).collect();
    let since = still.iter().map(|(_, since)| since.wall).min();
    evidence
        .with_some("standing_still", (!names.is_empty()).then_some(names.as_slice()))
        .with_some("last_read", since)
}

fn blind_evidence(spots: &[&BlindSpot], kinds: &Spots<'_>) -> Attributes {
    let name = |spot: &&BlindSpot| format!("{}/{}", spot.pod_uid, spot.volume);
    let named: Vec<String> =
        spots.iter().filter(|spot| !spot.is_root()).take(MAX_NAMED).map(name).collect();
    let roots: Vec<String> = kinds.roots.iter().map(|spot| spot.directory.clone()).collect();
    Attributes::new()
        .with("volumes", kinds.volumes.len())
        .with("pods", distinct_pods(spots.iter().copied()))
        .with("first", named.as_slice())
        .with_some("roots", (!roots.is_empty()).then_some(roots.as_slice()))
}

/// `the kubelet root /a`, `the kubelet roots /a and /b`.
fn roots_named(spots: &[&BlindSpot]) -> String {
    let names: Vec<_> = spots.iter().map(|spot| shown(&spot.directory)).collect();
    format!("the kubelet root{} {}", if names.len() == 1 { "" } else { "s" }, names.join(" and "))
}

fn pods_counted(spots: &[&BlindSpot]) -> String {
    format!("any projected volume of {}", count(spots.len(), "pod"))
}

fn volumes_counted(spots: &[&BlindSpot]) -> String {
    let pods = distinct_pods(spots.iter().copied());
    format!("{} of {}", count(spots.len(), "projected volume"), count(pods, "pod"))
}

fn count(number: usize, thing: &str) -> String {
    plural(number as u64, thing)
}

fn distinct_pods<'a>(spots: impl IntoIterator<Item = &'a BlindSpot>) -> usize {
    let named = spots.into_iter().filter(|spot| !spot.is_root()).map(|spot| spot.pod_uid.as_str());
    named.collect::<BTreeSet<_>>().len()
}

/// The finding about alerts that the collector has not accepted for `waited`.
pub(crate) fn delivery(node: &str, state: &DeliveryState, waited: Delta) -> Finding {
    let why = state.last_error.as_deref().unwrap_or("no answer yet");
    let summary = format!(
        "{} of node {} could not be delivered for {waited}: the collector does not accept them \
         ({}).{}",
        plural(state.waiting, "alert"),
        shown(node),
        shown(why),
        lost(state)
    );
    finding(node, Code::DeliveryDelayed, summary, delivery_evidence(state))
}

fn delivery_evidence(state: &DeliveryState) -> Attributes {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Attributes::new()
        .with("waiting", count(state.waiting))
        .with_some("waiting_since", state.waiting_since.map(|since| since.wall))
        .with("given_up", count(state.given_up))
        .with("rejected", count(state.rejected))
        .with_some("last_error", state.last_error.as_deref())
}

fn lost(state: &DeliveryState) -> String {
    let given_up = ("was dropped, because the memory for alerts was full", state.given_up);
    let rejected = ("was rejected by the collector for good", state.rejected);
    let sentence = |(what, number): (&str, u64)| match number {
        0 => String::new(),
        1 => format!(" 1 alert {what}."),
        _ => format!(" {number} alerts {}.", what.replacen("was", "were", 1)),
    };
    [given_up, rejected].map(sentence).concat()
}

fn finding(node: &str, code: Code, summary: String, evidence: Attributes) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        subject: Subject::node(node),
        summary,
        deadline: None,
        evidence,
        remedy: remedy::of_agent(code),
        trace: None,
    }
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
            is_partly: false,
        }
    }

    #[test]
    fn each_kind_of_blind_spot_has_its_own_reason() {
        let root = |path| spot("*", "*", path, "its pods cannot be read");
        let pod = spot("a", "*", "/k/a", "no permission");
        let volume = |pod, name| spot(pod, name, "/k/v", "not mounted here");
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
                 It also cannot see any projected volume of 1 pod: no permission. \
                 It also cannot see 1 projected volume of 1 pod: not mounted here.",
            ),
        ];
        for (spots, expected) in table {
            assert_eq!(
                blind("n", &spots.iter().collect::<Vec<_>>(), &[], &Crowded::default())
                    .unwrap()
                    .summary,
                format!("{expected} It does not watch the tokens there.")
            );
        }
        assert_eq!(blind("n", &[], &[], &Crowded::default()), None);
    }

    #[test]
    fn a_root_is_not_counted_as_a_pod_or_volume() {
        let spots = [spot("*", "*", "/j", "r"), spot("b", "v", "/k/v", "s")];
        let evidence = blind("n", &spots.iter().collect::<Vec<_>>(), &[], &Crowded::default())
            .unwrap()
            .evidence;
        let get = |name| evidence.get(name).cloned();
        assert_eq!((get("pods"), get("volumes")), (Some(1_usize.into()), Some(1_usize.into())));
        assert_eq!(
            (get("first"), get("roots")),
            (Some(["b/v".to_owned()].as_slice().into()), Some(["/j".to_owned()].as_slice().into()))
        );
    }
}
