//! Findings about tokens that are missing: of one pod, or of the node.

use super::names::{self, plural};
use super::remedy;
use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{Code, EmptyVolumes, Finding, Severity, Subject};
use crate::world::cluster::Known;
use crate::world::tokens::Absence;
use crate::world::{AbsentFacts, PodLife};

/// Most volumes that the evidence names. The counts in it are complete.
const MAX_NAMED: usize = 10;

/// The finding about one absent token.
pub(crate) fn missing(facts: &AbsentFacts<'_>, severity: Severity) -> Finding {
    let pod = facts.pod_ref();
    let key = &facts.absent.key;
    Finding {
        code: Code::Missing,
        severity,
        summary: summary(facts),
        deadline: facts.absent.last,
        evidence: evidence(facts),
        remedy: remedy::of_missing(&pod),
        trace: None,
        subject: Subject::token(key, pod),
    }
}

fn summary(facts: &AbsentFacts<'_>) -> String {
    let key = &facts.absent.key;
    let token = names::token(&facts.pod_ref(), &key.volume, &key.path);
    let [why, effect, last] = [reason(facts.absent.absence), effect(facts.life), &last(facts)];
    format!("{token} is missing: {why}.{effect}{last}")
}

fn reason(absence: Absence) -> &'static str {
    match absence {
        Absence::NotFound => {
            "the pod's spec has a service-account token there, and the agent finds none"
        }
        Absence::NoFile => "kubelet has written the volume, and the file is not in it",
        Absence::EmptyVolume => "the volume is empty, and kubelet does not set it up",
        Absence::Emptied => {
            "the volume held it and is empty now; something unmounted or emptied it, and kubelet \
             did not remove it"
        }
    }
}

fn effect(life: PodLife) -> &'static str {
    match life {
        PodLife::Running => " The pod runs.",
        PodLife::Waiting => " The container that needs it does not run.",
        PodLife::Starting => " The pod has not started.",
        PodLife::Ended => "",
        PodLife::Unknown => " The agent does not know whether the pod runs.",
    }
}

fn last(facts: &AbsentFacts<'_>) -> String {
    let last = facts.absent.last.map(|at| {
        format!(
            " A running container may still have the last one, which kubelet no longer renews; \
                 it expires at {}.",
            at.rfc3339()
        )
    });
    last.unwrap_or_default()
}

fn evidence(facts: &AbsentFacts<'_>) -> Attributes {
    let of_pod = |known: Known<'_>| {
        known.pod.evidence(&facts.absent.key.volume).with_some("cluster_age", known.age)
    };
    Attributes::new()
        .with("reason", reason(facts.absent.absence))
        .with("since", facts.absent.since.wall)
        .with_some("last_deadline", facts.absent.last)
        .and(facts.known.map(of_pod).unwrap_or_default())
}

/// The finding about the empty volumes of pods about which nobody can be asked.
pub(crate) fn empty_volumes(node: &str, empty: &EmptyVolumes) -> Finding {
    let name = |key: &crate::world::tokens::TokenKey| format!("{}/{}", key.pod_uid, key.volume);
    let named: Vec<String> = empty.keys.iter().take(MAX_NAMED).map(name).collect();
    Finding {
        code: Code::Missing,
        severity: empty.severity(),
        subject: Subject::node(node),
        summary: of_node(node, empty),
        deadline: None,
        evidence: Attributes::new()
            .with("volumes", empty.keys.len())
            .with("pods", empty.pods)
            .with("first", named.as_slice())
            .with("since", empty.since),
        remedy: remedy::of_empty_volumes(),
        trace: None,
    }
}

fn of_node(node: &str, empty: &EmptyVolumes) -> String {
    let count = |number: usize, thing| plural(number as u64, thing);
    let volumes = count(empty.keys.len(), "token volume");
    let pods = count(empty.pods, "pod");
    let node = shown(node);
    if empty.no_token {
        format!(
            "No pod on node {node} has a token: {volumes} of {pods} stay empty, and kubelet does \
             not set them up. Such pods do not start. If the machine was restarted, kubelet may \
             not reach the API server."
        )
    } else {
        format!(
            "On node {node}, {volumes} of {pods} stay empty while other pods have tokens. kubelet \
             cannot set them up, or has left them behind."
        )
    }
}
