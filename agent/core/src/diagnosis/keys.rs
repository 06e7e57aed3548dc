//! The symptoms of keys and issuers: one for all tokens of the node that share a cause.

use std::collections::BTreeSet;

use crate::base::time::{Reading, Wall};
use crate::findings::{IssuerSymptom, KeySymptom, TokenGroup};
use crate::world::World;
use crate::world::cluster::{PodRef, PodStage};
use crate::world::keys::KeyState;
use crate::world::tokens::{Claims, Tracked};

/// What the keys of the API servers show.
#[derive(Debug, Default)]
pub(super) struct KeysDiagnosis {
    /// Tokens whose key an API server does not have.
    pub(super) unknown: Option<KeySymptom>,
    /// Tokens whose issuer is not that of new tokens.
    pub(super) issuer: Option<IssuerSymptom>,
    /// Whether nothing is left open: no token waits for an answer. None: no API server is asked.
    pub(super) is_complete: Option<bool>,
}

/// One token with what the answers say about its key.
struct Checked<'a> {
    tracked: &'a Tracked,
    claims: &'a Claims,
    due: Wall,
    state: KeyState,
}

/// Diagnoses the keys and issuers of the tokens of pods that have not ended.
pub(super) fn keys(world: &World, now: &Reading) -> KeysDiagnosis {
    if world.startup.tokens_ready_at(now).is_some() {
        return KeysDiagnosis { is_complete: Some(false), ..KeysDiagnosis::default() };
    }
    let checked: Vec<Checked<'_>> =
        world.tokens.iter().filter_map(|tracked| checked(tracked, world, now)).collect();
    KeysDiagnosis {
        unknown: unknown(&checked, world),
        issuer: issuer(&checked, world),
        is_complete: world.cluster.keys.is_enabled().then(|| is_complete(&checked, world)),
    }
}

fn is_complete(checked: &[Checked<'_>], world: &World) -> bool {
    let startup = &world.startup;
    let is_known =
        world.cluster.keys.has_answers() && startup.is_scanned() && !startup.lacks_cluster();
    is_known && checked.iter().all(|token| token.state != KeyState::Open)
}

fn checked<'a>(tracked: &'a Tracked, world: &World, now: &Reading) -> Option<Checked<'a>> {
    let generation = tracked.current.as_ref()?;
    let claims = &generation.claims;
    let state = world.cluster.key_state(tracked);
    let token = (claims.issued_at, generation.seen);
    let is_used = match world.cluster.stage(&tracked.key.pod_uid, Some(token), now) {
        PodStage::Unknown | PodStage::Active | PodStage::Terminating { .. } => true,
        PodStage::Ended(_) | PodStage::Deleted(_) => false,
    };
    let due = generation.deadlines.due;
    is_used.then_some(Checked { tracked, claims, due, state })
}

fn unknown(checked: &[Checked<'_>], world: &World) -> Option<KeySymptom> {
    let worst = checked.iter().map(|token| token.state).filter(|state| state.is_bad()).max()?;
    let affected: Vec<_> = checked.iter().filter(|token| token.state == worst).collect();
    let key_ids: BTreeSet<String> =
        affected.iter().filter_map(|token| token.claims.key.id.clone()).collect();
    let last = affected.iter().map(|token| token.claims.issued_at).max()?;
    let newer = checked.iter().filter(|token| token.claims.issued_at > last);
    let has_newer = newer.filter_map(Checked::key).any(|id| {
        // A key that was there before the refusal shows no replacement.
        let may_be_old = worst == KeyState::Suspected && !world.cluster.keys.lacked(id);
        !key_ids.contains(id) && !may_be_old
    });
    Some(KeySymptom { state: worst, has_newer, key_ids, tokens: group(&affected, world)? })
}

impl Checked<'_> {
    /// The id of its key, if an answer can judge it.
    fn key(&self) -> Option<&str> {
        self.claims.key.id.as_deref().filter(|_| self.state != KeyState::NotChecked)
    }
}

/// Tokens of this cluster's keys, but not with the issuer of new tokens.
fn issuer(checked: &[Checked<'_>], world: &World) -> Option<IssuerSymptom> {
    let published = world.cluster.keys.issuer()?;
    let differs =
        |token: &&Checked<'_>| token.state == KeyState::Known && token.claims.issuer != published;
    let affected: Vec<_> = checked.iter().filter(differs).collect();
    Some(IssuerSymptom {
        issuers: affected.iter().map(|token| token.claims.issuer.clone()).collect(),
        published: published.to_owned(),
        tokens: group(&affected, world)?,
    })
}

fn group(tokens: &[&Checked<'_>], world: &World) -> Option<TokenGroup> {
    let name = |token: &&Checked<'_>| {
        let pod = world.cluster.pod(&token.tracked.key.pod_uid);
        PodRef::of(token.tracked, pod).full_name()
    };
    Some(TokenGroup {
        count: tokens.len(),
        pods: tokens.iter().map(name).collect(),
        last_due: tokens.iter().map(|token| token.due).max()?,
    })
}
