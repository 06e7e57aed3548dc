//! Visibility: the privileges of the agent, the state of its sources, and the volumes that it
//! cannot see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::crowded::{Unknown, Unwatched, UnwatchedPod};
use crate::world::delivery::DeliveryState;
use crate::world::privileges::Privileges;
use crate::world::tokens::TokenKey;

/// Name of the source that reports token files.
const FILES: &str = "files";
/// Name of the source that reports copies of tokens on the host.
const COPIES: &str = "copies";
/// The sources of which the state decides about findings.
pub const DECIDING: [&str; 2] = [FILES, COPIES];
/// From when on a source that stands still is reported. A disk under load keeps a read waiting for
/// seconds.
pub const REPORTED_AFTER: Delta = Delta::from_secs(30);

/// From when on a standstill is reported at the earliest after the agent learned of it. It learns
/// late of one in which it was stopped itself, and then reads everything again.
const TIME_TO_READ: Delta = Delta::from_secs(20);

/// Since when a source stands still, and when the agent learned that.
#[derive(Clone, Copy, Debug)]
struct Still {
    since: Reading,
    noted: Reading,
}

impl Still {
    /// When it is reported.
    fn reported_from(&self) -> Monotonic {
        let earliest = self.noted.monotonic + TIME_TO_READ;
        earliest.max(self.since.monotonic + REPORTED_AFTER)
    }
}

/// What the agent can see, and what it cannot.
#[derive(Clone, Debug, Default)]
pub struct Visibility {
    blind: Vec<BlindSpot>,
    unwatched: BTreeMap<Unknown, Vec<UnwatchedPod>>,
    sources: BTreeMap<String, Option<String>>,
    /// The sources that stand still, each with when it last worked.
    still: BTreeMap<String, Still>,
    privileges: Option<Privileges>,
    /// The state of the delivery of alerts.
    pub delivery: DeliveryState,
}

/// Figures about the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Number of pods on this node.
    pub pods: usize,
    /// Time since the API server last answered.
    pub age: Delta,
}

impl Visibility {
    pub(super) fn hidden(&mut self, spots: Vec<BlindSpot>) {
        self.blind = spots;
    }

    /// Takes the complete list of one source.
    pub(super) fn unwatched_by(&mut self, seen: Unwatched) {
        let Unwatched { unknown, pods } = seen;
        if pods.is_empty() {
            self.unwatched.remove(&unknown);
        } else {
            self.unwatched.insert(unknown, pods);
        }
    }

    /// The pods with more volumes and directories than their share of what the agent watches.
    pub(super) fn unwatched(&self) -> impl Iterator<Item = (Unknown, &[UnwatchedPod])> {
        self.unwatched.iter().map(|(unknown, pods)| (*unknown, pods.as_slice()))
    }

    pub(super) fn source(&mut self, state: SourceState) {
        self.sources.insert(state.source, state.degraded);
    }

    pub(super) fn granted(&mut self, privileges: Privileges) {
        self.privileges = Some(privileges);
    }

    /// The volumes that kubelet sees and the agent does not, or only in part.
    pub fn blind(&self) -> &[BlindSpot] {
        &self.blind
    }

    /// Those of which it sees nothing.
    pub fn hidden_volumes(&self) -> Vec<&BlindSpot> {
        self.blind.iter().filter(|spot| !spot.is_partly).collect()
    }

    pub(super) fn stands(&mut self, seen: Standstill, now: &Reading) {
        match seen.since {
            Some(since) => drop(self.still.insert(seen.source, Still { since, noted: *now })),
            None => drop(self.still.remove(&seen.source)),
        }
    }

    /// Every source, with the reason if it is degraded.
    pub fn sources(&self, now: &Reading) -> BTreeMap<String, Option<String>> {
        let mut all = self.sources.clone();
        for (source, since) in self.standing_still(now) {
            let reason = format!("a read that began at {} has not returned", since.wall.rfc3339());
            all.insert(source.to_owned(), Some(reason));
        }
        all
    }

    /// Every source, with whether it works.
    pub fn sources_up(&self, now: &Reading) -> BTreeMap<String, bool> {
        let is_up = |(name, reason): (String, Option<String>)| (name, reason.is_none());
        self.sources(now).into_iter().map(is_up).collect()
    }

