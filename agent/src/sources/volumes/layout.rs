//! Kubelet's layout below a root, and what a changed path in it means:
//!
//! ```text
//! ROOT/pods/UID/volumes/kubernetes.io~projected/VOLUME/..data -> ..2026_11_24_10_00_00.123/
//!                                                      token -> ..data/token
//! ROOT/pods/UID/plugins/kubernetes.io~empty-dir/wrapped_VOLUME/ready
//! ```

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use notify::event::{EventKind, ModifyKind};
use tokenwatch_core::world::tokens::API_ACCESS;

pub(super) use crate::discovery::roots::PROJECTED;

/// Where kubelet keeps Secret volumes below a pod's directory.
pub(super) const SECRETS: &str = "volumes/kubernetes.io~secret";

/// The link to the current generation, which kubelet's AtomicWriter renames into place
/// (pkg/volume/util/atomic_writer.go).
pub(super) const DATA: &str = "..data";

/// A pod's directory: the root that it is below, and its name, which is the pod's UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId {
    /// Index into the scanner's roots.
    pub root: usize,
    /// Name of the directory.
    pub name: OsString,
}

/// The directory of a root's pods.
pub(super) fn pods(root: &Path) -> PathBuf {
    root.join("pods")
}

/// The file that marks a volume of a pod as mounted: kubelet creates it after mounting the volume's
/// tmpfs and removes it before unmounting (pkg/volume/emptydir/empty_dir.go).
pub(super) fn ready_marker(pod: &Path, volume: &OsStr) -> PathBuf {
    let mut wrapped = OsStr::new("wrapped_").to_owned();
    wrapped.push(volume);
    pod.join("plugins/kubernetes.io~empty-dir").join(wrapped).join("ready")
}

/// The path of the token in kubelet's own volume (plugin/pkg/admission/serviceaccount).
pub(super) const TOKEN: &str = "token";

/// Whether a volume is one that the admission plugin adds to a pod: `kube-api-access-` and five
/// random characters (TokenVolumeSource in plugin/pkg/admission/serviceaccount).
pub(super) fn is_api_access(volume: &str) -> bool {
    let is_random = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    volume
        .strip_prefix(API_ACCESS)
        .is_some_and(|random| random.len() == 5 && random.bytes().all(is_random))
}

/// Whether a path in such a volume is of a file that the plugin projects beside the token.
pub(super) fn is_beside_token(path: &Path) -> bool {
    path == Path::new("ca.crt") || path == Path::new("namespace")
}

/// How likely a path is that of a token, of those that cannot be read: the lower the likelier. None
/// for a path that gives no hint.
pub(super) fn token_rank(volume: &str, path: &Path) -> Option<u8> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    match name.as_str() {
        TOKEN if path == Path::new(TOKEN) => Some(0),
        _ if is_api_access(volume) => None,
        TOKEN => Some(1),
        name if name.contains(TOKEN) => Some(2),
        _ => None,
    }
}

/// Whether a name at the top of a volume belongs to the AtomicWriter: `..data`, `..2026_…`.
pub(super) fn is_internal(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

/// A path at which something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangedPath {
    path: PathBuf,
    /// It was created, removed or renamed: a watch on the path is now one on something else.
    is_replaced: bool,
}

/// What to scan because of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The list of pods.
    Pods,
    /// A pod that was created or removed, or that got a directory.
    Pod(PodId),
    /// A volume that was created or removed.
    NewVolume(PodId, OsString),
    /// A volume whose content changed.
    Volume(PodId, OsString),
}

impl Target {
    /// Whether it may be a volume that was hidden: anything but a change of a known one's content.
    pub(super) fn may_reveal(&self) -> bool {
        match self {
            Self::Pods | Self::Pod(_) | Self::NewVolume(..) => true,
            Self::Volume(..) => false,
        }
    }
}

impl ChangedPath {
    pub(super) fn new(path: PathBuf, kind: EventKind) -> Self {
        let is_renamed = matches!(kind, EventKind::Modify(ModifyKind::Name(_)));
        Self { path, is_replaced: kind.is_create() || kind.is_remove() || is_renamed }
    }

    /// Whether the path was created, removed or renamed.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What to scan; none if the path does not matter.
    pub(super) fn target(&self, roots: &[PathBuf]) -> Option<Target> {
        roots.iter().enumerate().find_map(|(root, at)| {
            let below = self.path.strip_prefix(at).ok()?;
            if below.as_os_str().is_empty() {
                return Some(Target::Pods);
            }
            self.below_pods(root, below.strip_prefix("pods").ok()?)
        })
    }

    fn below_pods(&self, root: usize, path: &Path) -> Option<Target> {
        let mut components = path.components();
        let Some(Component::Normal(name)) = components.next() else { return Some(Target::Pods) };
        let pod = PodId { root, name: name.to_owned() };
        let rest = components.as_path();
        if Path::new(PROJECTED).starts_with(rest) {
            return Some(Target::Pod(pod));
        }
        self.below_volumes(pod, rest.strip_prefix(PROJECTED).ok()?)
    }

    fn below_volumes(&self, pod: PodId, path: &Path) -> Option<Target> {
        let mut components = path.components();
        let Component::Normal(volume) = components.next()? else { return None };
        let volume = volume.to_owned();
        match components.next() {
            None if self.is_replaced => Some(Target::NewVolume(pod, volume)),
            None => Some(Target::Volume(pod, volume)),
            Some(file) if is_content(file.as_os_str()) => Some(Target::Volume(pod, volume)),
            Some(_) => None,
        }
    }
}

/// Whether a change of this name changes the volume's content. A new `..data` is a rotation, and
/// any other name a new file; `..2026_…` and `..data_tmp` are steps of the AtomicWriter.
fn is_content(name: &OsStr) -> bool {
    name == DATA || !is_internal(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, RemoveKind, RenameMode};

    #[test]
    fn the_admission_plugins_volumes_are_known_by_their_name() {
        for (name, expected) in [
            ("kube-api-access-x2x2x", true),
            ("kube-api-access-abcde", true),
            ("kube-api-access", false),
            ("kube-api-access-", false),
            ("kube-api-access-backup", false),
            ("kube-api-access-ABCDE", false),
            ("my-kube-api-access-x2x2x", false),
        ] {
            assert_eq!(is_api_access(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_shows_whether_it_may_be_a_token() {
        let table = [
            ("kube-api-access-x2x2x", "token", Some(0)),
            ("kube-api-access-x2x2x", "ca.crt", None),
            ("kube-api-access-x2x2x", "old-token", None),
            ("v", "token", Some(0)),
            ("v", "vault/token", Some(1)),
            ("v", "azure-identity-token", Some(2)),
            ("v", "Token.jwt", Some(2)),
            ("v", "tls.key", None),
            ("v", "", None),
        ];
        for (volume, path, expected) in table {
            assert_eq!(token_rank(volume, Path::new(path)), expected, "{volume}/{path}");
        }
    }

    #[test]
    fn an_event_names_what_to_scan() {
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
            ("/k/pods/uid/volumes/kubernetes.io~projected/..", created, None),
            ("/k/pods/uid/volumes/kubernetes.io~projected/../v/token", created, None),
            ("/elsewhere", created, None),
        ];
        for (path, kind, target) in table {
            assert_eq!(ChangedPath::new(path.into(), kind).target(&roots), target, "{path}");
        }
    }
}
