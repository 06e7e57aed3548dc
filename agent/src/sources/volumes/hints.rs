//! What an event says: where to look. Nothing is concluded from it.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use notify::event::{EventKind, ModifyKind};

use super::scan::PodId;
use super::volume::DATA;
use crate::discovery::roots::PROJECTED;

/// A reason to look sooner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Something happened there.
    Place(Place),
    /// The node's mounts changed.
    Mounts,
    /// Events were lost: see [`super::watch::Hints::lost`].
    Lost,
    /// The end.
    Stop,
}

/// A path at which something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    /// It was made, removed or renamed, so a watch on it is one on something else, or none.
    is_renewed: bool,
}

/// What to look at because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A pod that came, went or grew a directory.
    Pod(PodId),
    /// A volume that came or went.
    NewVolume(PodId, OsString),
    /// A volume that was written.
    Volume(PodId, OsString),
    /// The list of pods.
    Pods,
}

impl Place {
    pub(super) fn new(path: PathBuf, kind: EventKind) -> Self {
        let is_renamed = matches!(kind, EventKind::Modify(ModifyKind::Name(_)));
        Self { path, is_renewed: kind.is_create() || kind.is_remove() || is_renamed }
    }

    /// Whether it was made, removed or renamed.
    pub(super) fn is_renewed(&self) -> bool {
        self.is_renewed
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What to look at, if it is anything that matters.
    pub(super) fn target(&self, roots: &[PathBuf]) -> Option<Target> {
        roots.iter().enumerate().find_map(|(root, at)| {
            let below = self.path.strip_prefix(at).ok()?;
            if below.as_os_str().is_empty() {
                return Some(Target::Pods);
            }
            self.below(root, below.strip_prefix("pods").ok()?)
        })
    }

    fn below(&self, root: usize, path: &Path) -> Option<Target> {
        let mut components = path.components();
        let Some(Component::Normal(name)) = components.next() else { return Some(Target::Pods) };
        let pod = PodId { root, name: name.to_owned() };
        let rest = components.as_path();
        if Path::new(PROJECTED).starts_with(rest) {
            return Some(Target::Pod(pod));
        }
        let mut in_volume = rest.strip_prefix(PROJECTED).ok()?.components();
        let volume = in_volume.next()?.as_os_str().to_owned();
        match in_volume.next() {
            None if self.is_renewed => Some(Target::NewVolume(pod, volume)),
            None => Some(Target::Volume(pod, volume)),
            Some(file) if matters(file.as_os_str()) => Some(Target::Volume(pod, volume)),
            Some(_) => None,
        }
    }
}

/// `..data` is the moment of a rotation. A new name beside it is a new file; `..2026_…` and
/// `..data_tmp` are kubelet at work.
fn matters(name: &OsStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    name == DATA || !name.as_bytes().starts_with(b"..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, RemoveKind, RenameMode};

    #[test]
    fn events_say_where_to_look() {
        let roots = [PathBuf::from("/other"), PathBuf::from("/k")];
        let pod = || PodId { root: 1, name: "uid".into() };
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let (created, removed) =
            (EventKind::Create(CreateKind::Folder), EventKind::Remove(RemoveKind::Other));
        let table = [
            ("/k", removed, Some(Target::Pods)),
            ("/k/plugins", created, None),
            ("/k/pods", renamed, Some(Target::Pods)),
            ("/k/pods/uid", created, Some(Target::Pod(pod()))),
            ("/k/pods/uid/volumes", created, Some(Target::Pod(pod()))),
            ("/k/pods/uid/volumes/kubernetes.io~projected", created, Some(Target::Pod(pod()))),
            ("/k/pods/uid/plugins", created, None),
            ("/k/pods/uid/volumes/kubernetes.io~configmap", created, None),
            (
                "/k/pods/uid/volumes/kubernetes.io~projected/v",
                created,
                Some(Target::NewVolume(pod(), "v".into())),
            ),
            (
                "/k/pods/uid/volumes/kubernetes.io~projected/v",
                removed,
                Some(Target::NewVolume(pod(), "v".into())),
            ),
            (
                "/k/pods/uid/volumes/kubernetes.io~projected/v",
                renamed,
                Some(Target::NewVolume(pod(), "v".into())),
            ),
            (
                "/k/pods/uid/volumes/kubernetes.io~projected/v/..data",
                renamed,
                Some(Target::Volume(pod(), "v".into())),
            ),
            ("/k/pods/uid/volumes/kubernetes.io~projected/v/..data_tmp", created, None),
            ("/k/pods/uid/volumes/kubernetes.io~projected/v/..2026_11_24", created, None),
            (
                "/k/pods/uid/volumes/kubernetes.io~projected/v/token",
                created,
                Some(Target::Volume(pod(), "v".into())),
            ),
            ("/elsewhere", created, None),
        ];
        for (path, kind, target) in table {
            assert_eq!(Place::new(path.into(), kind).target(&roots), target, "{path}");
        }
    }
}
