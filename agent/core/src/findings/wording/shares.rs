//! What the agent does not follow, because a pod has more than its share: tokens that it does not
//! track, and volumes of which it does not see the readers.

use super::names::pod;
use crate::base::text::{count_of, shown};
use crate::base::value::Attributes;
use crate::findings::MAX_NAMED;
use crate::world::cluster::PodRef;
use crate::world::tokens::MAX_TOKENS;
use crate::world::{Crowded, Unknown};

/// A sentence for each kind of it, with its evidence.
pub(super) fn beyond(node: &str, crowded: &Crowded) -> Vec<(String, Attributes)> {
    let tokens = (crowded.count > 0).then(|| untracked(node, crowded));
    let files = (!crowded.partly.is_empty()).then(|| partly(node, &crowded.partly));
    let volumes = crowded.unwatched.iter().map(|(unknown, pods)| unwatched(node, *unknown, pods));
    tokens.into_iter().chain(files).chain(volumes).collect()
}

/// The tokens that the agent does not track.
fn untracked(node: &str, crowded: &Crowded) -> (String, Attributes) {
    let at_least = if crowded.is_more { "more than " } else { "" };
    let summary = format!(
        "The files that look like tokens on node {} are more than an agent follows ({MAX_TOKENS}, \
         fewer if they are large). It does not follow {at_least}{} of {}, which {} most of them.",
        shown(node),
        count_of(crowded.count, "file"),
        first_pod(&crowded.pods),
        have(&crowded.pods),
    );
    let evidence = Attributes::new()
        .with("untracked", crowded.count)
        .with("untracked_pods", crowded.pods.len())
        .with("untracked_first", first_named(&crowded.pods).as_slice());
    (summary, evidence)
}

/// The volumes of which only some files are followed.
fn partly(node: &str, pods: &[(PodRef, usize)]) -> (String, Attributes) {
    let volumes = sum(pods);
    let summary = format!(
        "Pods on node {} have more files in projected volumes, or deeper directories, than their \
         share of those that an agent follows. It follows only some files of {} of {}, which {} \
         most of them. What is called like a token comes first. A token among the others is not \
         judged.",
        shown(node),
        count_of(volumes, "volume"),
        first_pod(pods),
        have(pods)
    );
    let evidence = Attributes::new()
        .with("partly_followed", volumes)
        .with("partly_followed_pods", pods.len())
        .with("partly_followed_first", first_named(pods).as_slice());
    (summary, evidence)
}

fn sum(pods: &[(PodRef, usize)]) -> usize {
    pods.iter().fold(0, |sum, (_, volumes)| sum.saturating_add(*volumes))
}

/// The volumes that a source does not watch. Their tokens are read and judged as all others are.
fn unwatched(node: &str, unknown: Unknown, pods: &[(PodRef, usize)]) -> (String, Attributes) {
    let volumes = sum(pods);
    let of = format!(
        "{} of {}, which {} most of them",
        count_of(volumes, "volume"),
        first_pod(pods),
        have(pods)
    );
    let (unseen, [all, by_pod, first]) = match unknown {
        Unknown::Changes => {
            (unnoticed(node, &of), ["unnoticed", "unnoticed_pods", "unnoticed_first"])
        }
        Unknown::Opens => (
            unread(node, "whether and when anybody opens the tokens", &of),
            ["unwatched", "unwatched_pods", "unwatched_first"],
        ),
        Unknown::Processes => (
            unread(node, "which process opens the tokens", &of),
            ["unattributed", "unattributed_pods", "unattributed_first"],
        ),
        Unknown::Mounts => {
            (uninspected(node, &of), ["uninspected", "uninspected_pods", "uninspected_first"])
        }
    };
    let evidence = Attributes::new()
        .with(all, volumes)
        .with(by_pod, pods.len())
        .with(first, first_named(pods).as_slice());
    (format!("{unseen} It reads and judges these tokens nevertheless."), evidence)
}

fn unnoticed(node: &str, volumes: &str) -> String {
    format!(
        "Pods on node {} have more projected volumes than an agent watches of one pod. It sees a \
         change of the tokens in {volumes}, only when it rescans everything.",
        shown(node)
    )
}

fn uninspected(node: &str, volumes: &str) -> String {
    format!(
        "Pods on node {} have more projected volumes, containers or mounts than their share of \
         those that an agent looks at. It does not see whether every container has the current \
         tokens in {volumes}.",
        shown(node)
    )
}

fn unread(node: &str, unseen: &str, volumes: &str) -> String {
    format!(
        "The projected volumes on node {}, and the directories in them, are more than an agent \
         watches for readers. It does not see {unseen} of {volumes}.",
        shown(node)
    )
}

