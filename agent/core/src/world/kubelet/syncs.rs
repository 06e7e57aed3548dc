//! kubelet's syncs of the volumes with tokens. A volume that kubelet does not sync gets no new
//! token, whenever that is due.
//!
//! The silence of a volume is measured by what kubelet does meanwhile: another volume has to be
//! synced so long after this one that a healthy kubelet would have synced both. Only the silence of
//! all of them is measured by the clock.

use std::collections::{BTreeMap, BTreeSet};

use super::rhythm::{Rhythm, limit};
use super::seen::{SyncsSeen, VolumeSync};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
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
/// Pods from which the silence of all is kubelet's, and from which they show its rhythm.
const PODS: usize = 3;

/// kubelet's syncs of the volumes with tokens.
#[derive(Clone, Debug, Default)]
pub struct Syncs {
    volumes: BTreeMap<VolumeKey, Volume>,
    /// Everything before was seen.
    until: Option<Monotonic>,
    /// When kubelet synced last, as far as two pods show it.
    newest: Option<Monotonic>,
    /// The last times without a sync: their ends, and how long they were.
    pauses: Vec<(Monotonic, Delta)>,
    /// Since when kubelet syncs nothing, if it does not.
    silent_since: Option<Monotonic>,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VolumeKey {
    pod_uid: String,
    volume: String,
}

impl VolumeKey {
    /// The volume of a token.
    pub(crate) fn of(key: &TokenKey) -> Self {
        Self { pod_uid: key.pod_uid.clone(), volume: key.volume.clone() }
    }

    /// Whether the token is in this volume.
    pub(crate) fn has(&self, key: &TokenKey) -> bool {
        self.pod_uid == key.pod_uid && self.volume == key.volume
    }
}

#[derive(Clone, Copy, Debug)]
struct Volume {
    rhythm: Rhythm,
    is_silent: bool,
}

/// A volume that kubelet does not sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Since when, on the node's clock.
    pub since: Wall,
    /// For how long.
    pub age: Delta,
    /// Whether the sync at that time was seen. Else there was none since then.
    pub is_exact: bool,
    /// What else kubelet does not sync.
    pub extent: Extent,
}

/// How much kubelet does not sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The volume alone: it syncs others of the pod.
    Volume,
    /// The pod: it syncs those of other pods.
    Pod,
    /// The volume or the pod: the agent sees no other volume of that.
    VolumeOrPod,
    /// All volumes of the node.
    Node,
}

/// What a report changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncsChanged {
    /// The volumes that kubelet syncs again, or not any more: by pod and name.
    pub(crate) volumes: Vec<VolumeKey>,
    /// Whether kubelet syncs again, or not any more.
    pub(crate) node: bool,
}

impl Syncs {
    /// Takes a report.
    pub(crate) fn see(&mut self, seen: SyncsSeen, policy: KubeletPolicy) -> SyncsChanged {
        let SyncsSeen { until, volumes } = seen;
        let was_stopped = self.until.is_some_and(|before| until - before > REPORTS);
        self.until = self.until.max(Some(until));
        for sync in volumes {
            self.take(sync);
        }
        self.advance(policy);
        let resumes = self.silent_since.is_some_and(|since| self.newest > Some(since));
        if was_stopped || resumes {
            // What was missed is not known, or kubelet needs some time for all volumes.
            self.volumes.values_mut().for_each(|volume| volume.rhythm.interrupted(until));
        }
        self.judge(policy)
    }

