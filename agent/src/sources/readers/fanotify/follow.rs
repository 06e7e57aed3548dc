//! Which directories are marked: of each volume its root, where a new generation is announced, and
//! its generations with the directories in them.
//!
//! Nothing is kept open, and almost nothing is opened: a descriptor would keep the mount busy.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokenwatch_core::base::time::Monotonic;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::ReaderEvent;

use super::group::{Group, MarkError};
use super::places::{MAX_DIRECTORIES, Place, Places, Role, Seen, VolumeId};
use super::record::{ACCESS, CREATE, ON_CHILD, ON_DIRECTORY, OPEN};
use super::room::Room;
use crate::sources::watchdog::Progress;
use crate::{clocks, sys};

/// Of a volume's root: new generations.
const OF_ROOT: u64 = CREATE | ON_DIRECTORY;
/// Of a generation: opens of its files, new directories, and reads. Reads matter when it has been
/// replaced: then somebody kept a descriptor. Kubelet removes it at once, and what is removed
/// cannot be marked any more.
const OF_GENERATION: u64 = OPEN | ACCESS | CREATE | ON_DIRECTORY | ON_CHILD;
/// The link to the current generation.
const DATA: &str = "..data";
/// Directories of one generation that are followed, and how deep.
const MAX_INSIDE: usize = 32;
const MAX_DEPTH: usize = 8;
/// Volumes whose failure is kept.
const MAX_FAILED: usize = 1_024;

