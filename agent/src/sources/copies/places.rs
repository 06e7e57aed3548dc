//! Where copies of tokens are.

use std::path::{Path, PathBuf};

use super::CopiesConfig;
use crate::discovery::roots::KNOWN;

/// Directories of CNI configurations: the default, those of Multus and of OpenShift, of k3s, RKE2
/// and MicroK8s.
const DIRECTORIES: [&str; 7] = [
    "/etc/cni/net.d",
    "/etc/cni/multus/net.d",
    "/etc/kubernetes/cni/net.d",
    "/run/multus/cni/net.d",
    "/var/lib/rancher/k3s/agent/etc/cni/net.d",
    "/var/lib/rancher/rke2/agent/etc/cni/net.d",
    "/var/snap/microk8s/current/args/cni-network",
];
/// Files elsewhere: kube-router's, and Istio's from 1.24 on. `/var/run` is a link to `/run` on a
/// host, and need not be one in a copy of its files.
const FILES: [&str; 3] = [
    "/var/lib/kube-router/kubeconfig",
    "/var/run/istio-cni/istio-cni-kubeconfig",
    "/run/istio-cni/istio-cni-kubeconfig",
];

/// A place to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The root directory of the host that the path is in.
    pub(super) tree: PathBuf,
    /// The path on the host: of a file, or of a directory.
    pub(super) path: PathBuf,
    /// What is there.
    pub(super) kind: PlaceKind,
}

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// CNI configurations, and what the plugins keep beside them.
    Cni,
    /// A file that one plugin keeps.
    Plugin,
    /// A file or directory that the settings name.
    Configured,
}

/// The known places.
pub(super) fn known(config: &CopiesConfig) -> Vec<Place> {
    let known = config.tree.iter().flat_map(|tree| {
        let at = |kind| {
            let tree = tree.clone();
            move |path: &str| Place { tree: tree.clone(), path: path.into(), kind }
        };
        let directories = DIRECTORIES.into_iter().map(at(PlaceKind::Cni));
        directories.chain(FILES.into_iter().map(at(PlaceKind::Plugin)))
    });
    known.collect()
}

/// What the settings name.
pub(super) fn configured(config: &CopiesConfig) -> Vec<Place> {
    let place = |path: &PathBuf| Place {
        tree: config.prefix.clone(),
        path: path.clone(),
        kind: PlaceKind::Configured,
    };
    config.paths.iter().map(place).collect()
}

/// The root directory of the host whose copies belong to these kubelet roots. It is `prefix` in a
/// container, and where nobody named a root. A root outside of its usual place is a copy of a
/// node's files, or a kubelet of its own: the known places of this host say nothing about it. None
/// then.
pub fn tree_of(prefix: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    if prefix != Path::new("/") || roots.is_empty() {
        return Some(prefix.to_owned());
    }
    roots.iter().find_map(|root| KNOWN.iter().find_map(|known| above(root, Path::new(known))))
}

/// What `root` has before the path `known`: `/` for the path itself.
fn above(root: &Path, known: &Path) -> Option<PathBuf> {
    let within = known.strip_prefix("/").ok()?;
    let depth = within.components().count();
    root.ends_with(within).then(|| root.ancestors().nth(depth).map(Path::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_places_are_those_of_the_host_whose_kubelet_is_read() {
        // (prefix, roots, tree)
        let table: [(&str, &[&str], Option<&str>); 8] = [
            ("/", &[], Some("/")),
            ("/host", &[], Some("/host")),
            ("/host", &["/data/kubelet"], Some("/host")),
            ("/", &["/var/lib/kubelet"], Some("/")),
            ("/", &["/data/kubelet", "/var/lib/k0s/kubelet"], Some("/")),
            ("/", &["/tmp/node-7/var/lib/kubelet"], Some("/tmp/node-7")),
            ("/", &["/data/kubelet"], None),
            ("/", &["/var/lib/kubelet2"], None),
        ];
        for (prefix, roots, tree) in table {
            let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
            assert_eq!(tree_of(Path::new(prefix), &roots), tree.map(PathBuf::from), "{roots:?}");
        }
    }
}
