//! Copies of tokens on the host.

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{CopyFault, CopySymptom, Finding, Severity, wording};
use crate::world::copies::{
    BoundPod, CopiedFile, CopiedToken, CopyFacts, GRACE, Owner, Plugin, Use,
};
use crate::world::keys::KeyState;
use crate::world::tokens::{Deadlines, KubeletPolicy, Replaced, SignatureResult};
use crate::world::{Config, World};

/// An extended copy is a warning from this long before it expires: time to plan a change of the
/// plugin on all nodes.
const FAR: Delta = Delta::from_secs(14 * 86_400);
/// Longest time before its end from which a copy is critical.
const URGENT: Delta = Delta::from_secs(3_600);

/// The diagnosis of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyDiagnosis {
    /// The path of the file.
    pub path: String,
    /// The finding about its worst token.
    pub finding: Option<Finding>,
    /// The generations in the file.
    pub generations: Vec<String>,
}

/// Diagnoses every file with copies at `now`. Nothing while the sources still look around.
pub fn copies(world: &World, config: &Config, now: &Reading) -> Vec<CopyDiagnosis> {
    if world.startup.tokens_ready_at(now).is_some() {
        return Vec::new();
    }
    world.copies.iter().map(|file| of(file, world, config, now)).collect()
}

fn of(file: &CopiedFile, world: &World, config: &Config, now: &Reading) -> CopyDiagnosis {
    let tokens = file.seen.tokens.iter();
    let facts = tokens.map(|token| world.copy_facts(file, token, now));
    let symptoms = facts.filter_map(|facts| symptom(&facts).map(|symptom| (symptom, facts)));
    // Of equal ones the first: `max_by_key` takes the last.
    let worst = symptoms.rev().max_by_key(|(symptom, _)| symptom.severity);
    let generation = |token: &CopiedToken| token.claims.generation().as_str().to_owned();
    CopyDiagnosis {
        path: file.seen.path.clone(),
        finding: worst.map(|(symptom, facts)| wording::copy(&config.node, symptom, &facts)),
        generations: file.seen.tokens.iter().map(generation).collect(),
    }
}

/// The symptom of one copied token. A file that nothing uses harms nobody.
fn symptom(facts: &CopyFacts<'_>) -> Option<CopySymptom> {
    let fault = fault(facts)?;
    let severity = match facts.usage() {
        Use::Used => severity(fault, facts),
        Use::Uncertain => severity(fault, facts).min(Severity::Warning),
        Use::Unused => Severity::Info,
    };
    Some(CopySymptom { fault, severity })
}

fn fault(facts: &CopyFacts<'_>) -> Option<CopyFault> {
    let faults = [
        (CopyFault::Expired, facts.verifier >= facts.refused_from()),
        (CopyFault::PodGone, is_gone(facts)),
        (CopyFault::Damaged, is_damaged(facts)),
        (CopyFault::KeyUnknown, lacks_key(facts)),
        (CopyFault::OtherPod, facts.owner == Owner::Other),
        (CopyFault::Behind, behind_from(facts).is_some_and(|from| facts.now.wall >= from)),
        (CopyFault::NotRenewed, old_from(facts).is_some_and(|from| facts.verifier >= from)),
        (CopyFault::UnknownPod, facts.owner == Owner::Unknown),
    ];
    faults.into_iter().find(|(_, is_so)| *is_so).map(|(fault, _)| fault)
}

/// Whether the signature proves that no API server accepts the copy, of whatever cluster.
fn is_damaged(facts: &CopyFacts<'_>) -> bool {
    facts.token.signature.is_some_and(|seen| seen.result == SignatureResult::Damaged)
}

/// Whether an API server lacks the key. That one refuses the agent's own token with the same key
/// may have another cause, and has a finding of its own.
fn lacks_key(facts: &CopyFacts<'_>) -> bool {
    match facts.key.state() {
        Some(KeyState::Split | KeyState::Missing | KeyState::Unknown) => true,
        Some(KeyState::NotChecked | KeyState::Open | KeyState::Known | KeyState::Suspected)
        | None => false,
    }
}

fn is_gone(facts: &CopyFacts<'_>) -> bool {
    match facts.pod {
        BoundPod::Gone { counts_from } => counts_from <= facts.now.monotonic,
        BoundPod::None | BoundPod::Exists | BoundPod::Unknown => false,
    }
}

