//! The findings about readers and mounts that keep a token which kubelet has replaced.

use super::parts::{Parts, identity};
use super::{mount_frozen, reader, remedy};
use crate::base::time::Reading;
use crate::findings::{TokenFault, TokenSymptom};
use crate::world::readers::{FrozenMount, StaleReader};
use crate::world::{Conclusions, Facts};

/// The texts of such a finding; none if the symptom is another one.
pub(super) fn parts(
    symptom: TokenSymptom,
    facts: &Facts<'_>,
    readers: &Conclusions<'_>,
    now: &Reading,
) -> Option<Parts> {
    if symptom.fault == TokenFault::ReaderStale {
        return Some(of_reader(symptom, readers.stale()?, facts, now));
    }
    let frozen = facts.frozen_mount().filter(|_| symptom.fault == TokenFault::MountFrozen)?;
    Some(of_mount(symptom, &frozen, facts, now))
}

fn of_reader(
    symptom: TokenSymptom,
    stale: &StaleReader,
    facts: &Facts<'_>,
    now: &Reading,
) -> Parts {
    let (pod, key) = (facts.pod_ref(), &facts.tracked.key);
    let restart = remedy::renew_pods(&pod);
    Parts {
        summary: reader::summary(&pod, key, stale, now.wall),
        deadline: Some(stale.held.dead_at),
        evidence: identity(facts).and(reader::evidence(stale)),
        remedy: reader::remedy(stale, symptom.severity, restart),
    }
}

fn of_mount(
    symptom: TokenSymptom,
    frozen: &FrozenMount,
    facts: &Facts<'_>,
    now: &Reading,
) -> Parts {
    let (pod, key) = (facts.pod_ref(), &facts.tracked.key);
    Parts {
        summary: mount_frozen::summary(&pod, key, frozen, now.wall),
        deadline: Some(frozen.held.dead_at),
        evidence: identity(facts).and(mount_frozen::evidence(frozen)),
        remedy: remedy::of_token(symptom, &pod, facts.generation(), None),
    }
}
