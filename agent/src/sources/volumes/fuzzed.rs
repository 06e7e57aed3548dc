//! Any bytes as what is below a kubelet root: a path that changed, the records of a directory, and
//! whole volumes.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use notify::event::{AccessKind, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};

use super::layout::{self, ChangedPath, PROJECTED, PodId, Target};

pub(crate) use super::scan::fuzzed::{records, volumes};

/// The last is below a pod of another one.
const ROOTS: [&str; 3] = ["/var/lib/kubelet", "/k", "/k/pods/u/volumes"];
const KINDS: [EventKind; 5] = [
    EventKind::Any,
    EventKind::Access(AccessKind::Any),
    EventKind::Create(CreateKind::File),
    EventKind::Modify(ModifyKind::Name(RenameMode::To)),
    EventKind::Remove(RemoveKind::Folder),
];

/// What a change names is a part of its path.
pub(crate) fn changed_path(path: &Path) {
    let roots = ROOTS.map(PathBuf::from);
    for kind in KINDS {
        let changed = ChangedPath::new(path.to_owned(), kind);
        let (is_within, is_new) = match changed.target(&roots) {
            None => continue,
            Some(Target::Pods) => (roots.iter().any(|root| path.starts_with(root)), false),
            Some(Target::Pod(pod)) => (path.starts_with(below(&roots, &pod)), false),
            Some(Target::Volume(pod, name)) => {
                (path.starts_with(volume(&roots, &pod, &name)), false)
            }
            Some(Target::NewVolume(pod, name)) => (path == volume(&roots, &pod, &name), true),
        };
        assert!(is_within, "{changed:?} is not {:?}", changed.target(&roots));
        assert!(changed.is_replaced() || !is_new, "{changed:?} made no volume");
    }
}

fn volume(roots: &[PathBuf], pod: &PodId, name: &OsStr) -> PathBuf {
    assert!(is_name(name), "{}", name.display());
    below(roots, pod).join(PROJECTED).join(name)
}

fn below(roots: &[PathBuf], pod: &PodId) -> PathBuf {
    assert!(is_name(&pod.name), "{pod:?}");
    layout::pods(&roots[pod.root]).join(&pod.name)
}

/// Whether it names something in a directory: neither the directory itself nor one above it.
fn is_name(name: &OsStr) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}
