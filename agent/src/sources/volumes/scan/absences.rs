//! Tokens that should be in an empty volume: those that were in it, and the one of kubelet's own
//! volume.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::Monotonic;
use tokenwatch_core::world::observation::{Absence, FileContent, FileSeen, Observation};
use tokenwatch_core::world::tokens::TokenKey;

use super::context::Owner;
use super::held_back::HeldBack;
use super::volume::Volume;
use super::{Scanner, blind_spots};
use crate::sources::expected::Why;
use crate::sources::names;
use crate::sources::volumes::layout::{self, PROJECTED, PodId};

/// A token that is not in its empty volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sources::volumes) struct AbsentFile {
    pod: PodId,
    volume: OsString,
    path: PathBuf,
    was_there: bool,
}

impl AbsentFile {
    fn key(&self) -> TokenKey {
        let (pod_uid, volume) = (names::text(&self.pod.name), names::text(&self.volume));
        Owner::named(&pod_uid, &volume).key(&self.path)
    }

    /// The token is missing.
    pub(in crate::sources::volumes) fn observed(&self) -> Observation {
        let absence = if self.was_there { Absence::Emptied } else { Absence::EmptyVolume };
        let content = FileContent::Missing(absence);
        Observation::File(FileSeen {
            key: self.key(),
            written_at: None,
            directory: None,
            content,
            signature: None,
        })
    }
}

/// Every token that is not in its empty volume now. The volume may just be set up or torn down.
pub(in crate::sources::volumes) fn all(scanner: &Scanner) -> Vec<AbsentFile> {
    let mut absent: Vec<AbsentFile> = scanner
        .empty()
        .filter(|(pod, name, _)| is_empty(&scanner.pod_path(pod), name))
        .flat_map(|(pod, name, volume)| absent_from(&scanner.pod_path(pod), (pod, name), volume))
        .collect();
    absent.sort_unstable();
    absent
}

/// The tokens that an empty volume lacks. A volume that only kubelet sees is a blind spot instead.
fn absent_from(at: &Path, (pod, name): (&PodId, &OsStr), volume: &Volume) -> Vec<AbsentFile> {
    let mut paths: BTreeMap<&Path, bool> =
        volume.lost().iter().map(|path| (path.as_path(), true)).collect();
    let expected = volume.expected().map(|(path, why)| (path.as_path(), why == Why::Held));
    let own = layout::is_api_access(&name.to_string_lossy());
    let own = own.then_some((Path::new(layout::TOKEN), false));
    // What this agent saw there was lost. Else the volume may only be hidden from it.
    if paths.is_empty() && blind_spots::unmounted(at, name).is_none() {
        paths.extend(own.into_iter().chain(expected));
    }
    let absent = |(path, was_there): (&Path, bool)| AbsentFile {
        pod: pod.clone(),
        volume: name.to_owned(),
        path: path.to_owned(),
        was_there,
    };
    paths.into_iter().map(absent).collect()
}

/// Whether the directory exists and has no entry.
fn is_empty(pod: &Path, volume: &OsStr) -> bool {
    let directory = pod.join(PROJECTED).join(volume);
    directory.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

/// Reports absent tokens once they have been absent for some time.
#[derive(Debug, Default)]
pub(in crate::sources::volumes) struct AbsenceTracker(HeldBack<AbsentFile>);

impl AbsenceTracker {
    /// Compares what is reported with what is absent now, and reports the difference.
    pub(in crate::sources::volumes) fn update(
        &mut self,
        now: Monotonic,
        scanner: &Scanner,
        out: &mut Vec<Observation>,
    ) {
        let before = self.0.reported().to_vec();
        let Some(confirmed) = self.0.update(now, all(scanner)) else { return };
        let new = confirmed.iter().filter(|absent| before.binary_search(absent).is_err());
        out.extend(new.map(AbsentFile::observed));
        let ended = before.iter().filter(|absent| confirmed.binary_search(absent).is_err());
        let without_file = ended.filter(|absent| !is_reported(scanner, absent));
        out.extend(without_file.map(|absent| Observation::Gone(absent.key())));
    }

    /// Whether an absence is reported and not resolved.
    pub(in crate::sources::volumes) fn has_reported(&self) -> bool {
        !self.0.reported().is_empty()
    }

    /// When to look again; none if nothing is held back.
    pub(in crate::sources::volumes) fn due(&self) -> Option<Monotonic> {
        self.0.due()
    }
}

/// Whether the file is there after all, and the scan has reported it.
fn is_reported(scanner: &Scanner, absent: &AbsentFile) -> bool {
    scanner.is_reported(&absent.pod, &absent.volume, &absent.path)
}