/// From when on a copy of a generation that kubelet replaced counts as left behind, on the node's
/// clock. A healthy writer has replaced it by then.
fn behind_from(facts: &CopyFacts<'_>) -> Option<Wall> {
    match facts.replaced()? {
        Replaced::At(at) => Some(at + grace(facts)),
        // Its successor was replaced, too, or is old.
        Replaced::Before(at) => Some(at.min(facts.now.wall)),
    }
}

/// At most half of the time that kubelet leaves between a rotation and the end.
fn grace(facts: &CopyFacts<'_>) -> Delta {
    let deadlines = deadlines(facts);
    GRACE.min((deadlines.effective - deadlines.due).max(Delta::ZERO).fraction(1, 2))
}

fn deadlines(facts: &CopyFacts<'_>) -> Deadlines {
    Deadlines::of(facts.claims(), &KubeletPolicy::default())
}

/// From when on a copy is too old for one that somebody renews, on the API server's clock. Where
/// the agent sees the token in the pod's volume, that decides instead.
fn old_from(facts: &CopyFacts<'_>) -> Option<Wall> {
    let issued = facts.claims().issued_at;
    match facts.pod {
        BoundPod::None if facts.plugin() == Some(Plugin::Calico) => {
            // calico-node sleeps for a quarter to a half of the rest of the lifetime
            // (token_watch.go).
            Some(issued + facts.lifetime().fraction(52, 100))
        }
        BoundPod::None => {
            let rest = facts.lifetime().fraction(10, 100).min(FAR);
            Some(facts.claims().expires_at - rest)
        }
        BoundPod::Exists | BoundPod::Unknown | BoundPod::Gone { .. } => {
            let deadlines = deadlines(facts);
            facts.source.is_none().then_some(deadlines.due + grace(facts))
        }
    }
}

fn severity(fault: CopyFault, facts: &CopyFacts<'_>) -> Severity {
    let left = facts.refused_from() - facts.verifier;
    let is_extended = facts.claims().warn_after.is_some();
    match fault {
        CopyFault::Expired | CopyFault::PodGone | CopyFault::Damaged => Severity::Critical,
        // The other API servers may have it.
        CopyFault::KeyUnknown if facts.key.state() == Some(KeyState::Unknown) => Severity::Critical,
        CopyFault::KeyUnknown => Severity::Warning,
        CopyFault::OtherPod | CopyFault::Behind | CopyFault::NotRenewed
            if left <= urgent(facts) =>
        {
            Severity::Critical
        }
        CopyFault::Behind | CopyFault::NotRenewed if is_extended && left > FAR => Severity::Info,
        // The plugin may be installed under another name, and its pod is here.
        CopyFault::UnknownPod if facts.source.is_some() => Severity::Info,
        CopyFault::OtherPod | CopyFault::UnknownPod | CopyFault::Behind | CopyFault::NotRenewed => {
            Severity::Warning
        }
    }
}

fn urgent(facts: &CopyFacts<'_>) -> Delta {
    facts.lifetime().fraction(10, 100).min(URGENT)
}

/// When the diagnosis of any copy may change by the passing of time alone.
pub fn next(world: &World, now: &Reading) -> Option<Monotonic> {
    if let Some(ready) = world.startup.tokens_ready_at(now) {
        return world.copies.iter().next().map(|_| ready);
    }
    let tokens = world.copies.iter().flat_map(|file| {
        file.seen.tokens.iter().map(move |token| world.copy_facts(file, token, now))
    });
    tokens.filter_map(|facts| next_of(&facts)).min()
}

fn next_of(facts: &CopyFacts<'_>) -> Option<Monotonic> {
    let refused = facts.refused_from();
    let by_verifier = [Some(refused), Some(refused - urgent(facts)), Some(refused - FAR)];
    let by_verifier = by_verifier.into_iter().chain([old_from(facts)]).flatten();
    let until = |at: Wall, clock: Wall| (at > clock).then(|| facts.now.monotonic + (at - clock));
    let gone = match facts.pod {
        BoundPod::Gone { counts_from } => Some(counts_from),
        BoundPod::None | BoundPod::Exists | BoundPod::Unknown => None,
    };
    let behind = behind_from(facts).and_then(|from| until(from, facts.now.wall));
    let gone = gone.filter(|from| *from > facts.now.monotonic);
    let timed = by_verifier.filter_map(|at| until(at, facts.verifier));
    timed.chain(behind).chain(gone).min()
}

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
