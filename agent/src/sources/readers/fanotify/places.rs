//! The directories whose events the agent asked for: what is known of each by its identity.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenwatch_core::base::time::{Delta, Monotonic};

/// How much later another source may report an open: it looks at its queue after a pause, and waits
/// two seconds where an open may be kubelet's.
const LATE: Delta = Delta::from_secs(5);

/// Directories of one volume: its root, and of some generations the directory and those in it. A
/// pod decides how many directories its volume has.
pub(super) const MAX_DIRECTORIES: usize = 64;
/// Generations of a volume that are kept: as many as the core does. What opens an older one is
/// reported by inotify.
pub(super) const MAX_GENERATIONS: usize = 4;

/// A projected volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeId {
    /// UID of its pod.
    pub pod_uid: String,
    /// Its name in the pod.
    pub volume: String,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) volume: Arc<VolumeId>,
    pub(super) role: Role,
}

/// What it is in its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The volume itself.
    Root,
    /// A generation (`..2026_…`), or a directory in one.
    In {
        /// The generation's name.
        generation: Arc<str>,
        /// The directory's path in it: nothing, or one that ends with a slash.
        below: String,
        /// What is seen of it.
        seen: Seen,
    },
}

/// What is seen of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// From when on every open and every read is seen. None: from the beginning.
    pub(super) since: Option<Monotonic>,
}

