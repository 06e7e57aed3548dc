//! Which directories are marked: of each volume its root, where a new generation is announced, and
//! its generations with the directories in them.
//!
//! Nothing is kept open, and almost nothing is opened: a descriptor would keep the mount busy.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenwatch_core::base::time::Monotonic;

use super::claims::{Claims, FileUse};
use super::group::{Group, MarkError};
use super::places::{Place, Places, Role, VolumeId};
use super::record::{ACCESS, CREATE, ON_CHILD, ON_DIRECTORY, OPEN};
use crate::sys;

/// Of a volume's root: new generations.
const OF_ROOT: u64 = CREATE | ON_DIRECTORY;
/// Of a generation: opens of its files, and new directories.
const OF_GENERATION: u64 = OPEN | CREATE | ON_DIRECTORY | ON_CHILD;
/// Of a replaced generation as well: reads through a descriptor that somebody kept.
const OF_REPLACED: u64 = ACCESS | ON_CHILD;
/// The link to the current generation.
const DATA: &str = "..data";
/// Directories of one generation that are followed, and how deep.
const MAX_INSIDE: usize = 32;
const MAX_DEPTH: usize = 8;
/// Volumes whose failure is remembered.
const MAX_FAILED: usize = 1_024;

/// Asks the kernel for the opens of token files, with the process of each. Clones share one group.
#[derive(Clone, Debug)]
pub struct Openers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    group: Group,
    places: Mutex<Places>,
    failed: Mutex<BTreeMap<VolumeId, MarkError>>,
    claims: Mutex<Claims>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Openers {
    /// With a group that was created before CAP_SYS_ADMIN was given up.
    pub fn new(group: Group) -> Self {
        let (places, failed, claims) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { group, places, failed, claims }))
    }

    /// Follows the volume that is at `path` now, in whichever generations it has. Cheap for one
    /// that is followed already. A failure is reported by the source.
    pub fn follow(&self, volume: &VolumeId, path: &Path) {
        let followed = self.try_follow(volume, path);
        let mut failed = lock(&self.0.failed);
        match followed {
            Ok(()) | Err(MarkError::Missing) => drop(failed.remove(volume)),
            Err(error) if failed.len() < MAX_FAILED => drop(failed.insert(volume.clone(), error)),
            Err(_) => {}
        }
    }

    fn try_follow(&self, id: &VolumeId, path: &Path) -> Result<(), MarkError> {
        let root = sys::file_id(path)?;
        let mut places = lock(&self.0.places);
        if places.has_root(id, &root) {
            return Ok(());
        }
        let volume = places.add_volume(id.clone(), path.to_owned(), root);
        let volume = volume.ok_or(MarkError::Limit)?;
        let marked = self.0.group.mark(path, OF_ROOT);
        let marked = marked.and_then(|()| self.follow_all(&mut places, &volume, path));
        marked.inspect_err(|_| places.remove(&volume))
    }

    /// Forgets the volume. Its marks end with its directories.
    pub fn forget(&self, volume: &VolumeId) {
        lock(&self.0.places).remove(volume);
        lock(&self.0.failed).remove(volume);
    }

    /// Takes what inotify saw, without its process. Gives it back if the volume is not followed:
    /// then the caller has to report it.
    pub fn take_unattributed(&self, used: FileUse, now: Monotonic) -> Result<(), FileUse> {
        if lock(&self.0.places).path(&used.volume).is_none() {
            return Err(used);
        }
        lock(&self.0.claims).claim(used, now)
    }

    /// What was seen, and what inotify saw.
    pub(super) fn claims(&self) -> MutexGuard<'_, Claims> {
        lock(&self.0.claims)
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

    /// How many volumes cannot be followed, and why one of them cannot.
    pub(super) fn failed(&self) -> Option<(usize, MarkError)> {
        let failed = lock(&self.0.failed);
        failed.values().next().map(|error| (failed.len(), *error))
    }

    /// Whether the generation is the volume's current one.
    pub(super) fn is_current(&self, volume: &VolumeId, generation: &str) -> bool {
        let places = lock(&self.0.places);
        let target = places.path(volume).and_then(|path| fs::read_link(path.join(DATA)).ok());
        target.is_some_and(|target| target == Path::new(generation))
    }

    /// Follows what was created in a followed directory: a generation in a root, or a directory in
    /// a generation.
    pub(super) fn follow_created(&self, place: &Place, name: &str) {
        let mut places = lock(&self.0.places);
        let Some(root) = places.path(&place.volume).map(Path::to_owned) else { return };
        let followed = match &place.role {
            Role::Root if !is_generation(name) => Ok(()),
            Role::Root => {
                self.follow_reads_of_replaced(&places, &place.volume, &root);
                let generation = name.into();
                let inside = Inside { volume: &place.volume, root: &root, generation: &generation };
                self.follow_inside(&mut places, &inside, "", MAX_DEPTH)
            }
            Role::In { generation, below } => {
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
        let path = inside.root.join(&**inside.generation).join(below);
        self.0.group.mark(&path, OF_GENERATION)?;
        let id = sys::file_id(&path)?;
        places.add(inside.volume, id, inside.generation, below.to_owned());
        if depth == 0 || !has_directories(&path) {
            return Ok(());
        }
        for name in directories(&path).take(MAX_INSIDE) {
            self.follow_inside(places, inside, &format!("{below}{name}/"), depth - 1)?;
        }
        Ok(())
    }

    /// Asks for reads of the generations that a new one is about to replace. That costs nothing
    /// where nobody kept a descriptor.
    fn follow_reads_of_replaced(&self, places: &Places, volume: &VolumeId, root: &Path) {
        for (generation, below) in places.inside(volume) {
            // Removed long ago, most of them.
            let _ = self.0.group.mark(&root.join(&*generation).join(below), OF_REPLACED);
        }
    }
}

/// A generation of a volume.
struct Inside<'a> {
    volume: &'a Arc<VolumeId>,
    root: &'a Path,
    generation: &'a Arc<str>,
}

/// Whether kubelet's AtomicWriter gives a directory such a name: `..2026_11_24_10_00_00.123`.
fn is_generation(name: &str) -> bool {
    name.len() > 2 && name.starts_with("..") && name != DATA
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
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("..1/sub")).unwrap();
        std::os::unix::fs::symlink("..1", folder.path().join(DATA)).unwrap();
        assert_eq!(directories(folder.path()).collect::<Vec<_>>(), ["..1"]);
        assert_eq!(directories(Path::new("/no/such/folder")).count(), 0);
    }
}
