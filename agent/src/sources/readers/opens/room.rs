//! Which volumes are followed: each takes watches, and a pod can have any number of volumes, and of
//! directories in them.

use std::collections::BTreeSet;

use tokenwatch_core::base::shares::{Tenant, fitting};

use super::instances::VolumeId;
use crate::sources::token_volumes::TokenVolume;
use crate::sources::watch_error::WatchError;

/// Watches on all volumes: four on each of 2,048 usual ones, twice those of a full node. The kernel
/// gives a user no fewer (`fs.inotify.max_user_watches`).
const MOST: usize = 8_192;

/// The volumes that are not followed, because their pods want more than their share of the watches.
pub(super) fn crowded<'a>(
    volumes: impl Iterator<Item = (VolumeId, &'a TokenVolume)> + Clone,
) -> BTreeSet<VolumeId> {
    if volumes.clone().map(|(_, volume)| wanted(volume)).sum::<usize>() <= MOST {
        return BTreeSet::new();
    }
    let tenant = |volume: &TokenVolume| {
        // The source does not know the namespace.
        Tenant { namespace: None, pod: Some(volume.pod_uid.clone()) }
    };
    let items: Vec<_> = volumes.clone().map(|(_, one)| (tenant(one), wanted(one))).collect();
    let fits = fitting(MOST, &items);
    volumes.zip(fits).filter(|(_, fits)| !fits).map(|((id, _), _)| id).collect()
}

/// Why a volume of this pod is not followed.
pub(super) fn too_many(volume: &TokenVolume) -> WatchError {
    WatchError::Other(format!(
        "the projected volumes and directories of pod {} are more than its share of the {MOST} \
         that the agent watches",
        volume.pod_uid
    ))
}

/// Two for the volume itself, and two for each directory that leads to a token.
fn wanted(volume: &TokenVolume) -> usize {
    2 + 2 * volume.token_directories().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::token_volumes::ProjectedFile;

    fn volume(pod: &str, directories: usize) -> TokenVolume {
        let file = |nth| ProjectedFile { path: format!("d{nth}/token").into(), is_token: true };
        let (pod_uid, volume) = (pod.to_owned(), "v".to_owned());
        TokenVolume { pod_uid, volume, files: (0..directories).map(file).collect(), is_whole: true }
    }

    fn left_out(volumes: &[TokenVolume]) -> Vec<&str> {
        let all = volumes.iter().zip(0..).map(|(volume, id)| (id, volume));
        let crowded = crowded(all);
        let left = volumes.iter().zip(0..).filter(|(_, id)| crowded.contains(id));
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
        assert!(too_many(&after[250]).to_string().contains("of pod hog are more than"));
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
}
