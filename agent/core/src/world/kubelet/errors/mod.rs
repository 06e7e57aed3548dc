//! The errors that kubelet logged about tokens and their volumes. They are evidence of why a token
//! is late, and never a finding of their own: kubelet repeats what failed, and most errors pass.

mod cause;
mod seen;
#[cfg(test)]
mod tests;

pub use cause::ErrorCause;
pub use seen::{ErrorPod, ErrorScope, ErrorSource, KubeletError};

use std::collections::BTreeMap;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::cluster::PodRef;
use crate::world::tokens::{Generation, TokenKey, Tracked};
use crate::world::{Changed, World};

/// Most pods whose errors are kept: more than twice kubelet's default of 110 (`maxPods`).
const MAX_PODS: usize = 256;
/// Most errors of one pod: the volumes of a pod, with some that are named in two ways.
const MAX_OF_POD: usize = 8;
/// How long an error counts. One was followed by 20 hours of silence (kubernetes#138689), and a
/// token that is extended may be stalled for as long.
const COUNTS_FOR: Delta = Delta::from_secs(24 * 3_600);
/// How old an error may be that kubelet would repeat by now: twice its longest wait between two
/// attempts (2 min 2 s, exponentialbackoff), and a sync.
const REPEATED: Delta = Delta::from_secs(400);
/// How much earlier than due kubelet may try (jitter in requiresRefresh, token_manager.go).
const JITTER: Delta = Delta::from_secs(10);
/// How far the time of an error may be ahead: clocks of a log's lines have whole seconds.
const AHEAD: Delta = Delta::from_secs(5);

/// The errors of this node's kubelet, by pod.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    pods: BTreeMap<ErrorPod, Vec<Kept>>,
}

/// An error, and when it was seen on the monotonic clock.
#[derive(Clone, Debug)]
struct Kept {
    error: KubeletError,
    at: Monotonic,
}

/// What kubelet logged about a token that it does not replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged<'a> {
    /// The error.
    pub error: &'a KubeletError,
    /// How long ago.
    pub age: Delta,
    /// Whether the API server has confirmed the service account since.
    pub has_account: bool,
    /// Whether this agent reaches the API server; none: it does not ask it.
    pub reaches_api: Option<bool>,
}

impl Logged<'_> {
    /// Whether kubelet would have repeated it by now, and did not.
    pub fn is_last(&self) -> bool {
        self.age > REPEATED
    }
}

impl Errors {
    /// Takes an error. Returns whether it differs from what is known.
    fn see(&mut self, error: KubeletError, now: &Reading) -> bool {
        let age = now.wall - error.at;
        let counts = age <= COUNTS_FOR && age >= Delta::ZERO - AHEAD;
        counts && self.keep(Kept { at: now.monotonic - age, error }, now)
    }

    fn keep(&mut self, new: Kept, now: &Reading) -> bool {
        self.make_room(&new.error.pod, now);
        let kept = self.pods.entry(new.error.pod.clone()).or_default();
        let before = kept.iter().position(|one| one.error.of == new.error.of);
        if before.is_some_and(|nth| kept[nth].error.at >= new.error.at) {
            return false;
        }
        let old = before.map(|nth| kept.remove(nth));
        let is_new = old.is_none_or(|old| old.error.cause != new.error.cause);
        kept.push(new);
        kept.drain(..kept.len().saturating_sub(MAX_OF_POD));
        is_new
    }

    /// Forgets what does not count any more, and the pod with the oldest error where there are too
    /// many.
    fn make_room(&mut self, pod: &ErrorPod, now: &Reading) {
        if self.pods.len() < MAX_PODS || self.pods.contains_key(pod) {
            return;
        }
        let newest = |kept: &Vec<Kept>| kept.last().map(|one| one.at);
        self.pods.retain(|_, kept| newest(kept) >= Some(now.monotonic - COUNTS_FOR));
        let oldest = self.pods.iter().min_by_key(|(_, kept)| newest(kept));
        if let Some(oldest) = oldest.map(|(pod, _)| pod.clone())
            && self.pods.len() >= MAX_PODS
        {
            self.pods.remove(&oldest);
        }
    }

    /// The errors of a pod, however they name it.
    fn of<'a>(&'a self, pod: &PodRef) -> impl Iterator<Item = &'a Kept> + use<'a> {
        let by_name = pod.namespace.clone().zip(pod.name.clone());
        let by_name = by_name.map(|(namespace, name)| ErrorPod::Name { namespace, name });
        let named = [Some(ErrorPod::Uid(pod.uid.clone())), by_name].into_iter().flatten();
        named.filter_map(|pod| self.pods.get(&pod)).flatten()
    }
}

