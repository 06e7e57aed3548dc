//! When a diagnosis may change by the passing of time alone.

use super::token::{FUTURE_TOLERANCE, FUTURE_WARNING, HELD_UP, REMOVAL, URGENT};
use super::{absent, reader, subpath};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::cluster::PodStage;
use crate::world::tokens::{CACHE, Generation, LEEWAY};
use crate::world::{Conclusions, Config, Facts, World};

/// When the diagnosis of a token may change.
pub(super) fn for_token(
    facts: &Facts<'_>,
    readers: &Conclusions<'_>,
    now: &Reading,
) -> Option<Monotonic> {
    let trouble = facts.tracked.trouble.as_ref();
    let settled = trouble.map(|trouble| trouble.since.monotonic + facts.settle);
    let caught_up = facts.kubelet.catching_up.map(|step| step.until);
    let held_up = facts.kubelet.unsynced.map(|silence| now.monotonic + (HELD_UP - silence.age));
    let times = [settled, caught_up, removed(facts, now), facts.lost_from, held_up];
    let others = times
        .into_iter()
        .flatten()
        .chain(subpath::next(facts, now))
        .chain(reader::next(facts, readers, now));
    others.filter(|at| *at > now.monotonic).chain(deadline(facts, now)).min()
}

/// When kubelet should have removed the files of a pod that the API server does not know.
fn removed(facts: &Facts<'_>, now: &Reading) -> Option<Monotonic> {
    match facts.stage {
        PodStage::Deleted(deleted) => Some(now.monotonic + (REMOVAL - deleted.age)),
        PodStage::Unknown
        | PodStage::Active
        | PodStage::Terminating { .. }
        | PodStage::Ended(_) => None,
    }
}

/// The next deadline by the node's clock and, where they are known to differ, by true time.
fn deadline(facts: &Facts<'_>, now: &Reading) -> Option<Monotonic> {
    let generation = facts.generation()?;
    let clocks = [Some(now.wall), facts.claimed_time(now.wall)].into_iter().flatten();
    clocks
        .filter_map(|wall| Some(now.monotonic + (next_deadline(generation, wall, facts)? - wall)))
        .min()
}

fn next_deadline(generation: &Generation, now: Wall, facts: &Facts<'_>) -> Option<Wall> {
    let issued = generation.claims.issued_at;
    let effective = generation.deadlines.effective;
    // The effective deadline matters for itself only where the pod is terminating. Else it matters
    // only where the state changes with it.
    let terminating = facts
        .deletion()
        .map(|deletion| [effective, deletion, deletion + LEEWAY, deletion + LEEWAY + CACHE]);
    let early = [issued - FUTURE_TOLERANCE - facts.proven_bound(), issued - FUTURE_WARNING];
    // One nanosecond later, because the limits are exclusive.
    let urgent = effective - URGENT + Delta::from_nanos(1);
    let others = terminating.into_iter().flatten().chain(early).chain([urgent]);
    generation.deadlines.next_change(now).into_iter().chain(others).filter(|at| *at > now).min()
}

/// When the diagnosis of the node itself may change.
pub(super) fn for_node(world: &World, config: &Config, now: &Reading) -> Option<Monotonic> {
    let has_absent = world.absent.iter().next().is_some();
    let refusals = world.readers.refusals.next_change(now);
    let waits_for_tokens = has_absent || world.cluster.keys.has_answers() || refusals.is_some();
    let delayed = world
        .visibility
        .delivery
        .waiting_since
        .map(|since| since.monotonic + config.delivery_limit);
    let rest = [
        world.clock.next_change(now),
        refusals,
        delayed.filter(|at| *at > now.monotonic),
        world.startup.clock_ready_at(now),
        world.visibility.still_from(now),
        absent::boot_hold_end(now).filter(|_| has_absent),
        world.startup.tokens_ready_at(now).filter(|_| waits_for_tokens),
    ];
    rest.into_iter().flatten().min()
}
