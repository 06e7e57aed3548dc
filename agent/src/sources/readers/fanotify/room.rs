//! Which volumes are followed: each takes marks, and memory for what is known of each directory. A
//! pod can have any number of volumes, and of directories in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokenwatch_core::base::shares::{Tenant, fitting};
use tokenwatch_core::base::text::count_of;

use super::places::{MAX_DIRECTORIES, MAX_GENERATIONS, VolumeId};

/// Directories of all volumes: those of 3,276 usual ones, whose generations are one directory each.
/// A full node has 250 pods with four volumes each.
const MOST: usize = 16_384;

/// Every volume that somebody asked for.
#[derive(Debug, Default)]
pub(super) struct Room {
    asked: BTreeMap<VolumeId, Asked>,
    /// Volumes came, went or grew since they were shared among.
    has_changed: bool,
    /// Volumes that have room only since then, and are not followed yet.
    freed: BTreeSet<VolumeId>,
}

#[derive(Debug)]
struct Asked {
    path: PathBuf,
    /// Directories in the largest of its generations.
    directories: usize,
    has_room: bool,
}

impl Asked {
    /// The most directories that are kept of it: as many generations are as it has at once, or had
    /// a moment ago. So a rotation does not change it.
    fn wanted(&self) -> usize {
        1 + (MAX_GENERATIONS * self.directories).min(MAX_DIRECTORIES)
    }
}

impl Room {
    /// Somebody asks for the volume, of which the largest generation has so many directories.
    pub(super) fn ask(&mut self, volume: &VolumeId, path: &Path, directories: usize) {
        self.freed.remove(volume);
        if let Some(known) = self.asked.get_mut(volume) {
            self.has_changed |= known.directories != directories;
            (known.path, known.directories) = (path.to_owned(), directories);
            return;
        }
        let asked = Asked { path: path.to_owned(), directories, has_room: false };
        self.asked.insert(volume.clone(), asked);
        self.has_changed = true;
    }

    /// A generation of the volume has so many directories.
    pub(super) fn grow(&mut self, volume: &VolumeId, directories: usize) {
        if let Some(known) = self.asked.get_mut(volume)
            && known.directories < directories
        {
            known.directories = directories;
            self.has_changed = true;
        }
    }

    /// Nobody asks for the volume any more.
    pub(super) fn forget(&mut self, volume: &VolumeId) {
        self.has_changed |= self.asked.remove(volume).is_some();
        self.freed.remove(volume);
    }

    /// Shares the room among all. Returns the volumes that have lost theirs.
    pub(super) fn share(&mut self) -> Vec<VolumeId> {
        if !std::mem::take(&mut self.has_changed) {
            return Vec::new();
        }
        let (fits, mut lost) = (self.fitting(), Vec::new());
        for ((volume, asked), fits) in self.asked.iter_mut().zip(fits) {
            match (asked.has_room, fits) {
                (true, false) => {
                    self.freed.remove(volume);
                    lost.push(volume.clone());
                }
                (false, true) => self.freed.extend([volume.clone()]),
                (true, true) | (false, false) => {}
            }
            asked.has_room = fits;
        }
        lost
    }

    /// Of each volume, whether there is room for it.
    fn fitting(&self) -> Vec<bool> {
        if self.asked.values().map(Asked::wanted).sum::<usize>() <= MOST {
            return vec![true; self.asked.len()];
        }
        let item = |(volume, asked): (&VolumeId, &Asked)| {
            // The source does not know the namespace.
            let tenant = Tenant { namespace: None, pod: Some(volume.pod_uid.clone()) };
            (tenant, asked.wanted())
        };
        fitting(MOST, &self.asked.iter().map(item).collect::<Vec<_>>())
    }

    /// Whether there is room for the volume.
    pub(super) fn has(&self, volume: &VolumeId) -> bool {
        self.asked.get(volume).is_some_and(|asked| asked.has_room)
    }

