//! kubelet's syncs of the volumes with tokens. A volume that kubelet does not sync gets no new
//! token, whenever that is due.
//!
//! The silence of a volume is measured by what kubelet does meanwhile: another pod has to be synced
//! so long after this one that a healthy kubelet would have synced both. Only the silence of all
//! pods is measured by the clock. A silence ends with a sync that was seen, and with nothing else.

use std::collections::BTreeMap;

use super::rhythm::{Rhythm, limit};
use super::seen::{SyncsSeen, VolumeSync};
use super::silence::{Extent, Silence, Since, VolumeKey};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::fair::Fair;
use crate::world::readers::{ReaderEvent, ReadersSeen};
use crate::world::tokens::{KubeletPolicy, MAX_TOKENS, TokenKey};

/// The source reports at least every 30 s while it follows a volume. After a longer time it, or the
/// machine, was stopped: what kubelet did meanwhile is not known.
const REPORTS: Delta = Delta::from_secs(90);
/// A time without any sync from which kubelet may have been restarted, at least. It needs some time
/// for all volumes then.
const PAUSE: Delta = Delta::from_secs(20);
/// The same, in times of the mean time between two syncs of different pods.
const PAUSE_TIMES: i64 = 3;
/// Pauses that are kept: those of the last few minutes.
const PAUSES: usize = 8;
/// Pods from which one alone does not show that kubelet lives: a client that lists the directory of
/// its own token looks like kubelet.
const MANY_PODS: usize = 5;

/// kubelet's syncs of the volumes with tokens.
#[derive(Clone, Debug)]
pub struct Syncs {
    pub(super) volumes: Fair<VolumeKey, Volume>,
    /// Everything before was seen.
    pub(super) until: Option<Monotonic>,
    /// When kubelet synced last.
    pub(super) newest: Option<Monotonic>,
    /// The longest time between two syncs that most volumes needed in the last hour, and when that
    /// was: what makes kubelet sync a pod more often, as an error does, ends.
    pub(super) usual: (Delta, Monotonic),
    /// The last times without a sync: their ends, and how long they were.
    pub(super) pauses: Vec<(Monotonic, Delta)>,
    /// Set while kubelet syncs nothing, or few pods.
    pub(super) node: Option<NodeSilence>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Volume {
    pub(super) rhythm: Rhythm,
    pub(super) silence: Option<(Since, Extent)>,
}

/// kubelet does not sync most pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeSilence {
    pub(super) since: Since,
    pub(super) is_of_all: bool,
    /// The last sync of all by then.
    pub(super) newest: Option<Monotonic>,
}

/// What a report changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncsChanged {
    /// UIDs of the pods that kubelet syncs again, or not any more.
    pub(crate) pods: Vec<String>,
    /// Whether kubelet syncs again, or not any more.
    pub(crate) node: bool,
}

impl Default for Syncs {
    fn default() -> Self {
        Self {
            volumes: Fair::of(MAX_TOKENS),
            until: None,
            newest: None,
            usual: <(Delta, Monotonic)>::default(),
            pauses: Vec::new(),
            node: None,
        }
    }
}

impl Syncs {
    /// Takes a report.
    pub(crate) fn see(
        &mut self,
        seen: SyncsSeen,
        policy: KubeletPolicy,
        ends: impl Fn(&str) -> bool,
        now: &Reading,
    ) -> SyncsChanged {
        let SyncsSeen { until, volumes } = seen;
        if self.until.is_some_and(|before| until - before > REPORTS) {
            self.interrupt(|_| true, until);
        }
        self.until = self.until.max(Some(until));
        let mut first: Vec<String> = volumes.into_iter().filter_map(|one| self.take(one)).collect();
        let (was, was_alive) = (self.node, self.is_alive());
        self.advance(policy);
        self.end_node_silence(until);
        let mut pods = self.judge(policy, ends, now);
        pods.append(&mut first);
        SyncsChanged { pods, node: was != self.node || was_alive != self.is_alive() }
    }