    /// The sources that stand still for so long that it is reported, and since when.
    pub fn standing_still(&self, now: &Reading) -> impl Iterator<Item = (&str, Reading)> {
        let all = self.still.iter().filter(|(_, still)| still.reported_from() <= now.monotonic);
        all.map(|(source, still)| (source.as_str(), still.since))
    }

    /// When a source that stands still is reported, if that is in the future.
    pub fn still_from(&self, now: &Reading) -> Option<Monotonic> {
        let from = self.still.values().map(Still::reported_from);
        from.filter(|at| *at > now.monotonic).min()
    }

    /// Whether the source of token files has read all of them once.
    pub fn has_scanned(&self) -> bool {
        self.sources.contains_key(FILES)
    }

    /// When a read of token files began that has not returned.
    pub fn files_still_since(&self) -> Option<Reading> {
        self.still.get(FILES).map(|still| still.since)
    }

    /// Whether the source of token files stands still.
    pub fn are_files_still(&self) -> bool {
        self.still.contains_key(FILES)
    }

    /// The moment of which the agent knows the token files: `now`, unless their source stands
    /// still.
    pub fn files_known_at(&self, now: &Reading) -> Reading {
        self.known_at(FILES, now)
    }

    /// The same of the copies of tokens.
    pub fn copies_known_at(&self, now: &Reading) -> Reading {
        self.known_at(COPIES, now)
    }

    /// By the wall clock as it is set now: it may have been set since.
    fn known_at(&self, source: &str, now: &Reading) -> Reading {
        let since = self.still.get(source).map(|still| still.since.monotonic);
        since.map_or(*now, |since| now.after((since - now.monotonic).min(Delta::ZERO)))
    }

    /// The privileges of the agent, once they are known.
    pub fn privileges(&self) -> Option<&Privileges> {
        self.privileges.as_ref()
    }

    /// Whether the agent would see this token if the file existed.
    pub fn covers(&self, key: &TokenKey) -> bool {
        let hides = |spot: &BlindSpot| {
            spot.is_root()
                || (spot.pod_uid == key.pod_uid && (spot.is_pod() || spot.volume == key.volume))
        };
        let files_work = self.sources.get(FILES).is_none_or(Option::is_none);
        files_work && !self.are_files_still() && !self.blind.iter().any(hides)
    }
}

/// A projected volume that kubelet sees and the agent does not. Or all volumes of a pod, or a whole
/// kubelet root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlindSpot {
    /// UID of the pod, or [`BlindSpot::ALL`] for a kubelet root.
    pub pod_uid: String,
    /// Name of the volume, or [`BlindSpot::ALL`].
    pub volume: String,
    /// The directory as the agent sees it.
    pub directory: String,
    /// Why the agent cannot see it, for people.
    pub reason: String,
    /// Whether it sees some files there, and leaves out others: they are more than the share of
    /// their pod. Earlier recordings do not tell.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_partly: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // for serde
fn is_false(value: &bool) -> bool {
    !value
}

impl BlindSpot {
    /// Every pod, or every volume. No name in Kubernetes contains this character.
    pub const ALL: &str = "*";

    /// Whether it is a whole kubelet root.
    pub fn is_root(&self) -> bool {
        self.pod_uid == Self::ALL
    }

    /// Whether it is all volumes of one pod.
    pub fn is_pod(&self) -> bool {
        self.volume == Self::ALL && !self.is_root()
    }
}

impl Standstill {
    /// Whether the source reports token files.
    pub(super) fn is_of_files(&self) -> bool {
        self.source == FILES
    }
}

impl SourceState {
    /// Whether the source reports token files.
    pub(super) fn is_of_files(&self) -> bool {
        self.source == FILES
    }

    /// Whether the source reports copies of tokens.
    pub(super) fn is_of_copies(&self) -> bool {
        self.source == COPIES
    }
}

/// Whether a source works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Name of the source: `files`, `watch`, `copies`, `ntp`, `kernel` or `apiserver`.
    pub source: String,
    /// What does not work, and what the source does instead; nothing if it works.
    pub degraded: Option<String>,
}

/// Whether a source stands still: a read of it has not returned, and nothing is known of what
/// happened since it began. A file system that hangs does that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// Name of the source.
    pub source: String,
    /// When the read began; nothing once it has returned.
    pub since: Option<Reading>,
}
