//! Kubelet roots to observations: every projected volume of every pod, and only what changed since the last look.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use tokenwatch_core::observation::Observation;
use tokenwatch_core::time::{Delta, Wall};

use super::reader::{Reader, Stamp};
use super::volume::{Looked, Owner, Volume, is_own_limit, stamp};
use crate::clocks;

/// Where kubelet keeps projected volumes below a pod's directory (pkg/kubelet/kubelet_getters.go, plugin name escaped).
pub(super) const PROJECTED: &str = "volumes/kubernetes.io~projected";
/// A UID has 36 characters, a static pod's 32; no name in a path is longer than this (NAME_MAX), and nothing sensible near it.
const MAX_NAME: usize = 255;
/// Two changes in one tick of the kernel's clock (4 ms at 250 Hz) leave the same stamp: only an older one is trusted, with plenty to spare.
const SETTLED: Delta = Delta::from_secs(1);

/// A pod's directory: which root it is under, and its name, which is the pod's UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId {
    /// Index into the scanner's roots.
    pub root: usize,
    /// The directory's name.
    pub name: OsString,
}

/// What a pass over everything came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pod directories.
    pub pods: usize,
    /// Projected volumes.
    pub volumes: usize,
    /// Token files, the broken ones too.
    pub tokens: usize,
    /// What could not be looked at, for people.
    pub problems: Vec<String>,
}

/// A pod's projected volumes, as their directory had them.
#[derive(Debug)]
struct Listed {
    stamp: Stamp,
    names: Vec<OsString>,
}

/// How a look at one volume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeLook {
    /// Its content is known.
    Whole,
    /// It is there and nothing is in it, or not yet.
    Empty,
    /// It is not there.
    Gone,
    /// It is there and cannot be looked into.
    Hidden(Errno),
}

/// Knows what was seen; yields what changed. A new one's first pass yields everything.
#[derive(Debug)]
pub struct Scanner {
    roots: Vec<PathBuf>,
    reader: Reader,
    /// Boxed, because a map makes room for eleven of the few that a pod has.
    pods: BTreeMap<PodId, BTreeMap<OsString, Box<Volume>>>,
    /// Pods whose volumes cannot even be listed.
    closed: BTreeMap<PodId, Errno>,
    /// What a pod's volumes were when its directory of them was last listed.
    listed: BTreeMap<PodId, Listed>,
    own_limit: Option<Errno>,
}

