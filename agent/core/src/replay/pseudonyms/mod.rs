//! A recording without the names of the cluster.
//!
//! Every name becomes a pseudonym: its kind, and a keyed hash of it. Equal names have equal
//! pseudonyms within one recording, so the findings stay the same; nobody without the key, which is
//! never written, can tell a name from its pseudonym or try names out. A table of names would give
//! shorter pseudonyms, and would grow as long as the agent runs.
//!
//! Of free text only words of a fixed list stay ([`words`]). Every struct is taken apart without
//! `..`: a new field does not compile until somebody has decided what it may hold.

mod clock;
mod cluster;
mod copies;
mod findings;
mod kubelet;
mod names;
mod readers;
mod refusals;
mod text;
mod words;

use std::collections::BTreeSet;

use super::entry::{Content, Entry, Header};
use crate::engine::Config;
use crate::world::observation::{
    Again, BlindSpot, DeliveryState, FileContent, FileSeen, Observation, SourceState, Standstill,
    Unwatched, UnwatchedPod,
};
use crate::world::privileges::Privileges;
pub use names::Key;
use names::Kind;

/// Replaces names.
#[derive(Clone)]
pub struct Pseudonyms {
    key: Key,
    words: BTreeSet<&'static str>,
}

/// Without the key.
impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    /// With a key that was drawn at random, and is used for one recording.
    pub fn new(key: Key) -> Self {
        Self { key, words: words::all() }
    }

    /// A header without names.
    pub fn header(&self, header: Header) -> Header {
        let Header { format, version, tokenwatch, pseudonyms: _, config } = header;
        let tokenwatch = self.release(tokenwatch);
        Header { format, version, tokenwatch, pseudonyms: true, config: self.config(config) }
    }

    /// An entry without names.
    pub fn entry(&self, entry: Entry) -> Entry {
        let Entry { now, content } = entry;
        let content = match content {
            Content::Observation(seen) => Content::Observation(self.observation(seen)),
            Content::Restored(restored) => {
                Content::Restored(restored.into_iter().map(|one| self.restored(one)).collect())
            }
            Content::Lost(count) => Content::Lost(count),
            Content::Stopped => Content::Stopped,
        };
        Entry { now, content }
    }

    /// A version of tokenwatch. One that was built elsewhere may be named after who built it.
    fn release(&self, version: String) -> String {
        let is_plain = version.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_plain { version } else { self.name(Kind::Name, &version) }
    }

    fn config(&self, config: Config) -> Config {
        let Config {
            node,
            kubelet,
            clock,
            remind_every,
            delivery_limit,
            settle,
            cluster_configured,
            scan_expected,
            jitter_seed,
            grace,
        } = config;
        Config {
            node: self.name(Kind::Node, &node),
            kubelet,
            clock,
            remind_every,
            delivery_limit,
            settle,
            cluster_configured,
            scan_expected,
            jitter_seed,
            grace,
        }
    }

    fn observation(&self, observation: Observation) -> Observation {
        match observation {
            Observation::File(seen) => Observation::File(self.file(seen)),
            Observation::Gone(key) => Observation::Gone(self.token_key(key)),
            Observation::LeftOut(key) => Observation::LeftOut(self.token_key(key)),
            Observation::WithoutTokens(pods) => Observation::WithoutTokens(
                pods.iter().map(|uid| self.name(Kind::Uid, uid)).collect(),
            ),
            Observation::Legacy(all) => {
                Observation::Legacy(all.into_iter().map(|one| self.legacy(one)).collect())
            }
            Observation::Blind(spots) => {
                Observation::Blind(spots.into_iter().map(|spot| self.blind_spot(spot)).collect())
            }
            Observation::Unwatched(seen) => Observation::Unwatched(self.unwatched(seen)),
            Observation::Source(state) => Observation::Source(self.source(state)),
            Observation::Standstill(seen) => Observation::Standstill(self.standstill(seen)),
            Observation::NtpRound(round) => Observation::NtpRound(self.round(round)),
            Observation::Kernel(kernel) => Observation::Kernel(clock::kernel(kernel)),
            Observation::ApiServerDate(seen) => Observation::ApiServerDate(self.date(seen)),
            Observation::ClockStep(step) => Observation::ClockStep(clock::step(step)),
            Observation::Cluster(seen) => Observation::Cluster(self.cluster(seen)),
            Observation::ServiceAccount(seen) => Observation::ServiceAccount(self.account(seen)),
            Observation::Keys(seen) => Observation::Keys(self.keys(seen)),
            Observation::ControllerLease(lease) => {
                Observation::ControllerLease(lease.map(|lease| self.lease(lease)))
            }
            Observation::Copies(seen) => Observation::Copies(self.copies(seen)),
            Observation::ServerLog(seen) => Observation::ServerLog(self.server_log(seen)),
            Observation::PodsAtAddress(seen) => Observation::PodsAtAddress(self.pods_at(seen)),
            Observation::Privileges(privileges) => {
                Observation::Privileges(self.privileges(privileges))
            }
            Observation::Readers(seen) => Observation::Readers(self.readers(seen)),
            Observation::Syncs(seen) => Observation::Syncs(self.syncs(seen)),
            Observation::KubeletErrors(errors) => Observation::KubeletErrors(
                errors.into_iter().map(|one| self.kubelet_error(one)).collect(),
            ),
            Observation::KubeletMetrics(seen) => {
                Observation::KubeletMetrics(kubelet::metrics(seen))
            }
            Observation::Held(keys) => {
                Observation::Held(keys.into_iter().map(|key| self.token_key(key)).collect())
            }
            Observation::Habits(habits) => {
                Observation::Habits(habits.into_iter().map(|one| self.known_habit(one)).collect())
            }
            Observation::Containers(seen) => Observation::Containers(self.containers(seen)),
            Observation::Delivery(state) => Observation::Delivery(self.delivery(state)),
            Observation::Tick => Observation::Tick,
        }
    }

    fn file(&self, seen: FileSeen) -> FileSeen {
        let FileSeen { key, written_at, directory, content, signature } = seen;
        let content = match content {
            FileContent::Token(claims) => FileContent::Token(Box::new(self.claims(*claims))),
            FileContent::Malformed { reason } => {
                FileContent::Malformed { reason: self.text(&reason) }
            }
            FileContent::Unreadable { reason } => {
                FileContent::Unreadable { reason: self.text(&reason) }
            }
            FileContent::Missing(absence) => FileContent::Missing(absence),
        };
        let directory = directory.map(|name| self.generation_directory(&name));
        FileSeen { key: self.token_key(key), written_at, directory, content, signature }
    }

    fn blind_spot(&self, spot: BlindSpot) -> BlindSpot {
        let BlindSpot { pod_uid, volume, directory, reason, is_partly } = spot;
        let unless_all = |text: &str, kind| match text {
            BlindSpot::ALL => BlindSpot::ALL.to_owned(),
            name => self.name(kind, name),
        };
        BlindSpot {
            pod_uid: unless_all(&pod_uid, Kind::Uid),
            volume: unless_all(&volume, Kind::Volume),
            directory: self.directory(&directory),
            reason: self.text(&reason),
            is_partly,
        }
    }

    fn unwatched(&self, seen: Unwatched) -> Unwatched {
        let Unwatched { unknown, pods } = seen;
        let pod = |UnwatchedPod { pod_uid, volumes }| UnwatchedPod {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            volumes,
        };
        Unwatched { unknown, pods: pods.into_iter().map(pod).collect() }
    }

    fn standstill(&self, seen: Standstill) -> Standstill {
        let Standstill { source, since } = seen;
        Standstill { source: self.text(&source), since }
    }

    fn source(&self, state: SourceState) -> SourceState {
        let SourceState { source, degraded } = state;
        SourceState { source: self.text(&source), degraded: self.some_text(degraded) }
    }

    fn privileges(&self, privileges: Privileges) -> Privileges {
        let Privileges { rung, lacking } = privileges;
        Privileges { rung, lacking: lacking.iter().map(|text| self.text(text)).collect() }
    }

    fn delivery(&self, state: DeliveryState) -> DeliveryState {
        let DeliveryState { waiting_since, waiting, given_up, rejected, last_error, .. } = state;
        let last_error = self.some_text(last_error);
        // The ids of findings are hashes of names, and others here.
        let again = Again::default();
        DeliveryState { waiting_since, waiting, given_up, rejected, last_error, again }
    }
}

#[cfg(test)]
mod tests;