    /// Takes what a watch of a volume shows: that it is set, that it may have missed something, or
    /// that there is none.
    pub(crate) fn watch(&mut self, seen: &ReadersSeen, now: &Reading) {
        let key = || VolumeKey { pod_uid: seen.pod_uid.clone(), volume: seen.volume.clone() };
        match seen.what {
            ReaderEvent::Watching { complete, moment, .. } => {
                self.follow(&key(), now.monotonic);
                // At a rotation the new watch is set before the old one ends.
                if !complete && !moment {
                    self.miss(&key(), now.monotonic);
                }
            }
            ReaderEvent::Missed { .. } => self.miss(&key(), now.monotonic),
            ReaderEvent::Unseen { .. } => drop(self.volumes.remove(&key())),
            ReaderEvent::Opened { .. }
            | ReaderEvent::ReadAgain { .. }
            | ReaderEvent::Held { .. } => {}
        }
    }

    /// Forgets the volume of a token.
    pub(crate) fn gone(&mut self, key: &TokenKey) {
        self.volumes.remove(&VolumeKey::of(key));
    }

    /// Of a volume that has to make room, nothing is known from then on.
    fn follow(&mut self, key: &VolumeKey, since: Monotonic) {
        if !self.volumes.contains(key) {
            let volume = Volume { rhythm: Rhythm::new(since), silence: None };
            let _ = self.volumes.insert(None, key, volume);
        }
    }

    fn miss(&mut self, key: &VolumeKey, by: Monotonic) {
        if let Some(volume) = self.volumes.get_mut(key) {
            volume.rhythm.interrupted(by);
        }
    }

    /// Takes a sync of a volume that is watched: it may be gone since. Returns the pod if it is the
    /// first after a gap.
    fn take(&mut self, sync: VolumeSync) -> Option<String> {
        let VolumeSync { pod_uid, volume, at, is_certain } = sync;
        let key = VolumeKey { pod_uid, volume };
        let rhythm = &mut self.volumes.get_mut(&key)?.rhythm;
        let was_seen = rhythm.last_sync().is_some();
        if is_certain {
            rhythm.synced(at);
        } else {
            rhythm.interrupted(at);
        }
        (!was_seen && rhythm.last_sync().is_some()).then_some(key.pod_uid)
    }

    /// kubelet replaced a token: it synced the volume.
    pub(crate) fn replaced(&mut self, key: &TokenKey, now: &Reading) {
        if let Some(volume) = self.volumes.get_mut(&VolumeKey::of(key)) {
            volume.rhythm.synced(now.monotonic);
            volume.silence = None;
        }
    }

    fn interrupt(&mut self, is_such: impl Fn(&Volume) -> bool, by: Monotonic) {
        let volumes = self.volumes.values_mut().filter(|volume| is_such(volume));
        volumes.for_each(|volume| volume.rhythm.interrupted(by));
    }

    /// Takes account of what was synced last.
    fn advance(&mut self, policy: KubeletPolicy) {
        let Some(newest) = self.newest(|volume| volume.rhythm.last_sync()) else { return };
        let pause = self.newest.map_or(Delta::ZERO, |before| newest - before);
        if pause >= self.unusual_pause(policy) {
            self.pauses.truncate(PAUSES - 1);
            self.pauses.insert(0, (newest, pause));
        }
        self.newest = self.newest.max(Some(newest));
    }

    /// A time without any sync that few nodes with so many pods have, or that matters.
    fn unusual_pause(&self, policy: KubeletPolicy) -> Delta {
        let longest = self.usual.0.max(policy.longest_sync());
        let (_, pods) = self.count_pods(|_| false);
        let pods = i64::try_from(pods.max(1)).unwrap_or(i64::MAX);
        longest.fraction(PAUSE_TIMES, pods).min(limit(longest) - longest).max(PAUSE)
    }

