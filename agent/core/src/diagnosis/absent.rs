//! Tokens that should be on this node and are not.

use std::collections::BTreeSet;

use crate::base::time::{Delta, Monotonic, Reading};
use crate::findings::{EmptyVolumes, Finding, Severity, wording};
use crate::world::tokens::{Absence, TokenKey};
use crate::world::{Absent, AbsentFacts, PodLife, World};

/// Time after the start of the machine in which kubelet sets up the volumes again. Until then the
/// API server still reports the pods from before the start as running.
const BOOT_HOLD: Delta = Delta::from_secs(300);

/// Time in which a pod that starts may have no token yet. kubelet tries for 2 min 3 s to set up the
/// volumes of a pod (podAttachAndMountTimeout in pkg/kubelet/volumemanager), reports that it could
/// not, and tries again: four times that, and a margin.
const START_HOLD: Delta = Delta::from_secs(600);

/// The diagnosis of an absent token.
#[derive(Clone, Debug, PartialEq)]
pub struct AbsentDiagnosis {
    /// Its findings; nothing while the agent cannot tell.
    pub findings: Option<Vec<Finding>>,
    /// When the diagnosis may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

impl AbsentDiagnosis {
    /// Of a token that is not absent, or that nothing needs.
    fn none() -> Self {
        Self { findings: Some(Vec::new()), next: None }
    }
}

/// Diagnoses the token at `key` at `now`, if it is absent.
pub fn absent(world: &World, key: &TokenKey, now: &Reading) -> AbsentDiagnosis {
    let facts = world.absent_facts(key, now);
    facts.map_or_else(AbsentDiagnosis::none, |facts| of(&facts, now))
}

fn of(facts: &AbsentFacts<'_>, now: &Reading) -> AbsentDiagnosis {
    let Some(severity) = severity(facts.absent.absence, facts.life) else {
        return AbsentDiagnosis::none();
    };
    let starts_until = starts_until(facts);
    if starts_until > now.monotonic {
        return AbsentDiagnosis { next: Some(starts_until), ..AbsentDiagnosis::none() };
    }
    let waits_until = settled_at(facts).max(booted_at(facts));
    if waits_until > now.monotonic {
        return AbsentDiagnosis { findings: None, next: Some(waits_until) };
    }
    let is_certain = facts.visible && is_confirmed(facts, now);
    let findings = is_certain.then(|| vec![wording::missing(facts, severity)]);
    AbsentDiagnosis { findings, next: None }
}

/// The severity by what the agent sees of the volume, and what it knows of the pod.
fn severity(absence: Absence, life: PodLife) -> Option<Severity> {
    match life {
        PodLife::Running => Some(Severity::Critical),
        PodLife::Waiting | PodLife::Starting => Some(Severity::Warning),
        // See `empty_volumes`.
        PodLife::Unknown => is_written(absence).then_some(Severity::Warning),
        PodLife::Ended => None,
    }
}

/// Whether kubelet has set up the volume once.
fn is_written(absence: Absence) -> bool {
    match absence {
        Absence::NoFile | Absence::Emptied => true,
        Absence::NotFound | Absence::EmptyVolume => false,
    }
}

/// Until when a pod that starts misses nothing: kubelet may not have set up the volume yet.
fn starts_until(facts: &AbsentFacts<'_>) -> Monotonic {
    match facts.life {
        PodLife::Starting if !is_written(facts.absent.absence) => {
            facts.absent.since.monotonic + START_HOLD
        }
        PodLife::Starting
        | PodLife::Running
        | PodLife::Waiting
        | PodLife::Ended
        | PodLife::Unknown => Monotonic::default(),
    }
}

/// When a missing file can no longer be one that is being replaced. Sources watch an empty volume
/// for some time before they report it.
fn settled_at(facts: &AbsentFacts<'_>) -> Monotonic {
    match facts.absent.absence {
        Absence::NotFound | Absence::NoFile => facts.absent.since.monotonic + facts.settle,
        Absence::EmptyVolume | Absence::Emptied => facts.absent.since.monotonic,
    }
}

/// When kubelet has set up the volumes again after the machine started. `Monotonic` counts from
/// that start.
fn booted_at(facts: &AbsentFacts<'_>) -> Monotonic {
    let is_new = match facts.absent.absence {
        Absence::NotFound | Absence::EmptyVolume => facts.absent.last.is_none(),
        Absence::NoFile | Absence::Emptied => false,
    };
    if is_new { Monotonic::default() + BOOT_HOLD } else { Monotonic::default() }
}

/// Whether the API server reported the pod as running after the token was gone. A pod that ended
/// while the API server could not be reached has no volumes any more.
fn is_confirmed(facts: &AbsentFacts<'_>, now: &Reading) -> bool {
    let Some(known) = facts.known else { return true };
    let reported = now.monotonic - known.age.unwrap_or(Delta::ZERO);
    match facts.absent.absence {
        Absence::NotFound | Absence::EmptyVolume => {
            reported - facts.absent.since.monotonic >= facts.settle
        }
        Absence::NoFile | Absence::Emptied => true,
    }
}

/// The empty volumes of pods about which nobody can be asked: kubelet cannot set them up, or has
/// left them behind.
pub(super) fn empty_volumes(world: &World, now: &Reading) -> Option<EmptyVolumes> {
    let keys: Vec<TokenKey> =
        world.absent.iter().filter(|absent| is_orphan(world, absent, now)).map(key).collect();
    let pods = keys.iter().map(|key| key.pod_uid.as_str()).collect::<BTreeSet<_>>().len();
    let since = world.absent.iter().map(|absent| absent.since.wall).min()?;
    let is_ready = boot_hold_end(now).is_none() && world.startup.tokens_ready_at(now).is_none();
    let no_token = world.tokens.iter().next().is_none();
    (is_ready && pods > 0).then_some(EmptyVolumes { keys, pods, since, no_token })
}

fn is_orphan(world: &World, absent: &Absent, now: &Reading) -> bool {
    absent.absence == Absence::EmptyVolume
        && world
            .absent_facts(&absent.key, now)
            .is_some_and(|facts| facts.visible && facts.life == PodLife::Unknown)
}

fn key(absent: &Absent) -> TokenKey {
    absent.key.clone()
}

/// When kubelet has set up the volumes again after the machine started, if that is in the future.
pub(super) fn boot_hold_end(now: &Reading) -> Option<Monotonic> {
    let end = Monotonic::default() + BOOT_HOLD;
    (now.monotonic < end).then_some(end)
}

#[cfg(test)]
#[path = "absent_tests.rs"]
mod tests;