/// Asks the kernel for the opens of token files, with the process of each. Clones share one group.
#[derive(Clone, Debug)]
pub struct Openers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    group: Group,
    places: Mutex<Places>,
    /// Locked for a moment, and never while somebody waits for `places`.
    room: Mutex<Room>,
    failed: Mutex<BTreeMap<VolumeId, (PathBuf, MarkError)>>,
    /// Events cannot be read.
    is_broken: AtomicBool,
    /// Of the thread that reads them, once it runs.
    progress: OnceLock<Progress>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Openers {
    /// With a group that was created before CAP_SYS_ADMIN was given up.
    pub fn new(group: Group) -> Self {
        let (places, room, failed) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (is_broken, progress) = (AtomicBool::new(false), OnceLock::new());
        Self(Arc::new(Shared { group, places, room, failed, is_broken, progress }))
    }

    /// Follows the volume that is at `path` now, in whichever generations it has, unless its pod
    /// has more than its share. Cheap for one that is followed already. A failure is reported by
    /// the source.
    pub fn follow(&self, volume: &VolumeId, path: &Path) {
        let error = self.try_follow(volume, path).err();
        let error = error.filter(|error| *error != MarkError::Missing);
        let mut failed = lock(&self.0.failed);
        failed.remove(volume);
        if let Some(error) = error
            && failed.len() < MAX_FAILED
        {
            failed.insert(volume.clone(), (path.to_owned(), error));
        }
    }

    /// Tries again what failed, and what there was no room for.
    pub(super) fn retry(&self) {
        self.share(&mut lock(&self.0.places));
        let freed = lock(&self.0.room).take_freed();
        for (volume, path) in freed {
            self.follow(&volume, &path);
        }
        let failed = lock(&self.0.failed).clone();
        for (volume, (path, _)) in failed {
            self.follow(&volume, &path);
        }
    }

    fn try_follow(&self, id: &VolumeId, path: &Path) -> Result<(), MarkError> {
        let root = sys::file_id(path)?;
        let mut places = lock(&self.0.places);
        if places.has_root(id, &root) {
            return Ok(());
        }
        if !self.has_room(&mut places, id, path) {
            return Ok(());
        }
        let volume = places.add_volume(id.clone(), path.to_owned(), root);
        let marked = self.0.group.mark(path, OF_ROOT);
        let marked = marked.and_then(|()| self.follow_all(&mut places, &volume, path));
        marked.inspect_err(|_| places.remove(&volume))
    }

    fn has_room(&self, places: &mut Places, volume: &VolumeId, path: &Path) -> bool {
        let directories = largest_generation(path);
        lock(&self.0.room).ask(volume, path, directories);
        self.share(places);
        lock(&self.0.room).has(volume)
    }

    /// Forgets the volumes for which there is no room any more.
    fn share(&self, places: &mut Places) {
        let lost = lock(&self.0.room).share();
        for volume in lost {
            places.remove(&volume);
        }
    }

    /// Forgets the volume. Its marks end with its directories.
    pub fn forget(&self, volume: &VolumeId) {
        lock(&self.0.places).remove(volume);
        lock(&self.0.room).forget(volume);
        lock(&self.0.failed).remove(volume);
    }

    /// Whether this is an open, or a read of a replaced generation, that another source saw without
    /// its process, and that these openers certainly see, too. It happened after `after`, and is
    /// reported `now`.
    pub fn sees(&self, observation: &Observation, after: Monotonic, now: Monotonic) -> bool {
        let Observation::Readers(seen) = observation else { return false };
        let (volume, pod_uid) = (seen.volume.clone(), seen.pod_uid.clone());
        match &seen.what {
            ReaderEvent::Opened { directory, path, by: None, .. }
            | ReaderEvent::ReadAgain { directory, path: Some(path), by: None, .. } => {
                self.sees_in(&VolumeId { pod_uid, volume }, directory, path, (after, now))
            }
            ReaderEvent::Opened { .. }
            | ReaderEvent::ReadAgain { .. }
            | ReaderEvent::Watching { .. }
            | ReaderEvent::Held { .. }
            | ReaderEvent::Missed { .. }
            | ReaderEvent::Unseen { .. } => false,
        }
    }

    fn sees_in(
        &self,
        volume: &VolumeId,
        directory: &str,
        path: &str,
        (after, now): (Monotonic, Monotonic),
    ) -> bool {
        let parent = path.rfind('/').map_or("", |slash| &path[..=slash]);
        let mut found = false;
        lock(&self.0.places).inside(volume, |generation, below, seen| {
            found |= seen.includes(after, now) && generation == directory && below == parent;
        });
        let stands_still = || self.0.progress.get().is_some_and(|work| work.stands_still(now));
        found && !self.0.is_broken.load(Ordering::Relaxed) && !stands_still()
    }

    /// A thread reads events from now on. While it stands still, it sees nothing.
    pub(super) fn read_by(&self, progress: Progress) {
        let _ = self.0.progress.set(progress); // there is one such thread
    }

    /// Events cannot be read, or can be read again.
    pub(super) fn set_broken(&self, is_broken: bool) {
        self.0.is_broken.store(is_broken, Ordering::Relaxed);
    }

    /// The group.
    pub(super) fn group(&self) -> &Group {
        &self.0.group
    }

    /// What is known of a directory.
    pub(super) fn place(&self, directory: &[u8]) -> Option<Place> {
        lock(&self.0.places).get(directory).cloned()
    }

    /// Every volume that is followed.
    pub(super) fn volumes(&self) -> Vec<VolumeId> {
        lock(&self.0.places).volumes().map(|(id, _)| VolumeId::clone(id)).collect()
    }

    /// The UID of the pod of each volume for which there is no room.
    pub(super) fn left_out(&self) -> Vec<String> {
        lock(&self.0.room).left_out().map(|volume| volume.pod_uid.clone()).collect()
    }

    /// What does not work for lack of room.
    pub(super) fn crowded(&self) -> Option<String> {
        lock(&self.0.room).degraded()
    }

    /// How many volumes cannot be followed, and why one of them cannot.
    pub(super) fn failed(&self) -> Option<(usize, MarkError)> {
        let failed = lock(&self.0.failed);
        failed.values().next().map(|(_, error)| (failed.len(), *error))
    }

    /// Whether the generation is the volume's current one.
    pub(super) fn is_current(&self, volume: &VolumeId, generation: &str) -> bool {
        let places = lock(&self.0.places);
        places.path(volume).is_some_and(|root| leads_to(root, generation))
    }

    /// Follows what was created in a followed directory: a generation in a root, or a directory in
    /// a generation.
    pub(super) fn follow_created(&self, place: &Place, name: &str) {
        let mut places = lock(&self.0.places);
        let Some(root) = places.path(&place.volume).map(Path::to_owned) else { return };
        let followed = match &place.role {
            Role::Root if !is_generation(name) => Ok(()),
            Role::Root => {
                let generation = name.into();
                let inside = Inside { volume: &place.volume, root: &root, generation: &generation };
                self.follow_inside(&mut places, &inside, "", MAX_DEPTH)
            }
            Role::In { generation, below, .. } => {
                let inside = Inside { volume: &place.volume, root: &root, generation };
                self.follow_inside(&mut places, &inside, &format!("{below}{name}/"), MAX_DEPTH)
            }
        };
        let _ = followed; // removed again, or the limit: then the next rescan reports it
    }

    /// After lost events: the creation of a generation may be among them.
    pub(super) fn follow_again(&self) {
        let mut places = lock(&self.0.places);
        let all: Vec<_> =
            places.volumes().map(|(id, path)| (Arc::clone(id), path.to_owned())).collect();
        for (volume, path) in all {
            let _ = self.follow_all(&mut places, &volume, &path); // the next rescan reports it
        }
    }

    /// Every generation that the volume has now.
    fn follow_all(
        &self,
        places: &mut Places,
        volume: &Arc<VolumeId>,
        root: &Path,
    ) -> Result<(), MarkError> {
        for name in directories(root).filter(|name| is_generation(name)) {
            let generation = name.as_str().into();
            let inside = Inside { volume, root, generation: &generation };
            self.follow_inside(places, &inside, "", MAX_DEPTH)?;
        }
        Ok(())
    }

    /// A generation's directory, or one in it, and those below. Marked first and listed afterwards,
    /// so that none is missed.
    fn follow_inside(
        &self,
        places: &mut Places,
        inside: &Inside<'_>,
        below: &str,
        depth: usize,
    ) -> Result<(), MarkError> {
        if places.count(inside.volume, inside.generation) >= MAX_DIRECTORIES {
            return Ok(()); // the kernel's marks take memory, too
        }
        let path = inside.root.join(&**inside.generation).join(below);
        self.0.group.mark(&path, OF_GENERATION)?;
        let id = sys::file_id(&path)?;
        places.add(inside.volume, id, (inside.generation, below.to_owned()), inside.seen());
        let count = places.count(inside.volume, inside.generation);
        lock(&self.0.room).grow(inside.volume, count);
        if depth == 0 || !has_directories(&path) {
            return Ok(());
        }
        for name in directories(&path).take(MAX_INSIDE) {
            self.follow_inside(places, inside, &format!("{below}{name}/"), depth - 1)?;
        }
        Ok(())
    }
}