    /// kubelet syncs again. It needs some time for all volumes.
    fn end_node_silence(&mut self, until: Monotonic) {
        let Some(NodeSilence { since, is_of_all: true, newest }) = self.node else { return };
        if self.newest > newest {
            self.node = None;
            self.interrupt(|volume| volume.rhythm.last() <= since.at, until);
            self.volumes.values_mut().for_each(|volume| volume.silence = None);
        }
    }

    /// The pods with a volume of this kind, and all.
    pub(super) fn count_pods(&self, is_such: impl Fn(&Volume) -> bool) -> (usize, usize) {
        let (mut all, mut such): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (key, volume) in self.volumes.iter() {
            all.push(&key.pod_uid);
            such.extend(is_such(volume).then_some(&*key.pod_uid));
        }
        all.dedup();
        such.dedup();
        (such.len(), all.len())
    }

    fn pods_by(&self, time: impl Fn(&Volume) -> Option<Monotonic>) -> BTreeMap<&str, Monotonic> {
        let mut pods: BTreeMap<&str, Monotonic> = BTreeMap::new();
        for (key, volume) in self.volumes.iter() {
            if let Some(time) = time(volume) {
                let newest = pods.entry(&key.pod_uid).or_insert(time);
                *newest = time.max(*newest);
            }
        }
        pods
    }

    /// The newest of these times, of many pods the second.
    pub(super) fn newest(&self, time: impl Fn(&Volume) -> Option<Monotonic>) -> Option<Monotonic> {
        let mut newest: Vec<Monotonic> = self.pods_by(time).into_values().collect();
        newest.sort_unstable();
        let nth = usize::from(newest.len() >= MANY_PODS);
        newest.into_iter().rev().nth(nth)
    }

    /// Since when kubelet syncs no volume of this node, or few of them.
    pub(crate) fn silent_since(&self) -> Option<Wall> {
        self.node.map(|node| node.since.wall)
    }

    /// Of how many pods kubelet does not sync a volume, and how many there are.
    pub(crate) fn silent_pods(&self) -> (usize, usize) {
        self.count_pods(|volume| volume.silence.is_some())
    }

    /// Whether a sync was seen of which the agent knows that it was the last one.
    pub(crate) fn has_seen(&self, key: &TokenKey) -> bool {
        self.volume(key).is_some_and(|volume| volume.rhythm.last_sync().is_some())
    }

    /// The last sync of the volume, if the agent knows that it was the last one.
    pub(crate) fn last_sync(&self, key: &TokenKey) -> Option<Monotonic> {
        self.volume(key)?.rhythm.last_sync()
    }

    /// Whether kubelet syncs most pods, as far as syncs were seen.
    pub(crate) fn is_alive(&self) -> bool {
        let (seen, all) = self.count_pods(|volume| volume.rhythm.last_sync().is_some());
        self.node.is_none() && seen * 2 > all
    }

    /// Whether kubelet does not sync this volume.
    pub(crate) fn leaves_out(&self, key: &TokenKey) -> bool {
        self.volume(key).is_some_and(|volume| volume.silence.is_some())
    }

    /// Whether this volume is not synced.
    pub(crate) fn silence(&self, key: &TokenKey, now: &Reading) -> Option<Silence> {
        let (since, extent) = self.volume(key)?.silence?;
        let age = now.monotonic - since.at;
        Some(Silence { since: since.wall, age, is_exact: since.is_sync, extent })
    }

    /// How many syncs of the volume were seen since this time, of many the last ones; none if it
    /// is not watched.
    pub(crate) fn count(&self, key: &TokenKey, from: Wall, now: &Reading) -> Option<u32> {
        let from = now.monotonic - (now.wall - from);
        self.volume(key).map(|volume| volume.rhythm.syncs_since(from))
    }

    fn volume(&self, key: &TokenKey) -> Option<&Volume> {
        self.volumes.get(&VolumeKey::of(key))
    }
}

#[cfg(test)]
#[path = "syncs_tests.rs"]
mod tests;
