//! Kubelet roots to observations: every projected volume of every pod, and only what changed since
//! the last look.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Type;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::observation::Observation;

use super::listing;
use super::settled::{Eras, Moment, Settled};
use super::volume::{Looked, Looking, Owner, Volume, is_own_limit};
use crate::clocks;
use crate::discovery::roots::PROJECTED;
use crate::sources::tokens::{Reader, Stamp};

/// A UID has 36 characters, a static pod's 32; no name in a path is longer than this (NAME_MAX),
/// and nothing sensible near it.
const MAX_NAME: usize = 255;

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

/// What is known of a pod.
#[derive(Debug, Default)]
struct Pod {
    /// As long as this holds, the directory of its volumes need not be listed again.
    listed: Option<Settled>,
    /// The volumes in it.
    names: Vec<OsString>,
    /// Why they cannot even be listed.
    closed: Option<Errno>,
    /// Boxed, because a map makes room for eleven of the few that a pod has.
    volumes: BTreeMap<OsString, Box<Volume>>,
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
    /// The directories of pods when they were last listed, and what was in them.
    listed: Vec<Option<Settled>>,
    found: Vec<PodId>,
    pods: BTreeMap<PodId, Pod>,
    tools: Tools,
}

/// What every look uses, once for all of them: a look at what has not changed allocates nothing.
#[derive(Debug)]
struct Tools {
    reader: Reader,
    path: PathBuf,
    eras: Eras,
    now: fn() -> Reading,
    own_limit: Option<Errno>,
}

impl Tools {
    fn moment(&mut self) -> Moment {
        self.eras.moment((self.now)())
    }
}

