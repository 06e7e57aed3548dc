//! Which volumes kubelet does not sync, and whether it syncs any.

use std::collections::BTreeSet;

use super::rhythm::{BUSY, limit};
use super::silence::{Extent, Since, VolumeKey};
use super::syncs::{NodeSilence, Syncs, Volume};
use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::tokens::KubeletPolicy;

/// Pods from which they show kubelet's rhythm, and from which the silence of most is kubelet's.
const PODS: usize = 3;
/// The longest time that is learned: kubelet's documentation names no `syncFrequency` beyond some
/// minutes.
const LONGEST_FREQUENCY: Delta = Delta::from_secs(900);
/// How long the usual time counts when it becomes shorter.
const USUAL_FOR: Delta = Delta::from_secs(3_600);

/// What is usual on the node.
struct Usual {
    /// The longest time between two syncs.
    longest: Delta,
    /// Until when others were synced.
    others: Option<Monotonic>,
}

impl Syncs {
    /// Judges the node and each volume. Returns the pods where that changed.
    pub(super) fn judge(
        &mut self,
        policy: KubeletPolicy,
        ends: impl Fn(&str) -> bool,
        now: &Reading,
    ) -> Vec<String> {
        let longest = self.learn(now.monotonic).max(policy.longest_sync());
        self.node = self.silence_of_all(longest, now).or(self.node);
        let silent: Vec<Option<Since>> = self.silences(longest, now);
        if !self.node.is_some_and(|node| node.is_of_all) {
            self.node = self.silence_of_most(longest, &silent, ends);
        }
        self.keep(&silent)
    }

    /// Learns the usual time between two syncs.
    fn learn(&mut self, now: Monotonic) -> Delta {
        let (known, at) = self.usual;
        let longest = self.longest().min(LONGEST_FREQUENCY);
        if longest >= known || now - at > USUAL_FOR {
            self.usual = (longest, now);
        }
        self.usual.0
    }

    /// Keeps what each volume is judged to be. Returns the pods where that changed.
    fn keep(&mut self, silent: &[Option<Since>]) -> Vec<String> {
        let extents = self.extents(silent);
        let judged = silent.iter().zip(extents).map(|(since, extent)| Some(((*since)?, extent)));
        let judged: Vec<Option<(Since, Extent)>> = judged.collect();
        let mut pods = Vec::new();
        for ((key, volume), silence) in self.volumes.iter_mut().zip(judged) {
            if std::mem::replace(&mut volume.silence, silence) != silence {
                pods.push(key.pod_uid.clone());
            }
        }
        pods.dedup();
        pods
    }

    /// Since when each volume is not synced.
    fn silences(&self, longest: Delta, now: &Reading) -> Vec<Option<Since>> {
        let usual = Usual { longest, others: self.others() };
        let judge = |volume: &Volume| {
            let goes_on = |since: &Since| volume.rhythm.last_sync().is_none_or(|at| at <= since.at);
            let known = volume.silence.map(|(since, _)| since).filter(goes_on);
            let is_new = known.is_none() && self.is_silent(volume, &usual);
            known.or_else(|| is_new.then(|| Since::new(volume.rhythm, now)))
        };
        self.volumes.values().map(judge).collect()
    }

    /// Whether kubelet syncs others and not this one, or nothing.
    fn is_silent(&self, volume: &Volume, usual: &Usual) -> bool {
        let last = volume.rhythm.last();
        if self.node.is_some_and(|node| node.is_of_all && last <= node.since.at) {
            return volume.rhythm.longest().is_some();
        }
        let silent = usual.others.map_or(Delta::ZERO, |others| others - last);
        self.limit_of(volume, usual.longest).is_some_and(|limit| silent > limit)
    }

    /// Until when kubelet was seen to sync others. Without others, only time tells.
    fn others(&self) -> Option<Monotonic> {
        let (_, pods) = self.count_pods(|_| false);
        let is_alone = pods == 1 || self.node.is_some_and(|node| node.is_of_all);
        if is_alone { self.until } else { self.newest }
    }

    /// The time without a sync of this volume that a healthy kubelet does not need; none if it has
    /// not shown its rhythm: kubelet may pull the images of a new pod.
    fn limit_of(&self, volume: &Volume, longest: Delta) -> Option<Delta> {
        let (own, last) = (volume.rhythm.longest()?, volume.rhythm.last());
        let pauses = self.pauses.iter().filter(|(end, _)| *end > last);
        let pause = pauses.map(|(_, pause)| *pause).max().unwrap_or_default();
        Some(limit(longest.max(own)) + pause)
    }