impl Seen {
    /// Whether it certainly includes what happened after `after`, and is reported `now`.
    pub(super) fn includes(self, after: Monotonic, now: Monotonic) -> bool {
        self.since.is_none_or(|since| after >= since || now - since > LATE)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Places {
    directories: BTreeMap<Vec<u8>, Place>,
    volumes: BTreeMap<Arc<VolumeId>, Volume>,
}

#[derive(Debug)]
struct Volume {
    path: PathBuf,
    /// Oldest first, without the root.
    directories: VecDeque<Vec<u8>>,
    root: Vec<u8>,
}

impl Places {
    /// What is known of the directory with this identity.
    pub(super) fn get(&self, directory: &[u8]) -> Option<&Place> {
        self.directories.get(directory)
    }

    /// Where the volume is.
    pub(super) fn path(&self, volume: &VolumeId) -> Option<&Path> {
        self.volumes.get(volume).map(|known| known.path.as_path())
    }

    /// Every volume, with its path.
    pub(super) fn volumes(&self) -> impl Iterator<Item = (&Arc<VolumeId>, &Path)> {
        self.volumes.iter().map(|(id, volume)| (id, volume.path.as_path()))
    }

    /// Whether the volume is known with this root.
    pub(super) fn has_root(&self, volume: &VolumeId, root: &[u8]) -> bool {
        self.volumes.get(volume).is_some_and(|known| known.root == root)
    }

    /// Adds a volume, in the place of one with another root.
    pub(super) fn add_volume(
        &mut self,
        id: VolumeId,
        path: PathBuf,
        root: Vec<u8>,
    ) -> Arc<VolumeId> {
        self.remove(&id);
        let id = Arc::new(id);
        let place = Place { volume: Arc::clone(&id), role: Role::Root };
        self.directories.insert(root.clone(), place);
        let volume = Volume { path, directories: VecDeque::new(), root };
        self.volumes.insert(Arc::clone(&id), volume);
        id
    }

    /// How many directories are known of a generation.
    pub(super) fn count(&mut self, volume: &VolumeId, generation: &str) -> usize {
        let mut count = 0;
        self.inside(volume, |known, _, _| count += usize::from(known == generation));
        count
    }

    /// Adds a directory of a known volume. The oldest ones make room.
    pub(super) fn add(
        &mut self,
        volume: &Arc<VolumeId>,
        directory: Vec<u8>,
        (generation, below): (&Arc<str>, String),
        seen: Seen,
    ) {
        let Some(known) = self.volumes.get_mut(volume) else { return };
        if known.directories.len() >= MAX_DIRECTORIES
            && let Some(oldest) = known.directories.pop_front()
        {
            self.directories.remove(&oldest);
        }
        let role = Role::In { generation: Arc::clone(generation), below, seen };
        let place = Place { volume: Arc::clone(volume), role };
        if self.directories.insert(directory.clone(), place).is_none() {
            known.directories.reserve_exact(1); // each volume of the node has this list
            known.directories.push_back(directory);
        }
        self.drop_old_generations(volume);
    }

    /// Forgets the oldest generations of the volume, if there are too many.
    fn drop_old_generations(&mut self, volume: &VolumeId) {
        let mut generations: Vec<String> = Vec::new();
        self.inside(volume, |generation, _, _| {
            if !generations.iter().any(|known| known == generation) {
                generations.push(generation.to_owned());
            }
        });
        let surplus = generations.len().saturating_sub(MAX_GENERATIONS);
        let Some(known) = self.volumes.get_mut(volume) else { return };
        let all = &mut self.directories;
        known.directories.retain(|directory| {
            let is_old = all.get(directory).is_none_or(|place| match &place.role {
                Role::Root => false,
                Role::In { generation, .. } => {
                    generations[..surplus].iter().any(|old| **old == **generation)
                }
            });
            if is_old {
                all.remove(directory);
            }
            !is_old
        });
    }

    /// The directories of the volume's generations.
    pub(super) fn inside(
        &mut self,
        volume: &VolumeId,
        mut each: impl FnMut(&str, &str, &mut Seen),
    ) {
        let directories = self.volumes.get(volume).into_iter().flat_map(|known| &known.directories);
        for directory in directories {
            let role = self.directories.get_mut(directory).map(|place| &mut place.role);
            if let Some(Role::In { generation, below, seen }) = role {
                each(generation, below, seen);
            }
        }
    }

    /// Forgets a volume.
    pub(super) fn remove(&mut self, volume: &VolumeId) {
        let Some(known) = self.volumes.remove(volume) else { return };
        for directory in known.directories.into_iter().chain([known.root]) {
            self.directories.remove(&directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pod: &str) -> VolumeId {
        VolumeId { pod_uid: pod.into(), volume: "vol".into() }
    }

    fn bytes(number: usize) -> Vec<u8> {
        number.to_ne_bytes().to_vec()
    }

    #[test]
    fn directories_are_known_until_their_volume_is_removed_or_replaced() {
        let mut places = Places::default();
        let volume = places.add_volume(id("p"), "/p".into(), bytes(1));
        let generation: Arc<str> = "..2026".into();
        let seen = Seen { since: None };
        places.add(&volume, bytes(2), (&generation, String::new()), seen);
        places.add(&volume, bytes(3), (&generation, "sub/".into()), seen);
        assert_eq!(places.get(&bytes(1)).unwrap().role, Role::Root);
        let expected = Role::In { generation, below: "sub/".into(), seen };
        assert_eq!(places.get(&bytes(3)).unwrap().role, expected);
        assert!(places.has_root(&id("p"), &bytes(1)) && !places.has_root(&id("p"), &bytes(9)));
        places.add_volume(id("p"), "/p".into(), bytes(4));
        assert!((1..4).all(|number| places.get(&bytes(number)).is_none()));
        places.remove(&id("p"));
        assert!(places.get(&bytes(4)).is_none() && places.path(&id("p")).is_none());
    }

    #[test]
    fn what_happened_after_the_mark_is_seen() {
        let at = |millis: i64| Monotonic::from_nanos(millis * 1_000_000);
        let late = Seen { since: Some(at(10_000)) };
        // Between the mark and the report, in milliseconds, and whether it is certainly seen.
        let table = [(9_900, 10_050, false), (10_000, 10_050, true), (9_900, 15_001, true)];
        for (after, now, expected) in table {
            assert_eq!(late.includes(at(after), at(now)), expected, "{after} {now}");
        }
        assert!(Seen { since: None }.includes(at(0), at(1)));
    }

    #[test]
    fn the_last_generations_are_kept() {
        let mut places = Places::default();
        let volume = places.add_volume(id("p"), "/p".into(), bytes(0));
        let seen = Seen { since: None };
        for number in 1..=100 {
            let generation: Arc<str> = format!("..{number}").into();
            places.add(&volume, bytes(2 * number), (&generation, String::new()), seen);
            places.add(&volume, bytes(2 * number + 1), (&generation, "sub/".into()), seen);
        }
        let kept = (1..=201).filter(|number| places.get(&bytes(*number)).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), (194..=201).collect::<Vec<_>>());
    }

    #[test]
    fn no_number_of_directories_of_a_volume_grows_without_bound() {
        let mut places = Places::default();
        let volume = places.add_volume(id("p"), "/p".into(), bytes(0));
        for number in 1..=10 * MAX_DIRECTORIES {
            let seen = Seen { since: None };
            places.add(&volume, bytes(number), (&"..g".into(), String::new()), seen);
        }
        assert_eq!(places.directories.len(), MAX_DIRECTORIES + 1);
        assert_eq!(places.count(&volume, "..g"), MAX_DIRECTORIES);
        assert!(places.get(&bytes(10 * MAX_DIRECTORIES)).is_some(), "the newest is kept");
    }
}