/// A generation of a volume.
struct Inside<'a> {
    volume: &'a Arc<VolumeId>,
    root: &'a Path,
    generation: &'a Arc<str>,
}

impl Inside<'_> {
    /// What is seen of a directory that was marked just now. Nobody has opened a file of a
    /// generation before it is the current one.
    fn seen(&self) -> Seen {
        let is_new = !leads_to(self.root, self.generation);
        Seen { since: (!is_new).then(|| clocks::now().monotonic) }
    }
}

/// Whether `..data` of the volume leads to this generation.
fn leads_to(root: &Path, generation: &str) -> bool {
    fs::read_link(root.join(DATA)).is_ok_and(|target| target == Path::new(generation))
}

/// Whether kubelet's AtomicWriter gives a directory such a name: `..2026_11_24_10_00_00.123`.
fn is_generation(name: &str) -> bool {
    name.len() > 2 && name.starts_with("..") && name != DATA
}

/// How many directories the largest generation of a volume has; no more are counted than are
/// followed.
fn largest_generation(root: &Path) -> usize {
    let generations = directories(root).filter(|name| is_generation(name));
    generations.map(|name| count_directories(&root.join(name), MAX_DEPTH)).max().unwrap_or(1)
}

/// The directory, and those in it that are followed.
fn count_directories(path: &Path, depth: usize) -> usize {
    if depth == 0 || !has_directories(path) {
        return 1;
    }
    let mut count = 1;
    for name in directories(path).take(MAX_INSIDE) {
        if count >= MAX_DIRECTORIES {
            return MAX_DIRECTORIES;
        }
        count += count_directories(&path.join(name), depth - 1);
    }
    count.min(MAX_DIRECTORIES)
}

/// A directory of a tmpfs has one link more for each directory in it.
fn has_directories(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found: Metadata| found.nlink() > 2)
}

/// Names of the directories in a directory; of none that cannot be listed. A name that is no UTF-8
/// is no name that kubelet gives.
fn directories(path: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_generations_are_recognised() {
        let table = [
            ("..2026_11_24_10_00_00.123", true),
            ("..data", false),
            ("..data_tmp", true), // a link, of which no event about a directory tells
            ("..", false),
            ("token", false),
        ];
        for (name, expected) in table {
            assert_eq!(is_generation(name), expected, "{name}");
        }
    }

    #[test]
    fn links_to_directories_are_no_directories() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap(); // a tmpfs, as a volume is
        fs::create_dir_all(folder.path().join("..1/sub")).unwrap();
        std::os::unix::fs::symlink("..1", folder.path().join(DATA)).unwrap();
        assert_eq!(directories(folder.path()).collect::<Vec<_>>(), ["..1"]);
        assert_eq!(directories(Path::new("/no/such/folder")).count(), 0);
        let table = [(vec![], 2), (vec!["..2/a/b", "..2/a/c", "ordinary/d/e/f"], 4)];
        for (more, expected) in table {
            for path in &more {
                fs::create_dir_all(folder.path().join(path)).unwrap();
            }
            assert_eq!(largest_generation(folder.path()), expected, "{more:?}");
        }
        for nth in 0..MAX_DIRECTORIES {
            fs::create_dir_all(folder.path().join(format!("..2/{}/{nth}", nth % 8))).unwrap();
        }
        assert_eq!(largest_generation(folder.path()), MAX_DIRECTORIES);
        assert_eq!(largest_generation(Path::new("/no/such/folder")), 1);
    }
}
