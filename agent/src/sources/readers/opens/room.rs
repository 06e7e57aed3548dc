//! Which volumes are followed: each takes watches, and a pod can have any number of volumes, and of
//! directories in them.

use std::collections::BTreeSet;

use tokenwatch_core::base::shares::{Tenant, fitting};
use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::Monotonic;
use tokenwatch_core::world::observation::{Observation, Unknown};

use super::instances::VolumeId;
use crate::sources::left_out::LeftOut;
use crate::sources::token_volumes::TokenVolume;

/// Watches on all volumes: four on each of 2,048 usual ones, twice those of a full node.
const MOST: usize = 8_192;
/// The same where that is more than half of what the kernel gives a user: the source of token files
/// needs watches, too. A kernel gives no fewer than 8,192, unless somebody lowers that. Then it
/// refuses some, and that names no pod.
const LEAST: usize = 8_192 / 2;

/// The volumes that are not followed, because their pods want more than their share of the watches.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    left_out: BTreeSet<VolumeId>,
    /// Those that were left out until the last call of [`Room::share`].
    freed: BTreeSet<VolumeId>,
    reported: LeftOut,
}

impl Default for Room {
    fn default() -> Self {
        let (left_out, freed) = (BTreeSet::new(), BTreeSet::new());
        Self { most: MOST, left_out, freed, reported: LeftOut::of(Unknown::Opens) }
    }
}

impl Room {
    /// Where the kernel gives so many watches, as far as that is known.
    pub(super) fn of_kernel(limit: Option<usize>) -> Self {
        Self { most: limit.map_or(MOST, |limit| (limit / 2).clamp(LEAST, MOST)), ..Self::default() }
    }

    /// Shares the watches among these volumes. Returns what is to be reported.
    pub(super) fn share<'a>(
        &mut self,
        now: Monotonic,
        volumes: impl Iterator<Item = (VolumeId, &'a TokenVolume)> + Clone,
    ) -> Option<Observation> {
        let crowded = self.crowded(volumes.clone());
        let before = std::mem::replace(&mut self.left_out, crowded);
        self.freed = &before - &self.left_out;
        let left_out = volumes.filter(|(id, _)| self.left_out.contains(id));
        self.reported.update(now, left_out.map(|(_, volume)| volume.pod_uid.as_str()))
    }

    /// When to share again, for what is left out and not reported yet.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.reported.due()
    }

    /// Whether the volume is not followed.
    pub(super) fn leaves_out(&self, volume: VolumeId) -> bool {
        self.left_out.contains(&volume)
    }

    /// Whether there is room for the volume only now.
    pub(super) fn has_freed(&self, volume: VolumeId) -> bool {
        self.freed.contains(&volume)
    }

    fn crowded<'a>(
        &self,
        volumes: impl Iterator<Item = (VolumeId, &'a TokenVolume)> + Clone,
    ) -> BTreeSet<VolumeId> {
        if volumes.clone().map(|(_, volume)| wanted(volume)).sum::<usize>() <= self.most {
            return BTreeSet::new();
        }
        let tenant = |volume: &TokenVolume| {
            // The source does not know the namespace.
            Tenant { namespace: None, pod: Some(volume.pod_uid.clone()) }
        };
        let items: Vec<_> = volumes.clone().map(|(_, one)| (tenant(one), wanted(one))).collect();
        let fits = fitting(self.most, &items);
        volumes.zip(fits).filter(|(_, fits)| !fits).map(|((id, _), _)| id).collect()
    }

    /// Why the readers of a volume of this pod are not seen.
    pub(super) fn too_many(&self, volume: &TokenVolume) -> String {
        format!(
            "the projected volumes and directories of pod {} are more than its share of the {} \
             that the agent watches",
            volume.pod_uid, self.most
        )
    }

    /// What does not work, if volumes are left out. The finding names their pods.
    pub(super) fn degraded(&self) -> Option<String> {
        let count = self.left_out.len();
        (count > 0).then(|| {
            format!(
                "{} not watched, because of pods with more than their share of {} watches",
                count_of(count, "volume"),
                self.most
            )
        })
    }
}