/// `pod shop/cart-0`, `pod shop/cart-0 and 2 other pods`.
fn first_pod(pods: &[(PodRef, usize)]) -> String {
    let first = pods.first().map(|(first, _)| pod(first)).unwrap_or_default();
    match pods.len() {
        0 | 1 => first,
        all => format!("{first} and {}", count_of(all - 1, "other pod")),
    }
}

fn have(pods: &[(PodRef, usize)]) -> &'static str {
    if pods.len() == 1 { "has" } else { "have" }
}

fn first_named(pods: &[(PodRef, usize)]) -> Vec<String> {
    let named = pods.iter().take(MAX_NAMED);
    named.map(|(of, count)| format!("{}: {count}", pod(of))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn named(name: &str) -> PodRef {
        let (namespace, name) = (Some("shop".into()), Some(name.into()));
        PodRef { namespace, name, ..PodRef::by_uid("u") }
    }

    fn only(unknown: Unknown, pods: Vec<(PodRef, usize)>) -> Crowded {
        Crowded { unwatched: BTreeMap::from([(unknown, pods)]), ..Crowded::default() }
    }

    #[test]
    fn what_is_not_seen_of_whose_volumes_is_stated_and_no_more() {
        let (hog, other) = ((named("hog"), 12), (PodRef::by_uid("u2"), 1));
        let table = [
            (
                only(Unknown::Opens, vec![hog.clone()]),
                "It does not see whether and when anybody opens the tokens of 12 volumes of pod \
                 shop/hog, which has most of them.",
            ),
            (
                only(Unknown::Opens, vec![hog, other.clone()]),
                "It does not see whether and when anybody opens the tokens of 13 volumes of pod \
                 shop/hog and 1 other pod, which have most of them.",
            ),
            (
                only(Unknown::Processes, vec![other]),
                "It does not see which process opens the tokens of 1 volume of pod UID u2, which \
                 has most of them.",
            ),
        ];
        for (crowded, expected) in table {
            let parts = beyond("n", &crowded);
            let [(summary, _)] = parts.as_slice() else { panic!("{parts:?}") };
            let all = format!(
                "The projected volumes on node n, and the directories in them, are more than an \
                 agent watches for readers. {expected} It reads and judges these tokens \
                 nevertheless."
            );
            assert_eq!(*summary, all);
        }
        assert_eq!(beyond("n", &Crowded::default()), []);
    }

    #[test]
    fn volumes_of_which_no_change_is_noticed_are_rescanned() {
        let parts = beyond("n", &only(Unknown::Changes, vec![(named("hog"), 12)]));
        let [(summary, _)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(
            summary,
            "Pods on node n have more projected volumes than an agent watches of one pod. It sees \
             a change of the tokens in 12 volumes of pod shop/hog, which has most of them, only \
             when it rescans everything. It reads and judges these tokens nevertheless."
        );
    }

    #[test]
    fn volumes_that_are_not_looked_at_in_every_container_are_stated() {
        let parts = beyond("n", &only(Unknown::Mounts, vec![(named("hog"), 3)]));
        let [(summary, evidence)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(
            summary,
            "Pods on node n have more projected volumes, containers or mounts than their share of \
             those that an agent looks at. It does not see whether every container has the \
             current tokens in 3 volumes of pod shop/hog, which has most of them. It reads and \
             judges these tokens nevertheless."
        );
        assert_eq!(evidence.get("uninspected"), Some(&3_usize.into()));
    }

    #[test]
    fn a_pod_with_too_many_files_is_named() {
        let crowded = Crowded { partly: vec![(named("hog"), 2)], ..Crowded::default() };
        let [(summary, evidence)] = beyond("n", &crowded).try_into().unwrap();
        assert!(summary.contains("only some files of 2 volumes of pod shop/hog"), "{summary}");
        assert_eq!(evidence.get("partly_followed"), Some(&2_usize.into()));
    }

    #[test]
    fn each_kind_has_evidence_of_its_own() {
        let mut crowded = only(Unknown::Opens, vec![(named("hog"), 12)]);
        crowded.unwatched.insert(Unknown::Processes, vec![(named("hog"), usize::MAX); 2]);
        (crowded.count, crowded.pods) = (3, vec![(named("hog"), 3)]);
        let parts = beyond("n", &crowded);
        let evidence = parts.into_iter().map(|(_, evidence)| evidence);
        let evidence = evidence.reduce(Attributes::and).unwrap_or_default();
        let get = |name: &str| evidence.get(name).cloned();
        let first = |count: usize| Some([format!("pod shop/hog: {count}")].as_slice().into());
        assert_eq!(get("untracked_first"), first(3));
        assert_eq!((get("unwatched"), get("unwatched_first")), (Some(12_usize.into()), first(12)));
        assert_eq!(get("unattributed_pods"), Some(2_usize.into()));
    }
}