impl World {
    /// Takes errors that kubelet logged.
    pub(in crate::world) fn kubelet_errors(
        &mut self,
        now: &Reading,
        errors: Vec<KubeletError>,
    ) -> Changed {
        let known = &mut self.kubelet.errors;
        let pod = |error: KubeletError| (error.pod.clone(), known.see(error, now));
        let seen = errors.into_iter().map(pod).filter(|(_, is_new)| *is_new);
        let pods: Vec<ErrorPod> = seen.map(|(pod, _)| pod).collect();
        let of = |tracked: &Tracked| self.pod_ref(tracked);
        let tokens = self.tokens.keys_of(|one| pods.iter().any(|pod| is_named(pod, &of(one))));
        Changed { node: !tokens.is_empty(), ..Changed::of(tokens) }
    }

    /// Why kubelet does not replace this token, as far as it logged that: the last error about it
    /// that is newer than the token, and that kubelet has not overcome since.
    pub fn kubelet_error(&self, key: &TokenKey, now: &Reading) -> Option<Logged<'_>> {
        if self.kubelet.errors.pods.is_empty() {
            return None; // as on most nodes, and this is asked for each token
        }
        let tracked = self.tokens.get(key)?;
        let generation = tracked.current.as_ref()?;
        let last = self.last_error(tracked, generation, now)?;
        let reached = self.cluster.unreachable().is_none();
        Some(Logged {
            error: &last.error,
            age: (now.monotonic - last.at).max(Delta::ZERO),
            has_account: self.accounts.is_confirmed(generation),
            reaches_api: self.cluster.age(now).map(|_| reached),
        })
    }

    fn last_error(
        &self,
        tracked: &Tracked,
        generation: &Generation,
        now: &Reading,
    ) -> Option<&Kept> {
        let counts = |kept: &&Kept| {
            now.monotonic - kept.at <= COUNTS_FOR
                && self.covers(kept, tracked, generation)
                && !self.is_overcome(kept, &tracked.key)
        };
        self.kubelet.errors.of(&self.pod_ref(tracked)).filter(counts).max_by_key(|kept| kept.at)
    }

    fn pod_ref(&self, tracked: &Tracked) -> PodRef {
        PodRef::of(tracked, self.cluster.pod(&tracked.key.pod_uid))
    }

    /// Whether the error is about this token, and about its replacement: it is newer than the
    /// token, and than the time from which kubelet tries, or the volume is not synced for it.
    fn covers(&self, kept: &Kept, tracked: &Tracked, generation: &Generation) -> bool {
        let at = kept.error.at;
        let is_tried = at >= generation.deadlines.due - JITTER;
        (is_tried || self.kubelet.syncs.leaves_out(&tracked.key))
            && at > since(generation)
            && match &kept.error.of {
                ErrorScope::Volume(volume) => *volume == tracked.key.volume,
                ErrorScope::Pod { .. } => true,
                ErrorScope::Request { audiences, lifetime } => {
                    self.is_requested(tracked, generation, audiences, *lifetime)
                }
            }
    }

    /// Whether a request for such a token is that for this one. The audience of the API server is
    /// in the token, and not in the request; the lifetime tells then, unless the API server
    /// shortened it. With no other token of the pod there is nothing to mistake.
    fn is_requested(
        &self,
        tracked: &Tracked,
        generation: &Generation,
        audiences: &[String],
        lifetime: Delta,
    ) -> bool {
        let claims = &generation.claims;
        if !audiences.is_empty() {
            return claims.audiences == audiences;
        }
        let is_of_pod = |other: &&Tracked| other.key.pod_uid == tracked.key.pod_uid;
        claims.requested_life() == lifetime || self.tokens.iter().filter(is_of_pod).count() == 1
    }

    /// Whether kubelet synced the volume since. A failed request for a token that is still valid
    /// ends no sync: kubelet writes the old one.
    fn is_overcome(&self, kept: &Kept, key: &TokenKey) -> bool {
        match kept.error.of {
            ErrorScope::Volume(_) | ErrorScope::Pod { .. } => {
                self.kubelet.syncs.last_sync(key).is_some_and(|sync| sync > kept.at)
            }
            ErrorScope::Request { .. } => false,
        }
    }
}

/// When kubelet last renewed it.
fn since(generation: &Generation) -> Wall {
    generation.appeared_at.unwrap_or(generation.claims.issued_at)
}

fn is_named(pod: &ErrorPod, of: &PodRef) -> bool {
    match pod {
        ErrorPod::Uid(uid) => *uid == of.uid,
        ErrorPod::Name { namespace, name } => {
            of.namespace.as_ref() == Some(namespace) && of.name.as_ref() == Some(name)
        }
    }
}