/// Two for the volume itself, and two for each directory that leads to a token.
fn wanted(volume: &TokenVolume) -> usize {
    2 + 2 * volume.token_directories().len()
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::base::time::Delta;
    use tokenwatch_core::world::observation::{Unwatched, UnwatchedPod};

    use super::*;
    use crate::sources::token_volumes::ProjectedFile;

    fn volume(pod: &str, directories: usize) -> TokenVolume {
        let file = |nth| ProjectedFile { path: format!("d{nth}/token").into(), is_token: true };
        let (pod_uid, volume) = (pod.to_owned(), "v".to_owned());
        TokenVolume { pod_uid, volume, files: (0..directories).map(file).collect(), is_whole: true }
    }

    fn numbered(volumes: &[TokenVolume]) -> impl Iterator<Item = (VolumeId, &TokenVolume)> + Clone {
        volumes.iter().zip(0..).map(|(volume, id)| (id, volume))
    }

    fn left_out(volumes: &[TokenVolume]) -> Vec<&str> {
        let mut room = Room::default();
        let _ = room.share(Monotonic::default(), numbered(volumes));
        let left = volumes.iter().zip(0..).filter(|(_, id)| room.leaves_out(*id));
        left.map(|(volume, _)| volume.pod_uid.as_str()).collect()
    }

    #[test]
    fn a_pod_with_thousands_of_directories_takes_no_watches_of_others() {
        let others = || (0..250).map(|nth| volume(&format!("p{nth}"), 1));
        let all: Vec<_> = others().collect();
        assert_eq!(left_out(&all), [""; 0]);
        let before: Vec<_> = [volume("hog", 4_000)].into_iter().chain(others()).collect();
        assert_eq!(left_out(&before), ["hog"]);
        let after: Vec<_> = others().chain([volume("hog", 4_000)]).collect();
        assert_eq!(left_out(&after), ["hog"]);
        assert!(Room::default().too_many(&after[250]).contains("of pod hog are more than"));
    }

    #[test]
    fn where_the_kernel_gives_few_watches_half_of_them_are_for_others() {
        for (limit, most) in
            [(None, MOST), (Some(14), 4_096), (Some(9_000), 4_500), (Some(1 << 20), MOST)]
        {
            assert_eq!(Room::of_kernel(limit).most, most);
        }
        let volumes = vec![volume("p", 1), volume("p", 1)];
        let most = volumes.iter().map(wanted).sum();
        for (most, left) in [(most, 0), (most - 1, 1), (0, 2)] {
            let mut room = Room { most, ..Room::default() };
            let _ = room.share(Monotonic::default(), numbered(&volumes));
            assert_eq!(room.left_out.len(), left, "{most}");
        }
    }

    #[test]
    fn of_thousands_of_volumes_the_first_are_followed() {
        let many = (0..3_000).map(|_| volume("hog", 0));
        let all: Vec<_> = many.chain([volume("p", 3)]).collect();
        let left = left_out(&all);
        assert!(
            left.iter().all(|pod| *pod == "hog") && left.len() == 3_000 - 2_045,
            "{}",
            left.len()
        );
    }

    fn at(secs: i64) -> Monotonic {
        Monotonic::default() + Delta::from_secs(secs)
    }

    #[test]
    fn the_pods_of_what_is_left_out_are_reported_once_and_until_there_is_room() {
        let reported = |pods: &[(&str, usize)]| {
            let pod = |(uid, volumes): &(&str, usize)| UnwatchedPod {
                pod_uid: (*uid).to_owned(),
                volumes: *volumes,
            };
            let pods = pods.iter().map(pod).collect();
            Some(Observation::Unwatched(Unwatched { unknown: Unknown::Opens, pods }))
        };
        let hog = |volumes| vec![volume("hog", 409); volumes]; // 820 watches each
        let others: Vec<_> = (0..20).map(|nth| volume(&format!("p{nth}"), 1)).collect();
        let all = |volumes| [hog(volumes), others.clone()].concat();
        let mut room = Room::default();
        // (time, volumes of the one pod, what is reported)
        let table = [
            (0, 9, None),
            (10, 10, None),
            (20, 10, reported(&[("hog", 1)])),
            (30, 10, None),
            (40, 12, reported(&[("hog", 3)])),
            (50, 9, reported(&[])),
            (60, 9, None),
        ];
        for (secs, volumes, expected) in table {
            let found = room.share(at(secs), numbered(&all(volumes)));
            assert_eq!(found, expected, "{secs} {volumes}");
            assert_eq!(room.degraded().is_some(), volumes > 9, "{volumes}");
            assert_eq!(room.due(), (secs == 10).then(|| at(15)), "{secs}");
        }
        let _ = room.share(at(70), numbered(&all(10)));
        let _ = room.share(at(70), numbered(&all(9)));
        assert_eq!((0..30).filter(|id| room.has_freed(*id)).collect::<Vec<_>>(), [9]);
    }
}