impl Scanner {
    /// Over these kubelet roots.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, reader: Reader::new(), pods: BTreeMap::new(), closed: BTreeMap::new(), listed: BTreeMap::new(), own_limit: None }
    }

    /// The kubelet roots.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Takes one more, which has come since.
    pub fn add_root(&mut self, root: PathBuf) {
        self.roots.push(root);
    }

    /// One pass over everything.
    pub fn scan(&mut self, out: &mut Vec<Observation>) -> Summary {
        let (pods, mut problems) = self.list_pods(out);
        let opened: Vec<nix::Result<File>> = self.roots.iter().map(|root| open_pods(root)).collect();
        for pod in &pods {
            self.scan_pod(pod, opened[pod.root].as_ref().map(AsFd::as_fd).map_err(|errno| *errno), out);
        }
        problems.extend(self.problems());
        Summary { pods: pods.len(), volumes: self.volumes().count(), tokens: self.tokens(), problems }
    }

    /// The pods there are, and the roots that could not be listed. Pods that are no longer there are forgotten.
    pub fn list_pods(&mut self, out: &mut Vec<Observation>) -> (Vec<PodId>, Vec<String>) {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (root, path) in self.roots.iter().enumerate() {
            match pod_names(path) {
                Ok(names) => found.extend(names.into_iter().map(|name| PodId { root, name })),
                Err(problem) => {
                    problems.push(problem);
                    // An unreadable root says nothing about its pods: they stay.
                    found.extend(self.pods.keys().filter(|pod| pod.root == root).cloned());
                }
            }
        }
        found.sort_unstable();
        let gone: Vec<PodId> = self.pods.keys().filter(|pod| found.binary_search(pod).is_err()).cloned().collect();
        for pod in gone {
            self.forget_pod(&pod, out);
        }
        (found, problems)
    }

    /// Every volume of one pod, below the open directory of pods.
    fn scan_pod(&mut self, pod: &PodId, pods: nix::Result<BorrowedFd<'_>>, out: &mut Vec<Observation>) {
        let listed = self.volumes_in(pod, pods);
        for volume in &listed {
            self.scan_volume_in(pod, volume, pods, out);
        }
        let known: Vec<OsString> =
            self.volumes_of(pod).filter(|volume| !listed.iter().any(|name| name == volume)).map(OsStr::to_owned).collect();
        for volume in &known {
            self.scan_volume_in(pod, volume, pods, out);
        }
    }

    /// The names of a pod's projected volumes.
    pub fn list_volumes(&mut self, pod: &PodId) -> Vec<OsString> {
        let pods = self.pods_directory(pod);
        self.volumes_in(pod, pods.as_ref().map(AsFd::as_fd).map_err(|errno| *errno))
    }

    /// Listing is most of what a look at an unchanged pod would cost: a directory that has not changed since is not listed again.
    fn volumes_in(&mut self, pod: &PodId, pods: nix::Result<BorrowedFd<'_>>) -> Vec<OsString> {
        let at = Path::new(&pod.name).join(PROJECTED);
        let before = pods.and_then(|pods| stamp(pods, &at)).ok();
        if let Some(listed) = self.listed.get(pod).filter(|listed| Some(listed.stamp) == before) {
            return listed.names.clone();
        }
        let names = pods.and_then(|pods| self.reader.directory(pods, &at)).and_then(directories);
        self.closed.remove(pod);
        self.listed.remove(pod);
        match (&names, before.filter(is_settled)) {
            (Err(errno @ (Errno::EACCES | Errno::EPERM)), _) => drop(self.closed.insert(pod.clone(), *errno)),
            (Ok(names), Some(stamp)) => drop(self.listed.insert(pod.clone(), Listed { stamp, names: names.clone() })),
            _ => {}
        }
        names.unwrap_or_default()
    }

    /// One volume.
    pub fn scan_volume(&mut self, pod: &PodId, volume: &OsStr, out: &mut Vec<Observation>) -> VolumeLook {
        let pods = self.pods_directory(pod);
        self.scan_volume_in(pod, volume, pods.as_ref().map(AsFd::as_fd).map_err(|errno| *errno), out)
    }

    fn scan_volume_in(&mut self, pod: &PodId, volume: &OsStr, pods: nix::Result<BorrowedFd<'_>>, out: &mut Vec<Observation>) -> VolumeLook {
        let at = Path::new(&pod.name).join(PROJECTED).join(volume);
        let opened = pods.and_then(|pods| self.reader.place(pods, &at));
        let (pod_uid, name) = (pod.name.to_string_lossy(), volume.to_string_lossy());
        let owner = Owner { pod_uid: &pod_uid, volume: &name };
        let known = self.pods.entry(pod.clone()).or_default().entry(volume.to_owned()).or_default();
        let looked = opened.and_then(|fd| known.look(fd.as_fd(), &mut self.reader, owner, out));
        match looked {
            Ok(Looked::Whole) => VolumeLook::Whole,
            Ok(Looked::Empty) => VolumeLook::Empty,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE) => {
                self.forget_volume(pod, volume, out);
                VolumeLook::Gone
            }
            Err(errno) if is_own_limit(errno) => {
                self.own_limit = Some(errno);
                VolumeLook::Hidden(errno)
            }
            Err(errno) => {
                known.hide(errno, owner, out);
                VolumeLook::Hidden(errno)
            }
        }
    }

    /// A pod is no longer there.
    pub fn forget_pod(&mut self, pod: &PodId, out: &mut Vec<Observation>) {
        let uid = pod.name.to_string_lossy();
        self.closed.remove(pod);
        self.listed.remove(pod);
        for (name, volume) in self.pods.remove(pod).unwrap_or_default() {
            volume.gone(Owner { pod_uid: &uid, volume: &name.to_string_lossy() }, out);
        }
    }

    fn forget_volume(&mut self, pod: &PodId, name: &OsStr, out: &mut Vec<Observation>) {
        let Some(volumes) = self.pods.get_mut(pod) else { return };
        if let Some(volume) = volumes.remove(name) {
            volume.gone(Owner { pod_uid: &pod.name.to_string_lossy(), volume: &name.to_string_lossy() }, out);
        }
        if volumes.is_empty() {
            self.pods.remove(pod);
        }
    }

    /// The directory of a pod, for people and for watches.
    pub fn pod_path(&self, pod: &PodId) -> PathBuf {
        self.roots[pod.root].join("pods").join(&pod.name)
    }

    /// The volumes known of one pod.
    pub fn volumes_of(&self, pod: &PodId) -> impl Iterator<Item = &OsStr> {
        self.pods.get(pod).into_iter().flat_map(|volumes| volumes.keys().map(OsString::as_os_str))
    }

    /// Whether the volume was looked at before.
    pub fn knows(&self, pod: &PodId, volume: &OsStr) -> bool {
        self.pods.get(pod).is_some_and(|volumes| volumes.contains_key(volume))
    }

    /// Volumes that are empty or cannot be looked into.
    pub(super) fn suspicious(&self) -> impl Iterator<Item = (&PodId, &OsStr, Option<Errno>)> {
        let all = self.pods.iter().flat_map(|(pod, volumes)| volumes.iter().map(move |(name, volume)| (pod, name, volume)));
        all.filter(|(_, _, volume)| volume.is_suspicious()).map(|(pod, name, volume)| (pod, name.as_os_str(), volume.hidden_by()))
    }

    /// Pods whose volumes cannot be listed.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&PodId, Errno)> {
        self.closed.iter().map(|(pod, errno)| (pod, *errno))
    }

    /// Every volume known.
    pub fn volumes(&self) -> impl Iterator<Item = (&PodId, &OsStr)> {
        self.pods.iter().flat_map(|(pod, volumes)| volumes.keys().map(move |name| (pod, name.as_os_str())))
    }

    fn tokens(&self) -> usize {
        self.pods.values().flat_map(BTreeMap::values).map(|volume| volume.tokens()).sum()
    }

    /// What was not looked at in the last pass, apart from roots.
    pub fn problems(&mut self) -> Vec<String> {
        let limit = self
            .own_limit
            .take()
            .map(|errno| format!("the agent ran into a limit of its own: {} ({errno:?}); raise LimitNOFILE or its memory", errno.desc()));
        let cut = self.pods.iter().flat_map(|(pod, volumes)| volumes.iter().map(move |(name, volume)| (pod, name, volume)));
        let cut = cut.filter(|(_, _, volume)| volume.is_cut()).map(|(pod, name, _)| {
            format!("volume {} of pod {} has more or deeper files than are looked at", name.to_string_lossy(), pod.name.to_string_lossy())
        });
        limit.into_iter().chain(cut).collect()
    }

    fn pods_directory(&self, pod: &PodId) -> nix::Result<File> {
        open_pods(&self.roots[pod.root])
    }
}

/// Whether the directory changed long enough ago that a change after its listing shows in its stamp.
fn is_settled(stamp: &Stamp) -> bool {
    clocks::now().wall - Wall::from_nanos(stamp.changed_nanos()) > SETTLED
}

fn open_pods(root: &Path) -> nix::Result<File> {
    File::open(root.join("pods")).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
}

/// A kubelet root that has no `pods` yet is an error too: nothing is seen there.
fn pod_names(root: &Path) -> Result<Vec<OsString>, String> {
    open_pods(root)
        .and_then(|pods| directories(pods.into()))
        .map_err(|errno| format!("{}: {} ({errno:?})", root.join("pods").display(), errno.desc()))
}

/// The directories in a directory, links left out, in order.
fn directories(fd: std::os::fd::OwnedFd) -> nix::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::from_fd(fd)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(entry.file_type(), Some(Type::Directory) | None) && name != b"." && name != b".." && name.len() <= MAX_NAME {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