impl Scanner {
    /// Over these kubelet roots.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self::with_clocks(roots, clocks::now)
    }

    /// Over these, by other clocks than the node's: for tests, in which nothing is old enough to be
    /// relied on.
    pub fn with_clocks(roots: Vec<PathBuf>, now: fn() -> Reading) -> Self {
        let tools = Tools {
            reader: Reader::new(),
            path: PathBuf::new(),
            eras: Eras::default(),
            now,
            own_limit: None,
        };
        Self { roots, listed: Vec::new(), found: Vec::new(), pods: BTreeMap::new(), tools }
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

    /// The pods there are, and the roots that could not be listed. Pods that are no longer there
    /// are forgotten.
    pub fn list_pods(&mut self, out: &mut Vec<Observation>) -> (Vec<PodId>, Vec<String>) {
        let problems = self.find_pods(out);
        (self.found.clone(), problems)
    }

    /// Lists the pods, unless nothing has changed since.
    fn find_pods(&mut self, out: &mut Vec<Observation>) -> Vec<String> {
        let moment = self.tools.moment();
        let opened: Vec<nix::Result<File>> =
            self.roots.iter().map(|root| open_pods(root)).collect();
        let stamps: Vec<nix::Result<Stamp>> =
            opened.iter().map(|pods| fd(pods).and_then(stamp_of)).collect();
        let holds = |(known, now): (&Option<Settled>, &nix::Result<Stamp>)| {
            known.is_some_and(|known| known.holds(*now, moment))
        };
        if self.listed.len() == stamps.len() && self.listed.iter().zip(&stamps).all(holds) {
            return Vec::new();
        }
        self.listed = stamps
            .into_iter()
            .map(|stamp| stamp.ok().and_then(|stamp| Settled::of(stamp, moment)))
            .collect();
        let problems = self.list_roots(opened);
        self.forget_the_gone(out);
        problems
    }

    fn list_roots(&mut self, opened: Vec<nix::Result<File>>) -> Vec<String> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (root, pods) in opened.into_iter().enumerate() {
            match pods.and_then(|pods| directories(pods.as_fd(), &mut self.tools.reader)) {
                Ok(names) => found.extend(names.into_iter().map(|name| PodId { root, name })),
                Err(errno) => {
                    // A kubelet root that has no `pods` yet is a problem too: nothing is seen
                    // there.
                    problems.push(format!(
                        "{}: {} ({errno:?})",
                        self.roots[root].join("pods").display(),
                        errno.desc()
                    ));
                    self.listed[root] = None;
                    // An unreadable root says nothing about its pods: they stay.
                    found.extend(self.pods.keys().filter(|pod| pod.root == root).cloned());
                }
            }
        }
        found.sort_unstable();
        self.found = found;
        problems
    }

    fn forget_the_gone(&mut self, out: &mut Vec<Observation>) {
        let gone: Vec<PodId> = self
            .pods
            .keys()
            .filter(|pod| self.found.binary_search(pod).is_err())
            .cloned()
            .collect();
        for pod in gone {
            self.forget_pod(&pod, out);
        }
    }

    /// Every volume of one pod, below the open directory of pods.
    fn scan_pod(
        &mut self,
        pod: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        out: &mut Vec<Observation>,
    ) {
        let Some((known, tools)) = self.pod(pod) else { return };
        let moment = tools.moment();
        let opened = known.open(pod, pods, tools, moment);
        let mut names = std::mem::take(&mut known.names);
        for name in &names {
            known.look(pod, name, fd(&opened), tools, moment, out);
        }
        let others: Vec<OsString> =
            known.volumes.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in &others {
            known.look(pod, name, fd(&opened), tools, moment, out);
        }
        std::mem::swap(&mut known.names, &mut names);
    }

    /// What is known of a pod, which may be nothing yet. (An `entry` would want a copy of the key
    /// each time.)
    fn pod(&mut self, pod: &PodId) -> Option<(&mut Pod, &mut Tools)> {
        if !self.pods.contains_key(pod) {
            self.pods.insert(pod.clone(), Pod::default());
        }
        Some((self.pods.get_mut(pod)?, &mut self.tools))
    }

    /// The names of a pod's projected volumes.
    pub fn list_volumes(&mut self, pod: &PodId) -> Vec<OsString> {
        let pods = self.pods_directory(pod);
        let Some((known, tools)) = self.pod(pod) else { return Vec::new() };
        let moment = tools.moment();
        let _ = known.open(pod, fd(&pods), tools, moment); // what failed is in `closed`
        known.names.clone()
    }

    /// One volume.
    pub fn scan_volume(
        &mut self,
        pod: &PodId,
        volume: &OsStr,
        out: &mut Vec<Observation>,
    ) -> VolumeLook {
        let pods = self.pods_directory(pod);
        let Some((known, tools)) = self.pod(pod) else { return VolumeLook::Gone };
        let moment = tools.moment();
        let opened = fd(&pods)
            .and_then(|pods| tools.reader.place(pods, &Path::new(&pod.name).join(PROJECTED)));
        known.look(pod, volume, fd(&opened), tools, moment, out)
    }

    /// A pod is no longer there.
    pub fn forget_pod(&mut self, pod: &PodId, out: &mut Vec<Observation>) {
        let uid = pod.name.to_string_lossy();
        for (name, volume) in self.pods.remove(pod).unwrap_or_default().volumes {
            volume.gone(Owner { pod_uid: &uid, volume: &name.to_string_lossy() }, out);
        }
    }

    /// The directory of a pod, for people and for watches.
    pub fn pod_path(&self, pod: &PodId) -> PathBuf {
        self.roots[pod.root].join("pods").join(&pod.name)
    }

    /// The volumes known of one pod.
    pub fn volumes_of(&self, pod: &PodId) -> impl Iterator<Item = &OsStr> {
        self.pods.get(pod).into_iter().flat_map(|pod| pod.volumes.keys().map(OsString::as_os_str))
    }

    /// Whether the volume was looked at before.
    pub fn knows(&self, pod: &PodId, volume: &OsStr) -> bool {
        self.pods.get(pod).is_some_and(|pod| pod.volumes.contains_key(volume))
    }

    /// Volumes that are empty or cannot be looked into.
    pub(super) fn suspicious(&self) -> impl Iterator<Item = (&PodId, &OsStr, Option<Errno>)> {
        self.all()
            .filter(|(_, _, volume)| volume.is_suspicious())
            .map(|(pod, name, volume)| (pod, name, volume.hidden_by()))
    }

    /// Pods whose volumes cannot be listed.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&PodId, Errno)> {
        self.pods.iter().filter_map(|(id, pod)| Some((id, pod.closed?)))
    }

    /// Every volume known.
    pub fn volumes(&self) -> impl Iterator<Item = (&PodId, &OsStr)> {
        self.all().map(|(pod, name, _)| (pod, name))
    }

    fn tokens(&self) -> usize {
        self.all().map(|(_, _, volume)| volume.tokens()).sum()
    }

    fn all(&self) -> impl Iterator<Item = (&PodId, &OsStr, &Volume)> {
        self.pods.iter().flat_map(|(id, pod)| {
            pod.volumes.iter().map(move |(name, volume)| (id, name.as_os_str(), volume.as_ref()))
        })
    }

    /// What was not looked at in the last pass, apart from roots.
    pub fn problems(&mut self) -> Vec<String> {
        let limit = self.tools.own_limit.take().map(|errno| {
            format!(
                "the agent ran into a limit of its own: {} ({errno:?}); raise LimitNOFILE or its \
                 memory",
                errno.desc()
            )
        });
        let cut = self.all().filter(|(_, _, volume)| volume.is_cut()).map(|(pod, name, _)| {
            format!(
                "volume {} of pod {} has more or deeper files than are looked at",
                name.to_string_lossy(),
                pod.name.to_string_lossy()
            )
        });
        limit.into_iter().chain(cut).collect()
    }

    fn pods_directory(&self, pod: &PodId) -> nix::Result<File> {
        open_pods(&self.roots[pod.root])
    }
}

