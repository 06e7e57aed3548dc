//! What kubelet sees and the agent does not: volumes, pods, or a whole root. An empty directory
//! alone proves nothing; kubelet's own marker of a mount does.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::observation::BlindSpot;

use super::Scanner;
use super::opened::is_own_limit;
use super::volume::Suspicion;
use crate::clocks;
use crate::sources::names;
use crate::sources::volumes::layout::{self, PROJECTED, PodId};

const NEEDS_PRIVILEGE: &str = "; run the agent as root or with CAP_DAC_READ_SEARCH";
const NEEDS_ROOT: &str =
    "; mount kubelet's root directory there, or name the right one with --root";
const NEEDS_PROPAGATION: &str = "kubelet has mounted this volume, and the agent's mount namespace \
                                 does not have the mount; set mountPropagation: HostToContainer \
                                 on the agent's hostPath mount of the kubelet root";
const TOO_MANY: &str = "it follows only some of the files there, because there are more, or deeper \
                        directories, than its share of those that an agent follows";

/// Everything that looks hidden now. Spots below a hidden root are left out.
pub(in crate::sources::volumes) fn all(scanner: &Scanner) -> Vec<BlindSpot> {
    let mut spots = roots(scanner);
    let mut below = volumes(scanner);
    below.retain(|spot| {
        !spots.iter().any(|root| Path::new(&spot.directory).starts_with(&root.directory))
    });
    spots.append(&mut below);
    spots.sort_unstable();
    spots
}

/// The roots whose pods cannot be listed now; the last scan may be out of date.
fn roots(scanner: &Scanner) -> Vec<BlindSpot> {
    let unreadable =
        scanner.roots().iter().filter_map(|root| Some((root, list_error(&layout::pods(root))?)));
    unreadable
        .map(|(root, errno)| spot(BlindSpot::ALL, BlindSpot::ALL, root, unlisted(errno)))
        .collect()
}

/// Why a directory cannot be listed. Limits of the agent itself are the source's problem, not the
/// root's.
fn list_error(directory: &Path) -> Option<Errno> {
    let errno = Errno::from_raw(directory.read_dir().err()?.raw_os_error()?);
    (!is_own_limit(errno)).then_some(errno)
}

/// The pods and volumes that look hidden now. Some may just be set up or torn down by kubelet.
pub(in crate::sources::volumes) fn volumes(scanner: &Scanner) -> Vec<BlindSpot> {
    let hidden = |(pod, name, why)| hidden_volume(scanner, pod, name, why);
    let volumes = scanner.suspicious().filter_map(hidden);
    let pods = scanner.unlistable().map(|(pod, errno)| {
        let directory = scanner.pod_path(pod).join(PROJECTED);
        spot(&names::text(&pod.name), BlindSpot::ALL, &directory, unreadable(errno))
    });
    let mut spots: Vec<BlindSpot> = volumes.chain(pods).collect();
    spots.sort_unstable();
    spots
}

/// A volume that cannot be read, or is empty though kubelet has mounted it.
fn hidden_volume(
    scanner: &Scanner,
    pod: &PodId,
    volume: &OsStr,
    why: Suspicion,
) -> Option<BlindSpot> {
    let at = scanner.pod_path(pod);
    let reason = match why {
        Suspicion::Empty => unmounted(&at, volume)?,
        Suspicion::Directory(errno) => unreadable(errno),
        Suspicion::Files(errno) => unreadable_files(errno),
        Suspicion::TooMany => TOO_MANY.to_owned(),
    };
    let directory = at.join(PROJECTED).join(volume);
    let is_partly = why == Suspicion::TooMany;
    let spot = spot(&names::text(&pod.name), &names::text(volume), &directory, reason);
    Some(BlindSpot { is_partly, ..spot })
}

fn spot(pod_uid: &str, volume: &str, directory: &Path, reason: String) -> BlindSpot {
    BlindSpot {
        pod_uid: pod_uid.to_owned(),
        volume: volume.to_owned(),
        directory: directory.display().to_string(),
        reason,
        is_partly: false,
    }
}

fn unreadable_files(errno: Errno) -> String {
    let remedy = if is_forbidden(errno) { NEEDS_PRIVILEGE } else { "" };
    format!(
        "none of the files that may be tokens can be read: {} ({errno:?}){remedy}",
        errno.desc()
    )
}

fn unreadable(errno: Errno) -> String {
    let remedy = if is_forbidden(errno) { NEEDS_PRIVILEGE } else { "" };
    format!("the directory cannot be read: {} ({errno:?}){remedy}", errno.desc())
}

fn unlisted(errno: Errno) -> String {
    let remedy = if is_forbidden(errno) { NEEDS_PRIVILEGE } else { NEEDS_ROOT };
    format!("cannot read the directory pods: {} ({errno:?}){remedy}", errno.desc())
}

fn is_forbidden(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}

/// Why the volume counts as hidden: kubelet's marker exists before and after the agent finds
/// nothing mounted there.
pub(super) fn unmounted(pod: &Path, volume: &OsStr) -> Option<String> {
    let ready = layout::ready_marker(pod, volume);
    let is_hidden = is_of_this_boot(&ready)
        && is_unmounted_and_empty(&pod.join(PROJECTED), volume)
        && ready.exists();
    is_hidden.then(|| NEEDS_PROPAGATION.to_owned())
}

/// Whether kubelet wrote its marker since the machine started. A reboot removes mounts and leaves
/// markers, and while the API server is unreachable kubelet mounts nothing again: then the node has
/// no token that the agent could miss. Kubelet rewrites the marker with each mount.
fn is_of_this_boot(marker: &Path) -> bool {
    let written = marker
        .symlink_metadata()
        .map(|found| Delta::from_secs(found.mtime()) + Delta::from_nanos(found.mtime_nsec()));
    written.is_ok_and(|written| written >= clocks::wall_minus_boottime())
}

fn is_unmounted_and_empty(projected: &Path, volume: &OsStr) -> bool {
    let directory = projected.join(volume);
    let (Ok(parent), Ok(own)) = (projected.symlink_metadata(), directory.symlink_metadata()) else {
        return false;
    };
    parent.dev() == own.dev()
        && directory.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir_all};
    use std::time::SystemTime;

    #[test]
    fn a_marker_from_before_the_machine_started_proves_no_mount() {
        let pod = tempfile::tempdir().unwrap();
        let volume = OsStr::new("vol");
        let marker = layout::ready_marker(pod.path(), volume);
        create_dir_all(pod.path().join(PROJECTED).join(volume)).unwrap();
        create_dir_all(marker.parent().unwrap()).unwrap();
        assert_eq!(unmounted(pod.path(), volume), None, "no marker");
        let written = File::create(marker).unwrap();
        assert!(unmounted(pod.path(), volume).is_some_and(|why| why.contains("HostToContainer")));
        written.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(unmounted(pod.path(), volume), None, "the reboot removed the mount");
    }
}
