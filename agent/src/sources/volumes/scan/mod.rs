//! Scans kubelet roots: every projected volume of every pod. Reports only what changed since the
//! last scan.

pub(super) mod absences;
pub(super) mod blind_spots;
mod context;
mod data_link;
mod denied;
mod directory;
mod due;
mod entry;
mod files;
mod found;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod generation;
pub(super) mod held_back;
mod opened;
mod pod;
mod room;
pub(super) mod secrets;
mod shown;
mod stamps;
mod tools;
mod volume;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::observation::Observation;

use super::layout::{self, PodId};
use crate::clocks;
use crate::sources::expected::ExpectedTokens;
use crate::sources::names;
use crate::sources::own_opens::OwnOpens;
use crate::sources::signatures::SharedKeys;
use crate::sources::token_volumes::TokenVolume;
use crate::sources::tokens::Stamp;
use context::Turn;
use opened::{Opened, fd, open_pods, stamp};
use pod::Pod;
use stamps::{Moment, TrustedStamp};
use tools::Tools;
use volume::{Suspicion, Volume};

/// Most pods without tokens that are reported: 20 times kubelet's default of 110 (`maxPods`).
const MAX_BARE: usize = 2_200;

/// What a scan of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pod directories.
    pub pods: usize,
    /// Projected volumes.
    pub volumes: usize,
    /// Token files, including broken ones.
    pub tokens: usize,
    /// What could not be scanned, as texts for people.
    pub problems: Vec<String>,
}

/// How the scan of one volume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeOutcome {
    /// Its content is known.
    Scanned,
    /// It exists and has no content, or none yet.
    Empty,
    /// It does not exist.
    Missing,
    /// It exists and cannot be opened.
    Unreadable(Errno),
}

/// Remembers what it has seen and reports what changed. The first scan reports everything.
#[derive(Debug)]
pub struct Scanner {
    roots: Vec<PathBuf>,
    /// Stamp of each root's pods directory when it was last listed.
    listed: Vec<Option<TrustedStamp>>,
    /// The pods in these directories, sorted.
    found: Vec<PodId>,
    pods: BTreeMap<PodId, Pod>,
    tools: Tools,
    /// The volumes of which files are not followed any more, since somebody asked.
    shrunk: Vec<(PodId, OsString)>,
}