    /// The longest time between two syncs that most volumes needed.
    fn longest(&self) -> Delta {
        let known = self.volumes.values().filter_map(|volume| volume.rhythm.longest());
        let mut longest: Vec<Delta> = known.collect();
        longest.sort_unstable();
        let usual = longest.get(longest.len() / 2).filter(|_| longest.len() >= PODS);
        usual.or(longest.last()).copied().unwrap_or_default()
    }

    /// Whether kubelet syncs nothing, after it synced several pods.
    fn silence_of_all(&self, longest: Delta, now: &Reading) -> Option<NodeSilence> {
        let since = self.newest(|volume| Some(volume.rhythm.last()))?;
        let rhythms = self.volumes.iter().filter(|(_, one)| one.rhythm.longest().is_some());
        let pods: BTreeSet<&str> = rhythms.map(|(key, _)| &*key.pod_uid).collect();
        let is_silent = pods.len() > 1 && self.until? - since > limit(longest);
        let is_new = is_silent && !self.node.is_some_and(|node| node.is_of_all);
        let syncs = self.volumes.values().filter_map(|volume| volume.rhythm.last_sync());
        let newest = syncs.chain(self.newest).max();
        is_new.then(|| NodeSilence { since: Since::at(since, now), is_of_all: true, newest })
    }

    /// Whether kubelet does not sync most pods. Those count that are not silent yet, and soon will
    /// be.
    fn silence_of_most(
        &self,
        longest: Delta,
        silent: &[Option<Since>],
        ends: impl Fn(&str) -> bool,
    ) -> Option<NodeSilence> {
        let newest = self.newest?;
        let is_overdue = |(volume, silent): (&Volume, &Option<Since>)| {
            let is_known = volume.rhythm.longest().is_some();
            silent.is_some() || is_known && newest - volume.rhythm.last() > longest + BUSY
        };
        let volumes = self.volumes.iter().zip(silent).filter(|((key, _), _)| !ends(&key.pod_uid));
        let overdue = volumes.filter(|((_, volume), silent)| is_overdue((volume, silent)));
        let overdue: BTreeSet<&str> = overdue.map(|((key, _), _)| &*key.pod_uid).collect();
        let all = self.volumes.keys().map(|key| &*key.pod_uid).filter(|pod| !ends(pod));
        let all = all.collect::<BTreeSet<&str>>().len();
        let known = self.node.map(|node| node.since);
        let since =
            known.or_else(|| silent.iter().flatten().copied().max_by_key(|since| since.at))?;
        let are_most = overdue.len() >= PODS && overdue.len() * 2 > all;
        are_most.then_some(NodeSilence { since, is_of_all: false, newest: None })
    }

    /// What else is not synced, for each volume.
    fn extents(&self, silent: &[Option<Since>]) -> Vec<Extent> {
        let all: Vec<(&VolumeKey, &Volume, bool)> = self
            .volumes
            .iter()
            .zip(silent)
            .map(|((key, volume), silent)| (key, volume, silent.is_some()))
            .collect();
        let mut extents = Vec::with_capacity(all.len());
        for pod in all.chunk_by(|(one, ..), (other, ..)| one.pod_uid == other.pod_uid) {
            let since = silent[extents.len()..].iter();
            extents
                .extend(pod.iter().zip(since).map(|(one, since)| self.extent(pod, one.1, *since)));
        }
        extents
    }

    fn extent(
        &self,
        pod: &[(&VolumeKey, &Volume, bool)],
        volume: &Volume,
        since: Option<Since>,
    ) -> Extent {
        let was_alone = volume.silence.is_some_and(|(_, extent)| extent == Extent::Volume);
        let after = since.map(|since| since.at + BUSY);
        // In the report that the pod goes on with, other volumes of it may be missing still.
        let by = self.until.filter(|_| !was_alone).map(|until| until - BUSY);
        let is_synced = |(_, other, is_silent): &(&VolumeKey, &Volume, bool)| {
            let known = Some(other.rhythm.last()).filter(|_| was_alone);
            let last = known.or(other.rhythm.last_sync()).filter(|_| !is_silent);
            let is_again = after.is_some_and(|after| other.rhythm.syncs_since(after) > 1);
            last > after && (is_again || by.is_none_or(|by| last < Some(by)))
        };
        if let Some(node) = self.node {
            if node.is_of_all { Extent::Node } else { Extent::Most }
        } else if pod.iter().any(is_synced) {
            Extent::Volume
        } else if pod.len() > 1 {
            Extent::Pod
        } else if self.volumes.len() > 1 {
            Extent::VolumeOrPod
        } else {
            Extent::Unknown
        }
    }
}