impl Pod {
    /// Opens the directory of its volumes, and lists it unless nothing has changed since: that
    /// would be most of what a look at an unchanged pod costs.
    fn open(
        &mut self,
        id: &PodId,
        pods: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        moment: Moment,
    ) -> nix::Result<OwnedFd> {
        tools.path.as_mut_os_string().clear();
        tools.path.push(&id.name);
        tools.path.push(PROJECTED);
        let opened = pods.and_then(|pods| tools.reader.directory(pods, &tools.path));
        let now = fd(&opened).and_then(stamp_of);
        if self.listed.is_some_and(|known| known.holds(now, moment)) {
            return opened;
        }
        let names = fd(&opened).and_then(|opened| directories(opened, &mut tools.reader));
        let listed = now.ok().and_then(|stamp| Settled::of(stamp, moment));
        self.listed = listed.filter(|_| names.is_ok());
        self.closed = names
            .as_ref()
            .err()
            .copied()
            .filter(|errno| matches!(errno, Errno::EACCES | Errno::EPERM));
        self.names = names.unwrap_or_default();
        // What may not be listed may still be entered.
        opened.or_else(|_| pods.and_then(|pods| tools.reader.place(pods, &tools.path)))
    }

    /// Looks at one volume below the open directory of volumes.
    fn look(
        &mut self,
        id: &PodId,
        name: &OsStr,
        parent: nix::Result<BorrowedFd<'_>>,
        tools: &mut Tools,
        moment: Moment,
        out: &mut Vec<Observation>,
    ) -> VolumeLook {
        if !self.volumes.contains_key(name) {
            self.volumes.insert(name.to_owned(), Box::default());
        }
        let Some(known) = self.volumes.get_mut(name) else { return VolumeLook::Gone };
        if parent.is_ok_and(|parent| known.is_unchanged(parent, name, &mut tools.path, moment)) {
            return VolumeLook::Whole;
        }
        let (pod_uid, volume) = (id.name.to_string_lossy(), name.to_string_lossy());
        let opened = parent.and_then(|parent| tools.reader.place(parent, Path::new(name)));
        let mut looking = Looking {
            reader: &mut tools.reader,
            owner: Owner { pod_uid: &pod_uid, volume: &volume },
            moment,
            out,
        };
        match fd(&opened).and_then(|opened| known.look(opened, &mut looking)) {
            Ok(Looked::Whole) => VolumeLook::Whole,
            Ok(Looked::Empty) => VolumeLook::Empty,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE) => {
                if let Some(volume) = self.volumes.remove(name) {
                    volume.gone(looking.owner, looking.out);
                }
                VolumeLook::Gone
            }
            Err(errno) if is_own_limit(errno) => {
                tools.own_limit = Some(errno);
                VolumeLook::Hidden(errno)
            }
            Err(errno) => {
                known.hide(errno, &mut looking);
                VolumeLook::Hidden(errno)
            }
        }
    }
}

/// What is open, to be looked at as often as needed.
fn fd<F: AsFd>(opened: &nix::Result<F>) -> nix::Result<BorrowedFd<'_>> {
    opened.as_ref().map(AsFd::as_fd).map_err(|errno| *errno)
}

fn stamp_of(fd: BorrowedFd<'_>) -> nix::Result<Stamp> {
    fstat(fd).map(|stat| Stamp::of(&stat))
}

fn open_pods(root: &Path) -> nix::Result<File> {
    File::open(root.join("pods"))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
}

/// The directories in a directory, links left out, in order.
fn directories(directory: BorrowedFd<'_>, reader: &mut Reader) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    listing::each(directory, &mut reader.names, |name, kind| {
        if matches!(kind, Some(Type::Directory) | None) && name.len() <= MAX_NAME {
            names.push(name.to_owned());
        }
        ControlFlow::Continue(())
    })?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
impl Scanner {
    /// How many files were opened to be read since this was last asked.
    pub(super) fn take_opened(&mut self) -> usize {
        std::mem::take(&mut self.tools.reader.opened)
    }
}
