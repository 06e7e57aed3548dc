//! One pod: the list of its projected volumes, and each of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use tokenwatch_core::world::observation::Observation;

use super::context::{Owner, Reports, Scan, Share, Turn};
use super::opened::{Opened, fd, is_own_limit, stamp};
use super::room::of_volume;
use super::secrets::SecretVolumes;
use super::stamps::TrustedStamp;
use super::tools::Tools;
use super::volume::{Content, Volume};
use super::{VolumeOutcome, directory};
use crate::sources::expected::Expected;
use crate::sources::names;
use crate::sources::tokens::Stamp;
use crate::sources::volumes::layout::{PROJECTED, PodId};

/// What is known of a pod.
#[derive(Debug, Default)]
pub(super) struct Pod {
    /// Stamp of the directory of its volumes: while it is current, `names` is.
    listed: Option<TrustedStamp>,
    /// The volumes in that directory.
    names: Vec<OsString>,
    /// Why the directory cannot be listed.
    list_error: Option<Errno>,
    /// Its Secret volumes.
    secrets: SecretVolumes,
    /// Boxed, because a map allocates space for eleven values and a pod has few.
    volumes: BTreeMap<OsString, Box<Volume>>,
}

impl Pod {
    pub(super) fn volumes(&self) -> impl Iterator<Item = (&OsStr, &Volume)> {
        self.volumes.iter().map(|(name, volume)| (name.as_os_str(), volume.as_ref()))
    }

    /// Number of tokens, including broken ones.
    pub(super) fn tokens(&self) -> usize {
        self.volumes.values().map(|volume| volume.tokens()).sum()
    }

    /// Number of files of each volume, followed or not.
    fn wanted(&self) -> impl Iterator<Item = usize> {
        self.volumes.values().map(|volume| volume.wanted())
    }

    /// Follows no more than so many files, because others need the room. Returns the volumes of
    /// which it followed more.
    pub(super) fn shrink(
        &mut self,
        most: usize,
        id: &PodId,
        expected: &Expected,
        out: &mut Vec<Observation>,
    ) -> Vec<OsString> {
        if self.volumes.values().map(|volume| volume.files()).sum::<usize>() <= most {
            return Vec::new();
        }
        let each = of_volume(most, self.wanted().collect());
        let uid = names::text(&id.name);
        let mut smaller = Vec::new();
        for (name, volume) in &mut self.volumes {
            let text = names::text(name);
            let owner = Owner { pod_uid: &uid, volume: &text, expected: expected.of(&uid, &text) };
            if volume.shrink(each, &mut Reports { owner, out: &mut *out, directory: None }) {
                smaller.push(name.clone());
            }
        }
        smaller
    }

    /// The Secret-based tokens in its Secret volumes.
    pub(super) fn secrets(&self) -> &SecretVolumes {
        &self.secrets
    }

    /// Looks for Secret-based tokens in its Secret volumes, below the open directory of pods.
    pub(super) fn scan_secrets(&mut self, pods: Opened<'_>, turn: &mut Turn<'_>) {
        self.secrets.scan(pods, turn);
    }

    pub(super) fn knows(&self, volume: &OsStr) -> bool {
        self.volumes.contains_key(volume)
    }

    /// What is known of a volume, if it was scanned before.
    pub(super) fn known(&mut self, volume: &OsStr) -> Option<&mut Volume> {
        self.volumes.get_mut(volume).map(Box::as_mut)
    }

    pub(super) fn list_error(&self) -> Option<Errno> {
        self.list_error
    }

    /// Reports the tokens of all volumes as gone.
    pub(super) fn remove(self, id: &PodId, out: &mut Vec<Observation>) {
        let uid = names::text(&id.name);
        for (name, volume) in self.volumes {
            let name = names::text(&name);
            let owner = Owner::named(&uid, &name);
            volume.remove(&mut Reports { owner, out, directory: None });
        }
    }

    /// The names of its volumes.
    pub(super) fn list(&mut self, pods: Opened<'_>, turn: &mut Turn<'_>) -> Vec<OsString> {
        let _ = self.open(pods, turn); // an error is in `list_error`
        self.names.clone()
    }

    /// Scans every volume: those in the list, and those that were known before.
    pub(super) fn scan(
        &mut self,
        pods: Opened<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<Observation>,
    ) {
        let opened = self.open(pods, turn);
        let names = std::mem::take(&mut self.names);
        let others = self.others(&names);
        for name in names.iter().chain(&others) {
            self.scan_volume(name, fd(&opened), turn, out);
        }
        self.names = names;
    }

    /// The known volumes that are not among these.
    fn others(&self, names: &[OsString]) -> Vec<OsString> {
        self.volumes.keys().filter(|name| !names.contains(name)).cloned().collect()
    }

    /// Scans one volume, below the open directory of pods.
    pub(super) fn scan_one(
        &mut self,
        volume: &OsStr,
        pods: Opened<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        let path = Path::new(&turn.id.name).join(PROJECTED);
        let opened = pods.and_then(|pods| turn.tools.reader.place(pods, &path));
        self.scan_volume(volume, fd(&opened), turn, out)
    }

