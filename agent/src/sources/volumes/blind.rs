//! What is there for kubelet and not for the agent: volumes, or a whole root. An empty directory
//! alone proves nothing: kubelet's own note that it has mounted something there does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::BlindSpot;

use super::scan::Scanner;
use super::volume::is_own_limit;
use crate::clocks;
use crate::discovery::roots::PROJECTED;

/// kubelet remounts what a reboot took away within a few seconds of looking at a pod; what is
/// hidden longer stays hidden.
pub(super) const SETTLE: Delta = Delta::from_secs(10);

const PRIVILEGE: &str = "; run the agent as root or with CAP_DAC_READ_SEARCH";

/// Every root, pod and volume that looks hidden now. What is below a hidden root is not told again.
pub(super) fn look(scanner: &Scanner) -> Vec<BlindSpot> {
    let mut spots = roots(scanner);
    let mut below = volumes(scanner);
    below.retain(|spot| {
        !spots.iter().any(|root| Path::new(&spot.directory).starts_with(&root.directory))
    });
    spots.append(&mut below);
    spots.sort_unstable();
    spots
}

/// The roots whose pods cannot be listed, asked anew: what the last pass found may be over.
fn roots(scanner: &Scanner) -> Vec<BlindSpot> {
    let closed =
        scanner.roots().iter().filter_map(|root| Some((root, list_errno(&root.join("pods"))?)));
    closed
        .map(|(root, errno)| spot(BlindSpot::ALL, BlindSpot::ALL, root, unlisted(errno)))
        .collect()
}

fn list_errno(directory: &Path) -> Option<Errno> {
    let errno = Errno::from_raw(directory.read_dir().err()?.raw_os_error()?);
    (!is_own_limit(errno)).then_some(errno) // that is no fault of the root's, and the source tells it
}

/// Every volume that looks hidden now. It may still be one that kubelet is just setting up or
/// tearing down.
pub(super) fn volumes(scanner: &Scanner) -> Vec<BlindSpot> {
    let volumes = scanner.suspicious().filter_map(|(pod, volume, errno)| {
        let at = scanner.pod_path(pod);
        let reason = errno.map_or_else(|| unmounted(&at, volume), |errno| Some(refused(errno)))?;
        Some(spot(
            &pod.name.to_string_lossy(),
            &volume.to_string_lossy(),
            &at.join(PROJECTED).join(volume),
            reason,
        ))
    });
    let pods = scanner.closed().map(|(pod, errno)| {
        spot(
            &pod.name.to_string_lossy(),
            BlindSpot::ALL,
            &scanner.pod_path(pod).join(PROJECTED),
            refused(errno),
        )
    });
    let mut spots: Vec<BlindSpot> = volumes.chain(pods).collect();
    spots.sort_unstable();
    spots
}

fn spot(pod_uid: &str, volume: &str, directory: &Path, reason: String) -> BlindSpot {
    BlindSpot {
        pod_uid: pod_uid.to_owned(),
        volume: volume.to_owned(),
        directory: directory.display().to_string(),
        reason,
    }
}

fn refused(errno: Errno) -> String {
    let remedy = if is_forbidden(errno) { PRIVILEGE } else { "" };
    format!("the directory cannot be read: {} ({errno:?}){remedy}", errno.desc())
}

fn unlisted(errno: Errno) -> String {
    let remedy = if is_forbidden(errno) {
        PRIVILEGE
    } else {
        "; mount kubelet's root directory there, or name the right one with --root"
    };
    format!("its directory pods cannot be read: {} ({errno:?}){remedy}", errno.desc())
}

fn is_forbidden(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}

/// kubelet writes `ready` after it has mounted the volume's tmpfs and removes it before it unmounts
/// (pkg/volume/emptydir/empty_dir.go), so `ready` before and after, and no mount in between, is a
/// mount that the agent does not see.
fn unmounted(pod: &Path, volume: &OsStr) -> Option<String> {
    let mut wrapped = OsStr::new("wrapped_").to_owned();
    wrapped.push(volume);
    let ready = pod.join("plugins/kubernetes.io~empty-dir").join(wrapped).join("ready");
    let projected = pod.join(PROJECTED);
    let hidden =
        is_of_this_boot(&ready) && is_plain_and_empty(&projected, volume) && ready.exists();
    hidden.then(|| {
        "kubelet has mounted this volume, and the agent's view of the node does not have the \
         mount: give the agent's hostPath mount of the kubelet root mountPropagation: \
         HostToContainer"
            .to_owned()
    })
}

/// Whether kubelet wrote its note since the machine started. A reboot takes the mounts away and
/// leaves the notes, and while the API server is away kubelet mounts nothing again: then there is
/// no token on the node that the agent could fail to see. kubelet writes the note anew with each
/// mount.
fn is_of_this_boot(note: &Path) -> bool {
    let written = note
        .symlink_metadata()
        .map(|found| Delta::from_secs(found.mtime()) + Delta::from_nanos(found.mtime_nsec()));
    written.is_ok_and(|written| written >= clocks::wall_minus_boottime())
}

fn is_plain_and_empty(projected: &Path, volume: &OsStr) -> bool {
    let directory = projected.join(volume);
    let (Ok(parent), Ok(own)) = (projected.symlink_metadata(), directory.symlink_metadata()) else {
        return false;
    };
    parent.dev() == own.dev()
        && directory.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

/// Holds back what may be a volume in the making.
#[derive(Debug, Default)]
pub struct BlindTracker {
    since: BTreeMap<BlindSpot, Monotonic>,
    told: Vec<BlindSpot>,
}

impl BlindTracker {
    /// Takes what looks hidden now; the whole list, if it differs from the one told last.
    pub fn update(&mut self, now: Monotonic, spots: Vec<BlindSpot>) -> Option<Vec<BlindSpot>> {
        let before = std::mem::take(&mut self.since);
        self.since = spots
            .into_iter()
            .map(|spot| (before.get(&spot).copied().unwrap_or(now), spot))
            .map(|(since, spot)| (spot, since))
            .collect();
        let settled: Vec<BlindSpot> = self
            .since
            .iter()
            .filter(|(_, since)| now - **since >= SETTLE)
            .map(|(spot, _)| spot.clone())
            .collect();
        (settled != self.told).then(|| {
            self.told.clone_from(&settled);
            settled
        })
    }

    /// Whether something is hidden that was told.
    pub fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// When to look again, if something is still held back.
    pub fn due(&self) -> Option<Monotonic> {
        self.since
            .iter()
            .filter(|(spot, _)| self.told.binary_search(spot).is_err())
            .map(|(_, since)| *since + SETTLE)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir_all};
    use std::time::SystemTime;

    #[test]
    fn a_note_from_before_the_machine_started_tells_of_no_mount() {
        let pod = tempfile::tempdir().unwrap();
        let notes = pod.path().join("plugins/kubernetes.io~empty-dir/wrapped_vol");
        create_dir_all(pod.path().join(PROJECTED).join("vol")).unwrap();
        create_dir_all(&notes).unwrap();
        assert_eq!(unmounted(pod.path(), OsStr::new("vol")), None, "no note");
        let note = File::create(notes.join("ready")).unwrap();
        assert!(
            unmounted(pod.path(), OsStr::new("vol"))
                .is_some_and(|told| told.contains("HostToContainer"))
        );
        note.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            unmounted(pod.path(), OsStr::new("vol")),
            None,
            "the reboot took the mount away"
        );
    }
}