    /// Takes what a watch of a volume shows: that it is set, that it may have missed something, or
    /// that there is none.
    pub(crate) fn watch(&mut self, seen: &ReadersSeen, now: &Reading) {
        let key = || VolumeKey { pod_uid: seen.pod_uid.clone(), volume: seen.volume.clone() };
        match seen.what {
            ReaderEvent::Watching { complete, moment, .. } => {
                let volume = self.entry(key(), now.monotonic);
                // At a rotation the new watch is set before the old one ends.
                if let Some(volume) = volume.filter(|_| !complete && !moment) {
                    volume.rhythm.interrupted(now.monotonic);
                }
            }
            ReaderEvent::Missed { .. } => {
                if let Some(volume) = self.entry(key(), now.monotonic) {
                    volume.rhythm.interrupted(now.monotonic);
                }
            }
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

    fn take(&mut self, sync: VolumeSync) {
        let VolumeSync { pod_uid, volume, at, is_certain } = sync;
        let Some(volume) = self.entry(VolumeKey { pod_uid, volume }, at) else { return };
        if !is_certain {
            return volume.rhythm.interrupted(at);
        }
        volume.rhythm.synced(at);
    }

    /// Takes account of what was synced last.
    fn advance(&mut self, policy: KubeletPolicy) {
        let Some(newest) = self.second_newest(|volume| volume.rhythm.last().1) else { return };
        let pause = self.newest.map_or(Delta::ZERO, |before| newest - before);
        if pause >= self.unusual_pause(policy) {
            self.pauses.truncate(PAUSES - 1);
            self.pauses.insert(0, (newest, pause));
        }
        self.newest = self.newest.max(Some(newest));
    }

    /// A time without any sync that few nodes with so many pods have, or that matters.
    fn unusual_pause(&self, policy: KubeletPolicy) -> Delta {
        let longest = self.longest().unwrap_or_else(|| policy.longest_sync());
        let pods = self.pods(|_| true).len().max(1);
        let unusual = longest.fraction(PAUSE_TIMES, i64::try_from(pods).unwrap_or(i64::MAX));
        unusual.min(limit(longest) - longest).max(PAUSE)
    }

    /// The pods with a volume of this kind, and when the last of these was synced, or had its watch
    /// interrupted.
    fn pods(&self, is_such: impl Fn(&Volume) -> bool) -> BTreeMap<&str, Monotonic> {
        let mut pods: BTreeMap<&str, Monotonic> = BTreeMap::new();
        for (key, volume) in self.volumes.iter().filter(|(_, volume)| is_such(volume)) {
            let (last, _) = volume.rhythm.last();
            let newest = pods.entry(&key.pod_uid).or_insert(last);
            *newest = last.max(*newest);
        }
        pods
    }

    /// The second of those times, because a client that lists the directory of its own token looks
    /// like kubelet. The first, if the pods are few.
    fn second_newest(&self, is_such: impl Fn(&Volume) -> bool) -> Option<Monotonic> {
        let mut newest: Vec<Monotonic> = self.pods(is_such).into_values().collect();
        newest.sort_unstable();
        let nth = usize::from(newest.len() >= PODS);
        newest.into_iter().rev().nth(nth)
    }

    fn entry(&mut self, key: VolumeKey, since: Monotonic) -> Option<&mut Volume> {
        let has_room = self.volumes.len() < MAX_TOKENS || self.volumes.contains_key(&key);
        let new = || Volume { rhythm: Rhythm::new(since), is_silent: false };
        has_room.then(|| self.volumes.entry(key).or_insert_with(new))
    }

    fn judge(&mut self, policy: KubeletPolicy) -> SyncsChanged {
        let longest = self.longest();
        let silent_since = self.node_silence(longest, policy);
        let before = std::mem::replace(&mut self.silent_since, silent_since);
        let node = before.is_some() != silent_since.is_some();
        let silent =
            self.volumes.values().map(|volume| self.volume_is_silent(volume, longest, policy));
        let silent: Vec<bool> = silent.collect();
        let mut changed = Vec::new();
        for ((key, volume), is_silent) in self.volumes.iter_mut().zip(silent) {
            if std::mem::replace(&mut volume.is_silent, is_silent) != is_silent {
                changed.push(key.clone());
            }
        }
        SyncsChanged { volumes: changed, node }
    }

    /// The longest time between two syncs that most volumes needed; none if few show it.
    fn longest(&self) -> Option<Delta> {
        let known = self.volumes.iter().filter_map(|(key, one)| Some((key, one.rhythm.longest()?)));
        let (pods, mut longest): (BTreeSet<&str>, Vec<Delta>) =
            known.map(|(key, longest)| (key.pod_uid.as_str(), longest)).unzip();
        longest.sort_unstable();
        longest.get(longest.len() / 2).filter(|_| pods.len() >= PODS).copied()
    }

    /// The time without a sync of this volume that a healthy kubelet does not need; none if nothing
    /// shows that. `longest`: of most volumes. What few show may be chance, and kubelet's settings
    /// say more.
    fn limit_of(
        &self,
        volume: &Volume,
        longest: Option<Delta>,
        policy: KubeletPolicy,
    ) -> Option<Delta> {
        let (own, (last, _)) = (volume.rhythm.longest(), volume.rhythm.last());
        let usual = longest.or_else(|| own.map(|_| policy.longest_sync()))?;
        let pauses = self.pauses.iter().filter(|(end, _)| *end > last);
        let pause = pauses.map(|(_, pause)| *pause).max().unwrap_or_default();
        Some(limit(usual.max(own.unwrap_or_default())) + pause)
    }

    /// Whether kubelet syncs others and not this one, or nothing.
    fn volume_is_silent(
        &self,
        volume: &Volume,
        longest: Option<Delta>,
        policy: KubeletPolicy,
    ) -> bool {
        let (last, _) = volume.rhythm.last();
        if self.silent_since.is_some_and(|since| last <= since) {
            return true;
        }
        // Without others, only time tells.
        let is_alone = self.volumes.len() == 1 || self.silent_since.is_some();
        let others = if is_alone { self.until } else { self.newest };
        let silent = others.map(|until| until - last).unwrap_or_default();
        self.limit_of(volume, longest, policy).is_some_and(|limit| silent > limit)
    }

    /// Since when kubelet syncs nothing, after it synced several volumes.
    fn node_silence(&self, longest: Option<Delta>, policy: KubeletPolicy) -> Option<Monotonic> {
        let own = self.volumes.values().filter_map(|volume| volume.rhythm.longest());
        let (count, of_few) = (own.clone().count(), own.max()?.max(policy.longest_sync()));
        let since = self.second_newest(|_| true).filter(|_| count > 1)?;
        (self.until? - since > limit(longest.unwrap_or(of_few))).then_some(since)
    }

    /// Since when kubelet syncs no volume of this node at all.
    pub(crate) fn silent_since(&self, now: &Reading) -> Option<Wall> {
        Some(now.wall - (now.monotonic - self.silent_since?))
    }

    /// Whether this volume is not synced.
    pub(crate) fn silence(&self, key: &TokenKey, now: &Reading) -> Option<Silence> {
        let volume = self.volume(key).filter(|volume| volume.is_silent)?;
        let (last, is_exact) = volume.rhythm.last();
        let age = now.monotonic - last;
        let extent = if self.silent_since.is_some() { Extent::Node } else { self.extent(key) };
        Some(Silence { since: now.wall - age, age, is_exact, extent })
    }

    fn extent(&self, key: &TokenKey) -> Extent {
        let first = VolumeKey { pod_uid: key.pod_uid.clone(), volume: String::new() };
        let of_pod = self.volumes.range(first..).take_while(|(one, _)| one.pod_uid == key.pod_uid);
        let mut others = of_pod.filter(|(one, _)| one.volume != key.volume).peekable();
        if others.peek().is_none() {
            return Extent::VolumeOrPod;
        }
        let mut synced = others.filter(|(_, one)| !one.is_silent && one.rhythm.last().1);
        if synced.next().is_some() { Extent::Volume } else { Extent::Pod }
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
