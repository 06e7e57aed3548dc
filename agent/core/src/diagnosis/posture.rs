//! Tokens of the node that work, and should not be relied on: one symptom for each reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{PostureFault, PostureItem, PostureSymptom};
use crate::world::cluster::PodRef;
use crate::world::tokens::{LEEWAY, LegacyToken, TokenKey};
use crate::world::{Conclusions, Facts, Pinned, World};

/// The tokens that somebody holds past the time at which the API server would refuse them without
/// the extension of their expiry, each with that time.
#[derive(Debug, Default)]
pub(super) struct ExtendedTokens(BTreeMap<TokenKey, Wall>);

impl ExtendedTokens {
    /// Sets from when on the API server would refuse what is held of a token. Returns whether that
    /// changed.
    pub(super) fn set(&mut self, key: &TokenKey, from: Option<Wall>) -> bool {
        let before = match from {
            Some(from) => self.0.insert(key.clone(), from),
            None => self.0.remove(key),
        };
        before != from
    }

    /// When the next of these times comes.
    pub(super) fn next_change(&self, now: &Reading) -> Option<Monotonic> {
        let next = self.0.values().filter(|from| **from > now.wall).min()?;
        Some(now.monotonic + (*next - now.wall))
    }
}

/// From when on the API server would refuse what somebody holds of this token, without the
/// extension of its expiry; none if nobody certainly holds such a token.
pub(super) fn extended_until(facts: &Facts<'_>, readers: &Conclusions<'_>) -> Option<Wall> {
    let stale = readers.stale().filter(|stale| stale.is_confirmed());
    let stale = stale.and_then(|stale| stale.held.dead_without_extension);
    stale.into_iter().chain(pinned_until(facts)).min()
}

/// The same for a container that keeps the token of its start, by `subPath`.
fn pinned_until(facts: &Facts<'_>) -> Option<Wall> {
    let claims = &facts.generation()?.claims;
    let life = claims.warn_after? - claims.issued_at;
    let files = facts.pinned().into_iter().filter(Pinned::is_file);
    files.filter_map(|pinned| Some(pinned.started? + life + LEEWAY)).min()
}

/// The symptoms of the tokens of pods that have not ended.
pub(super) fn posture(
    world: &World,
    extended: &ExtendedTokens,
    now: &Reading,
) -> Vec<PostureSymptom> {
    if world.startup.tokens_ready_at(now).is_some() {
        return Vec::new();
    }
    let all = [of_extended(world, extended, now), legacy(world, now), long_lived(world, now)];
    all.into_iter().flatten().collect()
}

fn of_extended(world: &World, extended: &ExtendedTokens, now: &Reading) -> Option<PostureSymptom> {
    let held = extended.0.iter().filter(|(_, from)| **from <= now.wall);
    let from = held.clone().map(|(_, from)| *from).min()?;
    let item = |(key, from): (&TokenKey, &Wall)| {
        let what = format!("without extension refused since {}", from.rfc3339());
        Some(item(world, key, what))
    };
    symptom(PostureFault::ExtendedOnly { from }, held.filter_map(item))
}

fn legacy(world: &World, now: &Reading) -> Option<PostureSymptom> {
    let used = world.tokens.legacy.iter().filter(|one| world.is_used(&one.key, None, now));
    symptom(PostureFault::Legacy, used.map(|one| legacy_item(world, one)))
}

fn legacy_item(world: &World, one: &LegacyToken) -> PostureItem {
    let what = match &one.claims.secret {
        Some(secret) => format!("Secret {secret} of {}", one.claims.service_account),
        None => format!("of {}", one.claims.service_account),
    };
    PostureItem { pod: world.pod_of_legacy(one), volume: one.key.volume.clone(), what }
}

fn long_lived(world: &World, now: &Reading) -> Option<PostureSymptom> {
    let long = world.tokens.iter().filter_map(|one| {
        let (life, token) = (one.long_life()?, one.current.as_ref()?);
        let of = (token.claims.issued_at, token.seen);
        world.is_used(&one.key, Some(of), now).then_some((&one.key, life))
    });
    let lives: Vec<(&TokenKey, Delta)> = long.collect();
    let longest = lives.iter().map(|(_, life)| *life).max()?;
    let items = lives.into_iter().map(|(key, life)| item(world, key, format!("lives for {life}")));
    symptom(PostureFault::LifetimeLong { longest }, items)
}

fn item(world: &World, key: &TokenKey, what: String) -> PostureItem {
    let pod = world.tokens.get(key).map(|of| PodRef::of(of, world.cluster.pod(&key.pod_uid)));
    let unknown = || PodRef { uid: key.pod_uid.clone(), ..PodRef::default() };
    PostureItem { pod: pod.unwrap_or_else(unknown), volume: key.volume.clone(), what }
}

fn symptom(
    fault: PostureFault,
    items: impl Iterator<Item = PostureItem>,
) -> Option<PostureSymptom> {
    let items: BTreeSet<PostureItem> = items.collect();
    (!items.is_empty()).then_some(PostureSymptom { fault, items })
}
