//! Volumes that are there for kubelet and not for the agent. An empty directory alone proves nothing: kubelet's own note that it has
//! mounted something there does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use tokenwatch_core::observation::BlindSpot;
use tokenwatch_core::time::{Boot, Delta};

use super::scan::{PROJECTED, PodId, Scanner};

/// kubelet remounts what a reboot took away within a few seconds of looking at a pod; what is hidden longer stays hidden.
pub(super) const SETTLE: Delta = Delta::from_secs(10);

/// Every volume that looks hidden now. It may still be one that kubelet is just setting up or tearing down.
pub(super) fn look(scanner: &Scanner) -> Vec<BlindSpot> {
    let volumes = scanner.suspicious().filter_map(|(pod, volume, errno)| {
        let at = scanner.pod_path(pod);
        let reason = errno.map_or_else(|| unmounted(&at, volume), |errno| Some(refused(errno)))?;
        Some(spot(pod, &volume.to_string_lossy(), &at.join(PROJECTED).join(volume), reason))
    });
    let pods = scanner.closed().map(|(pod, errno)| spot(pod, "*", &scanner.pod_path(pod).join(PROJECTED), refused(errno)));
    let mut spots: Vec<BlindSpot> = volumes.chain(pods).collect();
    spots.sort_unstable();
    spots
}

fn spot(pod: &PodId, volume: &str, directory: &Path, reason: String) -> BlindSpot {
    BlindSpot {
        pod_uid: pod.name.to_string_lossy().into_owned(),
        volume: volume.to_owned(),
        directory: directory.display().to_string(),
        reason,
    }
}

fn refused(errno: Errno) -> String {
    let remedy = match errno {
        Errno::EACCES | Errno::EPERM => "; run the agent as root or with CAP_DAC_READ_SEARCH",
        _ => "",
    };
    format!("the directory cannot be read: {} ({errno:?}){remedy}", errno.desc())
}

/// kubelet writes `ready` after it has mounted the volume's tmpfs and removes it before it unmounts (pkg/volume/emptydir/empty_dir.go),
/// so `ready` before and after, and no mount in between, is a mount that the agent does not see.
fn unmounted(pod: &Path, volume: &OsStr) -> Option<String> {
    let mut wrapped = OsStr::new("wrapped_").to_owned();
    wrapped.push(volume);
    let ready = pod.join("plugins/kubernetes.io~empty-dir").join(wrapped).join("ready");
    let projected = pod.join(PROJECTED);
    let hidden = ready.exists() && is_plain_and_empty(&projected, volume) && ready.exists();
    hidden.then(|| {
        "kubelet has mounted this volume, and the agent's view of the node does not have the mount: \
         give the agent's hostPath mount of the kubelet root mountPropagation: HostToContainer"
            .to_owned()
    })
}

fn is_plain_and_empty(projected: &Path, volume: &OsStr) -> bool {
    let directory = projected.join(volume);
    let (Ok(parent), Ok(own)) = (projected.symlink_metadata(), directory.symlink_metadata()) else { return false };
    parent.dev() == own.dev() && directory.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

/// Holds back what may be a volume in the making.
#[derive(Debug, Default)]
pub struct BlindTracker {
    since: BTreeMap<BlindSpot, Boot>,
    told: Vec<BlindSpot>,
}

impl BlindTracker {
    /// Takes what looks hidden now; the whole list, if it differs from the one told last.
    pub fn update(&mut self, now: Boot, spots: Vec<BlindSpot>) -> Option<Vec<BlindSpot>> {
        let before = std::mem::take(&mut self.since);
        self.since =
            spots.into_iter().map(|spot| (before.get(&spot).copied().unwrap_or(now), spot)).map(|(since, spot)| (spot, since)).collect();
        let settled: Vec<BlindSpot> =
            self.since.iter().filter(|(_, since)| now - **since >= SETTLE).map(|(spot, _)| spot.clone()).collect();
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
    pub fn due(&self) -> Option<Boot> {
        self.since.iter().filter(|(spot, _)| self.told.binary_search(spot).is_err()).map(|(_, since)| *since + SETTLE).min()
    }
}
