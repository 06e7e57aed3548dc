//! Scans kubelet roots: every projected volume of every pod. Reports only what changed since the
//! last scan.

pub(super) mod blind_spots;
mod data_link;
mod directory;
mod entry;
mod files;
mod pod;
mod stamps;
mod volume;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat};
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::observation::Observation;

use super::layout::{self, PodId};
use crate::clocks;
use crate::sources::tokens::{Reader, Stamp};
use pod::Pod;
use stamps::{ClockEras, Moment, TrustedStamp};
use volume::Volume;

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
}

/// What all scans share, so that a scan without changes allocates nothing.
#[derive(Debug)]
struct Tools {
    reader: Reader,
    /// Buffer for paths.
    path: PathBuf,
    eras: ClockEras,
    now: fn() -> Reading,
    /// The last error that was due to a limit of the agent itself.
    own_limit: Option<Errno>,
}

impl Tools {
    fn new(now: fn() -> Reading) -> Self {
        Self {
            reader: Reader::new(),
            path: PathBuf::new(),
            eras: ClockEras::default(),
            now,
            own_limit: None,
        }
    }

    fn moment(&mut self) -> Moment {
        self.eras.moment((self.now)())
    }
}

impl Scanner {
    /// Of these kubelet roots.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self::with_clocks(roots, clocks::now)
    }

    /// With other clocks than the node's. For tests, whose files are too recent for their stamps to
    /// be trusted.
    pub fn with_clocks(roots: Vec<PathBuf>, now: fn() -> Reading) -> Self {
        let (listed, found, pods) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { roots, listed, found, pods, tools: Tools::new(now) }
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
        let opened: Vec<nix::Result<File>> =
            self.roots.iter().map(|root| open_pods(root)).collect();
        let found = std::mem::take(&mut self.found);
        for pod in &found {
            self.scan_pod(pod, fd(&opened[pod.root]), out);
        }
        problems.extend(self.problems());
        let summary = Summary {
            pods: found.len(),
            volumes: self.volumes().count(),
            tokens: self.tokens(),
            problems,
        };
        self.found = found;
        summary
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
        let opened: Vec<nix::Result<File>> =
            self.roots.iter().map(|root| open_pods(root)).collect();
        let stamps: Vec<nix::Result<Stamp>> =
            opened.iter().map(|pods| fd(pods).and_then(stamp)).collect();
        if self.is_listing_current(&stamps, moment) {
            return Vec::new();
        }
        self.listed = stamps
            .into_iter()
            .map(|stamp| stamp.ok().and_then(|stamp| TrustedStamp::new(stamp, moment)))
            .collect();
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
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (root, pods) in opened.into_iter().enumerate() {
            let names = pods
                .and_then(|pods| directory::subdirectories(pods.as_fd(), &mut self.tools.reader));
            match names {
                Ok(names) => found.extend(names.into_iter().map(|name| PodId { root, name })),
                Err(errno) => {
                    problems.push(unlisted(&self.roots[root], errno));
                    self.listed[root] = None;
                    // An unreadable root proves nothing about its pods: they stay.
                    found.extend(self.pods.keys().filter(|pod| pod.root == root).cloned());
                }
            }
        }
        found.sort_unstable();
        self.found = found;
        problems
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
    fn scan_pod(
        &mut self,
        pod: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        out: &mut Vec<Observation>,
    ) {
        let Some((known, tools)) = self.pod(pod) else { return };
        known.scan(pod, pods, tools, out);
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
        known.list(pod, fd(&pods), tools)
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
        known.scan_one(pod, volume, fd(&pods), tools, out)
    }

    /// Removes a pod that does not exist any more, and reports its tokens as gone.
    pub fn remove_pod(&mut self, pod: &PodId, out: &mut Vec<Observation>) {
        self.pods.remove(pod).unwrap_or_default().remove(pod, out);
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

    /// Volumes that are empty or cannot be opened, with the error.
    fn suspicious(&self) -> impl Iterator<Item = (&PodId, &OsStr, Option<Errno>)> {
        self.all()
            .filter(|(_, _, volume)| volume.is_suspicious())
            .map(|(pod, name, volume)| (pod, name, volume.error()))
    }

    /// Pods whose volumes cannot be listed, with the error.
    fn unlistable(&self) -> impl Iterator<Item = (&PodId, Errno)> {
        self.pods.iter().filter_map(|(id, pod)| Some((id, pod.list_error()?)))
    }

    /// Every known volume.
    pub fn volumes(&self) -> impl Iterator<Item = (&PodId, &OsStr)> {
        self.all().map(|(pod, name, _)| (pod, name))
    }

    fn tokens(&self) -> usize {
        self.all().map(|(_, _, volume)| volume.tokens()).sum()
    }

    fn all(&self) -> impl Iterator<Item = (&PodId, &OsStr, &Volume)> {
        self.pods
            .iter()
            .flat_map(|(id, pod)| pod.volumes().map(move |(name, volume)| (id, name, volume)))
    }

    /// What was not scanned since the last call, apart from roots.
    pub fn problems(&mut self) -> Vec<String> {
        let limit = self.tools.own_limit.take().map(|errno| {
            format!(
                "the agent reached a limit of its own: {} ({errno:?}); raise its limit of open \
                 files (LimitNOFILE) or of memory",
                errno.desc()
            )
        });
        let truncated = self.all().filter(|(_, _, volume)| volume.is_truncated());
        let truncated = truncated.map(|(pod, name, _)| {
            format!(
                "volume {} of pod {} has more files, or deeper directories, than the agent scans",
                name.to_string_lossy(),
                pod.name.to_string_lossy()
            )
        });
        limit.into_iter().chain(truncated).collect()
    }
}

fn unlisted(root: &Path, errno: Errno) -> String {
    format!("{}: {} ({errno:?})", layout::pods(root).display(), errno.desc())
}

/// The descriptor of what is open, as often as it is needed.
fn fd<F: AsFd>(opened: &nix::Result<F>) -> nix::Result<BorrowedFd<'_>> {
    opened.as_ref().map(AsFd::as_fd).map_err(|errno| *errno)
}

fn stamp(open: BorrowedFd<'_>) -> nix::Result<Stamp> {
    fstat(open).map(|stat| Stamp::of(&stat))
}

/// The stamp of a path itself: a link is not followed.
fn stamp_at(directory: BorrowedFd<'_>, path: &Path) -> nix::Result<Stamp> {
    fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat))
}

fn open_pods(root: &Path) -> nix::Result<File> {
    File::open(layout::pods(root))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
}

/// Whether an error is due to a limit of the agent itself rather than to the file.
fn is_own_limit(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

#[cfg(test)]
impl Scanner {
    /// How many files were opened for reading since the last call.
    fn take_opened(&mut self) -> usize {
        std::mem::take(&mut self.tools.reader.opened)
    }
}