    /// Opens the directory of the volumes, and lists it unless nothing has changed: listing is most
    /// of the cost of a pod without changes.
    fn open(&mut self, pods: Opened<'_>, turn: &mut Turn<'_>) -> nix::Result<OwnedFd> {
        let tools = &mut *turn.tools;
        tools.path.as_mut_os_string().clear();
        tools.path.push(&turn.id.name);
        tools.path.push(PROJECTED);
        let opened = pods.and_then(|pods| tools.reader.directory(pods, &tools.path));
        let now = fd(&opened).and_then(stamp);
        if self.listed.is_some_and(|known| known.is_current(now, turn.moment)) {
            return opened;
        }
        self.set_names(fd(&opened), now, turn);
        // A directory that cannot be listed may still be traversed.
        opened.or_else(|_| pods.and_then(|pods| turn.tools.reader.place(pods, &turn.tools.path)))
    }

    fn set_names(&mut self, opened: Opened<'_>, now: nix::Result<Stamp>, turn: &mut Turn<'_>) {
        let reader = &mut turn.tools.reader;
        let names = opened.and_then(|opened| directory::subdirectories(opened, reader));
        let listed = now.ok().and_then(|stamp| TrustedStamp::new(stamp, turn.moment));
        self.listed = listed.filter(|_| names.is_ok());
        self.list_error = names.as_ref().err().copied().filter(is_forbidden);
        self.names = names.unwrap_or_default();
    }

    /// Scans one volume, below the open directory of volumes.
    fn scan_volume(
        &mut self,
        name: &OsStr,
        parent: Opened<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        let may_grow = self.may_grow(name, turn.tools.room.of_pod());
        let Some(known) = self.volume(name) else { return VolumeOutcome::Missing };
        let is_checked = !known.wants_check(turn.tools.reader.keys_version());
        let (uid, volume) = (names::text(&turn.id.name), names::text(name));
        let is_as_expected = known.was_expected(turn.tools.expected.of(&uid, &volume));
        let (path, moment) = (&mut turn.tools.path, turn.moment);
        let is_known = is_checked && is_as_expected && !may_grow;
        if is_known && parent.is_ok_and(|parent| known.is_unchanged(parent, name, path, moment)) {
            return VolumeOutcome::Scanned;
        }
        self.read_volume(name, parent, turn, out)
    }

    /// Whether a volume has files that are not followed, and there is room for them by now.
    fn may_grow(&self, name: &OsStr, of_pod: usize) -> bool {
        let left_out = self.volumes.get(name).filter(|volume| volume.files() < volume.wanted());
        left_out.is_some_and(|volume| volume.may_grow(of_volume(of_pod, self.wanted().collect())))
    }

    /// What is known of a volume, which may be nothing yet.
    fn volume(&mut self, name: &OsStr) -> Option<&mut Volume> {
        if !self.volumes.contains_key(name) {
            self.volumes.insert(name.to_owned(), Box::default());
        }
        self.volumes.get_mut(name).map(Box::as_mut)
    }

    fn read_volume(
        &mut self,
        name: &OsStr,
        parent: Opened<'_>,
        turn: &mut Turn<'_>,
        out: &mut Vec<Observation>,
    ) -> VolumeOutcome {
        let (pod_uid, volume) = (names::text(&turn.id.name), names::text(name));
        let all = Arc::clone(&turn.tools.expected);
        let expected = all.of(&pod_uid, &volume);
        let owner = Owner { pod_uid: &pod_uid, volume: &volume, expected };
        let reports = Reports { owner, out, directory: None };
        let others = self.volumes.iter().filter(|(other, _)| *other != name);
        let others = others.map(|(_, volume)| volume.wanted()).collect();
        let Tools { reader, room, .. } = &mut *turn.tools;
        let share = Share { room, pod: turn.id, others };
        let mut scan = Scan { reader, moment: turn.moment, reports, share };
        let outcome = self.outcome(name, parent, &mut scan);
        self.apply(name, outcome, &mut scan.reports);
        turn.tools.room.wants(turn.id, self.wanted().sum());
        turn.tools.noted(outcome)
    }

    fn outcome(&mut self, name: &OsStr, parent: Opened<'_>, scan: &mut Scan<'_>) -> VolumeOutcome {
        let Some(known) = self.volume(name) else { return VolumeOutcome::Missing };
        let opened = parent.and_then(|parent| scan.reader.place(parent, Path::new(name)));
        outcome(fd(&opened).and_then(|opened| known.scan(opened, scan)))
    }

    fn apply(&mut self, name: &OsStr, outcome: VolumeOutcome, reports: &mut Reports<'_>) {
        match outcome {
            VolumeOutcome::Scanned | VolumeOutcome::Empty => {}
            VolumeOutcome::Missing => {
                self.volumes.remove(name).unwrap_or_default().remove(reports);
            }
            VolumeOutcome::Unreadable(errno) if is_own_limit(errno) => {}
            VolumeOutcome::Unreadable(errno) => {
                if let Some(known) = self.volume(name) {
                    known.set_unreadable(errno, reports);
                }
            }
        }
    }
}

fn outcome(scanned: nix::Result<Content>) -> VolumeOutcome {
    match scanned {
        Ok(Content::Present) => VolumeOutcome::Scanned,
        Ok(Content::None) => VolumeOutcome::Empty,
        Err(errno) if is_missing(errno) => VolumeOutcome::Missing,
        Err(errno) => VolumeOutcome::Unreadable(errno),
    }
}

fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // for `filter`
fn is_forbidden(errno: &Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}