    /// The volumes for which there is room only now, with their paths.
    pub(super) fn take_freed(&mut self) -> Vec<(VolumeId, PathBuf)> {
        let freed = std::mem::take(&mut self.freed).into_iter();
        freed.filter_map(|id| self.asked.get(&id).map(|it| (id, it.path.clone()))).collect()
    }

    /// The volumes for which there is none.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &VolumeId> {
        self.asked.iter().filter(|(_, asked)| !asked.has_room).map(|(volume, _)| volume)
    }

    /// What does not work, if volumes are left out. The finding names their pods.
    pub(super) fn degraded(&self) -> Option<String> {
        let count = self.left_out().count();
        (count > 0).then(|| {
            format!(
                "{} not marked, because of pods with more than their share of {MOST} directories",
                count_of(count, "volume")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pod: &str, volume: usize) -> VolumeId {
        VolumeId { pod_uid: pod.into(), volume: format!("v{volume:04}") }
    }

    fn ask(room: &mut Room, pod: &str, volumes: usize, directories: usize) -> Vec<VolumeId> {
        (0..volumes).for_each(|nth| room.ask(&id(pod, nth), Path::new("/p"), directories));
        room.share()
    }

    fn left_out(room: &Room) -> Vec<&str> {
        room.left_out().map(|volume| volume.pod_uid.as_str()).collect()
    }

    #[test]
    fn a_pod_with_any_number_of_directories_takes_no_room_of_others() {
        // (who asks first, and the volumes and directories of the one pod)
        for (is_first, volumes, directories) in
            [(true, 300, 64), (false, 300, 64), (true, 4_000, 1), (false, 4_000, 1)]
        {
            let mut room = Room::default();
            if is_first {
                let _ = ask(&mut room, "hog", volumes, directories);
            }
            for pod in 0..250 {
                let _ = ask(&mut room, &format!("p{pod}"), 4, 1);
                assert!((0..4).all(|nth| room.has(&id(&format!("p{pod}"), nth))));
            }
            let _ = ask(&mut room, "hog", volumes, directories);
            let left_out = left_out(&room);
            assert!(left_out.iter().all(|pod| *pod == "hog"), "{is_first} {volumes}");
            let followed = volumes - left_out.len();
            assert_eq!(followed, (MOST - 5_000) / (1 + (4 * directories).min(64)), "{is_first}");
            assert!(room.degraded().is_some());
        }
    }

    #[test]
    fn the_last_volumes_lose_their_room_and_get_it_back() {
        let mut room = Room::default();
        assert_eq!(ask(&mut room, "hog", 252, 64), []);
        assert_eq!((left_out(&room).len(), room.degraded()), (0, None));
        assert_eq!(room.take_freed().len(), 252);
        assert_eq!(ask(&mut room, "p", 1, 1), [id("hog", 251)], "16,380 and 5");
        assert_eq!(room.take_freed(), [(id("p", 0), PathBuf::from("/p"))]);
        assert_eq!((room.share(), left_out(&room)), (vec![], vec!["hog"]));
        room.forget(&id("p", 0));
        assert_eq!((room.share(), left_out(&room)), (vec![], vec![]));
        assert_eq!(room.take_freed(), [(id("hog", 251), PathBuf::from("/p"))]);
        assert_eq!(room.take_freed(), []);
    }

    #[test]
    fn a_volume_that_grows_takes_more_and_one_that_is_asked_for_again_does_not() {
        let mut room = Room::default();
        let _ = ask(&mut room, "p", 3_276, 1);
        assert_eq!(ask(&mut room, "p", 3_276, 1), [], "the same");
        room.grow(&id("p", 0), 1);
        assert_eq!(room.share(), [], "a rotation");
        room.grow(&id("p", 0), 3);
        assert_eq!(room.share(), [id("p", 3_275)]);
        room.ask(&id("p", 0), Path::new("/p"), 1); // mounted again with one
        assert_eq!((room.share(), left_out(&room)), (vec![], vec![]));
    }
}