impl Scanner {
    /// Of these kubelet roots.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self::with_clocks(roots, clocks::now)
    }

    /// With other clocks than the node's. For tests, whose files are too recent for their stamps to
    /// be trusted.
    pub fn with_clocks(roots: Vec<PathBuf>, now: fn() -> Reading) -> Self {
        Self {
            roots,
            listed: Vec::new(),
            found: Vec::new(),
            pods: BTreeMap::new(),
            tools: Tools::new(now),
            shrunk: Vec::new(),
        }
    }

    /// Notes each open of a file or directory there from now on.
    pub(super) fn note_opens(&mut self, own_opens: OwnOpens) {
        self.tools.reader.note_opens(own_opens);
    }

    /// Checks signatures against these keys from now on. A scan reads every token again whose
    /// signature was not checked with the keys as they are then.
    pub fn check_signatures(&mut self, keys: SharedKeys) {
        self.tools.reader.check_signatures(keys);
    }

    /// Expects tokens there from now on. Anything else in their place is reported.
    pub fn expect(&mut self, tokens: ExpectedTokens) {
        self.tools.expect(tokens);
    }

    /// The kubelet roots.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Adds a root that was found later.
    pub fn add_root(&mut self, root: PathBuf) {
        self.roots.push(root);
    }

    /// Scans everything.
    pub fn scan(&mut self, out: &mut Vec<Observation>) -> Summary {
        let mut problems = self.find_pods(out);
        let opened = self.open_roots();
        let found = std::mem::take(&mut self.found);
        for pod in &found {
            self.scan_pod(pod, fd(&opened[pod.root]), out);
        }
        self.found = found;
        problems.extend(self.problems());
        let (pods, volumes) = (self.found.len(), self.volumes().count());
        Summary { pods, volumes, tokens: self.tokens(), problems }
    }

    fn open_roots(&self) -> Vec<nix::Result<File>> {
        self.roots.iter().map(|root| open_pods(root)).collect()
    }

    /// The pods that exist, and the roots that could not be listed. Pods that do not exist any more
    /// are removed.
    pub fn list_pods(&mut self, out: &mut Vec<Observation>) -> (Vec<PodId>, Vec<String>) {
        let problems = self.find_pods(out);
        (self.found.clone(), problems)
    }

    /// Lists the pods, unless nothing has changed.
    fn find_pods(&mut self, out: &mut Vec<Observation>) -> Vec<String> {
        let moment = self.tools.moment();
        let opened = self.open_roots();
        let stamps: Vec<nix::Result<Stamp>> =
            opened.iter().map(|pods| fd(pods).and_then(stamp)).collect();
        if self.is_listing_current(&stamps, moment) {
            return Vec::new();
        }
        let trusted = |stamp: nix::Result<Stamp>| TrustedStamp::new(stamp.ok()?, moment);
        self.listed = stamps.into_iter().map(trusted).collect();
        let problems = self.list_roots(opened);
        self.remove_missing_pods(out);
        problems
    }

    fn is_listing_current(&self, stamps: &[nix::Result<Stamp>], moment: Moment) -> bool {
        let is_current = |(known, now): (&Option<TrustedStamp>, &nix::Result<Stamp>)| {
            known.is_some_and(|known| known.is_current(*now, moment))
        };
        self.listed.len() == stamps.len() && self.listed.iter().zip(stamps).all(is_current)
    }

    /// Lists the pods of every root. A root without a directory `pods` is a problem, too: nothing
    /// is watched there.
    fn list_roots(&mut self, opened: Vec<nix::Result<File>>) -> Vec<String> {
        let mut problems = Vec::new();
        self.found.clear();
        for (root, pods) in opened.into_iter().enumerate() {
            match self.names_in(pods) {
                Ok(names) => self.found.extend(names.into_iter().map(|name| PodId { root, name })),
                Err(errno) => problems.push(self.keep_pods(root, errno)),
            }
        }
        self.found.sort_unstable();
        problems
    }

    fn names_in(&mut self, pods: nix::Result<File>) -> nix::Result<Vec<OsString>> {
        pods.and_then(|pods| directory::subdirectories(pods.as_fd(), &mut self.tools.reader))
    }

    /// An unreadable root proves nothing about its pods: they stay. Returns the problem.
    fn keep_pods(&mut self, root: usize, errno: Errno) -> String {
        self.listed[root] = None;
        self.found.extend(self.pods.keys().filter(|pod| pod.root == root).cloned());
        unlisted(&self.roots[root], errno)
    }

    fn remove_missing_pods(&mut self, out: &mut Vec<Observation>) {
        let missing: Vec<PodId> = self
            .pods
            .keys()
            .filter(|pod| self.found.binary_search(pod).is_err())
            .cloned()
            .collect();
        for pod in missing {
            self.remove_pod(&pod, out);
        }
    }

    /// Scans every volume of one pod, below the open directory of pods.
    fn scan_pod(&mut self, pod: &PodId, pods: Opened<'_>, out: &mut Vec<Observation>) {
        let Some((known, tools)) = self.pod(pod) else { return };
        let mut turn = Turn::new(pod, tools);
        known.scan(pods, &mut turn, out);
        known.scan_secrets(pods, &mut turn);
        self.make_room(pod, out);
    }

    /// Follows fewer files of this pod, and of others if their room became smaller.
    fn make_room(&mut self, changed: &PodId, out: &mut Vec<Observation>) {
        let Self { pods, tools, shrunk, .. } = self;
        let (all, most) = (tools.room.has_fallen(), tools.room.of_pod());
        let mut shrink = |(id, pod): (&PodId, &mut Pod)| {
            let smaller = pod.shrink(most, id, &tools.expected, out).into_iter();
            shrunk.extend(smaller.map(|volume| (id.clone(), volume)));
        };
        if all {
            pods.iter_mut().for_each(shrink);
        } else if let Some(pod) = pods.get_mut(changed) {
            shrink((changed, pod));
        }
    }

    /// The volumes of which files are not followed any more, since the last call, because others
    /// need the room.
    pub(super) fn take_shrunk(&mut self) -> Vec<(PodId, OsString)> {
        std::mem::take(&mut self.shrunk)
    }

    /// What is known of a pod, which may be nothing yet. (The map's `entry` would need a copy of
    /// the key each time.)
    fn pod(&mut self, pod: &PodId) -> Option<(&mut Pod, &mut Tools)> {
        if !self.pods.contains_key(pod) {
            self.pods.insert(pod.clone(), Pod::default());
        }
        Some((self.pods.get_mut(pod)?, &mut self.tools))
    }

    /// The names of a pod's projected volumes.
    pub fn list_volumes(&mut self, pod: &PodId) -> Vec<OsString> {
        let pods = open_pods(&self.roots[pod.root]);
        let Some((known, tools)) = self.pod(pod) else { return Vec::new() };
        known.list(fd(&pods), &mut Turn::new(pod, tools))
    }

    /// Looks for Secret-based tokens in the Secret volumes of one pod, if it is known.
    pub fn scan_secrets(&mut self, pod: &PodId) {
        let pods = open_pods(&self.roots[pod.root]);
        if let Some(known) = self.pods.get_mut(pod) {
            known.scan_secrets(fd(&pods), &mut Turn::new(pod, &mut self.tools));
        }
    }

    /// Scans one volume.
    pub fn scan_volume(
        &mut self,
        pod: &PodId,
        volume: &OsStr,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        let pods = open_pods(&self.roots[pod.root]);
        let Some((known, tools)) = self.pod(pod) else { return VolumeOutcome::Missing };
        let outcome = known.scan_one(volume, fd(&pods), &mut Turn::new(pod, tools), out);
        self.make_room(pod, out);
        outcome
    }

    /// Removes a pod that does not exist any more, and reports its tokens as gone.
    pub fn remove_pod(&mut self, pod: &PodId, out: &mut Vec<Observation>) {
        let removed = self.pods.remove(pod).unwrap_or_default();
        self.tools.room.wants(pod, 0);
        removed.remove(pod, out);
    }

    /// The directory of a pod.
    pub fn pod_path(&self, pod: &PodId) -> PathBuf {
        layout::pods(&self.roots[pod.root]).join(&pod.name)
    }

    /// The known volumes of one pod.
    pub fn volumes_of(&self, pod: &PodId) -> impl Iterator<Item = &OsStr> {
        self.pods.get(pod).into_iter().flat_map(|pod| pod.volumes().map(|(name, _)| name))
    }

    /// Whether the volume was scanned before.
    pub fn knows(&self, pod: &PodId, volume: &OsStr) -> bool {
        self.pods.get(pod).is_some_and(|pod| pod.knows(volume))
    }

    /// Whether a volume was read since the last call.
    pub(super) fn take_news(&mut self, pod: &PodId, name: &OsStr) -> bool {
        let volume = self.pods.get_mut(pod).and_then(|pod| pod.known(name));
        volume.is_some_and(Volume::take_news)
    }

    /// A volume as one with tokens; none if it holds none.
    pub(super) fn token_volume(&self, pod: &PodId, name: &OsStr) -> Option<TokenVolume> {
        let mut volumes = self.pods.get(pod)?.volumes();
        volumes.find(|(known, _)| *known == name)?.1.as_token_volume(pod, name)
    }

    /// Volumes whose content may be hidden from the agent, and why.
    fn suspicious(&self) -> impl Iterator<Item = (&PodId, &OsStr, Suspicion)> {
        self.all().filter_map(|(pod, name, volume)| Some((pod, name, volume.suspicion()?)))
    }

    /// Volumes without files.
    fn empty(&self) -> impl Iterator<Item = (&PodId, &OsStr, &Volume)> {
        self.all().filter(|(_, _, volume)| volume.is_empty())
    }

    /// Whether a file was reported, and not that it is gone.
    fn is_reported(&self, pod: &PodId, volume: &OsStr, path: &Path) -> bool {
        let volumes = self.pods.get(pod).into_iter().flat_map(Pod::volumes);
        volumes.filter(|(name, _)| *name == volume).any(|(_, volume)| volume.reports(path))
    }

    /// The names of the pods without any token, sorted.
    pub fn pods_without_tokens(&self) -> Vec<String> {
        let bare = self.pods.iter().filter(|(_, pod)| pod.tokens() == 0);
        let listed = bare.filter(|(_, pod)| pod.list_error().is_none());
        listed.map(|(id, _)| names::text(&id.name).into_owned()).take(MAX_BARE).collect()
    }

    /// Pods whose volumes cannot be listed, with the error.
    fn unlistable(&self) -> impl Iterator<Item = (&PodId, Errno)> {
        self.pods.iter().filter_map(|(id, pod)| Some((id, pod.list_error()?)))
    }

    /// Every known volume.
    pub fn volumes(&self) -> impl Iterator<Item = (&PodId, &OsStr)> {
        self.all().map(|(pod, name, _)| (pod, name))
    }

    /// The UIDs of the pods with more volumes than `most`, once for each volume beyond that.
    pub(super) fn beyond(&self, most: usize) -> Vec<String> {
        let beyond = |(id, pod): (&PodId, &Pod)| {
            let count = pod.volumes().count().saturating_sub(most);
            std::iter::repeat_n(names::text(&id.name).into_owned(), count)
        };
        self.pods.iter().flat_map(beyond).collect()
    }

    fn tokens(&self) -> usize {
        self.pods.values().map(Pod::tokens).sum()
    }

    fn all(&self) -> impl Iterator<Item = (&PodId, &OsStr, &Volume)> {
        self.pods
            .iter()
            .flat_map(|(id, pod)| pod.volumes().map(move |(name, volume)| (id, name, volume)))
    }

    /// What was not scanned since the last call, apart from roots.
    pub fn problems(&mut self) -> Vec<String> {
        self.tools.own_limit.take().map(own_limit_reached).into_iter().collect()
    }
}

fn unlisted(root: &Path, errno: Errno) -> String {
    format!("{}: {} ({errno:?})", layout::pods(root).display(), errno.desc())
}

fn own_limit_reached(errno: Errno) -> String {
    format!(
        "the agent reached one of its own resource limits: {} ({errno:?}); raise its limit of open \
         files (LimitNOFILE) or of memory",
        errno.desc()
    )
}

#[cfg(test)]
impl Scanner {
    /// With so much room for files of each pod, and for those of all beyond that.
    fn with_room(roots: Vec<PathBuf>, of_each_pod: usize, beyond: usize) -> Self {
        let mut scanner = Self::new(roots);
        scanner.tools.room = room::Room::of(of_each_pod, beyond);
        scanner
    }

    /// How many files were opened for reading since the last call.
    fn take_opened(&mut self) -> usize {
        std::mem::take(&mut self.tools.reader.opened)
    }
}

#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod signature_tests;
