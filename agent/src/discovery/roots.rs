//! Kubelet root directories of this node, where none is configured.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

use super::inside;
use crate::proc::{self, ProcFs};

/// Where kubelet keeps projected volumes below a pod's directory (pkg/kubelet/kubelet_getters.go;
/// `~` stands for `/` in the plugin's name).
pub(crate) const PROJECTED: &str = "volumes/kubernetes.io~projected";
/// Default roots: of kubelet, which k3s, RKE2 and OpenShift keep, of MicroK8s, and of k0s.
pub const KNOWN: [&str; 3] =
    ["/var/lib/kubelet", "/var/snap/microk8s/common/var/lib/kubelet", "/var/lib/k0s/kubelet"];
/// Programs that are, or contain, a kubelet.
const KUBELETS: [&str; 6] = ["kubelet", "kubelite", "k3s", "rke2", "k0s", "hyperkube"];
/// The option that names the root directory: kubelet's and k0s's.
const ROOT_OPTIONS: [&str; 2] = ["root-dir", "kubelet-root-dir"];

/// No kubelet root was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoots {
    /// The directories that were checked.
    pub checked: Vec<PathBuf>,
}

impl std::fmt::Display for NoRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no kubelet root found: none of ")?;
        for (index, path) in self.checked.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, path.display())?;
        }
        f.write_str(
            " has a readable directory `pods`; use --root to name the directory that kubelet has \
             as --root-dir",
        )
    }
}

impl std::error::Error for NoRoots {}

/// Where to look for kubelet roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Where the host's root directory is mounted (`/` outside a container).
    prefix: PathBuf,
    proc: ProcFs,
}

impl Search {
    /// Below the mount `prefix` of the host's root directory.
    pub fn new(prefix: &Path) -> Self {
        Self { prefix: prefix.to_owned(), proc: ProcFs::default() }
    }

    /// With the processes and mounts of another proc file system, for tests.
    pub fn with_proc(self, proc: ProcFs) -> Self {
        Self { proc, ..self }
    }

    /// The kubelet roots of this node, each once: those in the command lines of running kubelets,
    /// the known defaults, and those with a mounted volume of a pod.
    pub fn all(&self) -> Result<Vec<PathBuf>, NoRoots> {
        let running =
            running_kubelets(&self.proc).into_iter().map(|root| within(&self.prefix, &root));
        let candidates: BTreeSet<PathBuf> =
            running.chain(self.defaults()).chain(self.mounted()).collect();
        let roots = distinct(&[], candidates.iter().cloned());
        if roots.is_empty() {
            Err(NoRoots { checked: candidates.into_iter().collect() })
        } else {
            Ok(roots)
        }
    }

    /// Roots that appeared after `known` were found. Does not read command lines again: that costs
    /// more than the rest of a rescan, and such a root shows as soon as a pod has a volume.
    pub fn new_roots(&self, known: &[PathBuf]) -> Vec<PathBuf> {
        distinct(known, self.defaults().chain(self.mounted()))
    }

    fn defaults(&self) -> impl Iterator<Item = PathBuf> {
        KNOWN.into_iter().map(|root| within(&self.prefix, Path::new(root)))
    }

    /// Roots with a mounted volume of a pod, whatever kubelet's command line is (k3s hides the
    /// arguments of its kubelet).
    fn mounted(&self) -> Vec<PathBuf> {
        let points = self.proc.mount_points().unwrap_or_default();
        let roots: BTreeSet<&Path> =
            points.iter().filter_map(|point| root_of_volume(point)).collect();
        roots
            .into_iter()
            .filter(|root| root.starts_with(&self.prefix))
            .map(Path::to_owned)
            .collect()
    }
}

/// Configured roots, as the host sees them (outside a container: unchanged), each once. They need
/// not exist yet.
pub fn given(prefix: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let is_host = prefix == Path::new("/");
    let seen = |root: &PathBuf| if is_host { root.clone() } else { within(prefix, root) };
    let mut taken: Vec<PathBuf> = Vec::new();
    for root in roots.iter().map(seen) {
        if !taken.iter().any(|other| is_same(other, &root)) {
            taken.push(root);
        }
    }
    taken
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || pods_id(one).is_some_and(|pods| pods_id(other) == Some(pods))
}

/// The `candidates` that have a directory `pods` of their own: not that of a known root or of an
/// earlier candidate.
fn distinct(known: &[PathBuf], candidates: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut seen: BTreeSet<(u64, u64)> = known.iter().filter_map(|root| pods_id(root)).collect();
    candidates
        .filter(|root| !known.contains(root) && pods_id(root).is_some_and(|pods| seen.insert(pods)))
        .collect()
}

/// The root of a pod's projected volume: `ROOT/pods/UID/volumes/kubernetes.io~projected/NAME`.
pub(super) fn root_of_volume(volume: &Path) -> Option<&Path> {
    let volumes = volume.parent()?;
    let pod = volumes.ends_with(PROJECTED).then(|| volumes.ancestors().nth(2))??;
    let pods = pod.parent().filter(|pods| pods.ends_with("pods"))?;
    pods.parent()
}

/// Device and inode of a root's directory `pods`. Two paths with the same one are one root.
fn pods_id(root: &Path) -> Option<(u64, u64)> {
    let pods = root.join("pods").metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some((pods.dev(), pods.ino()))
}

/// A path of the host, below `prefix`. Absolute links of the host and `..` stay below `prefix`,
/// too.
pub(super) fn within(prefix: &Path, path: &Path) -> PathBuf {
    resolved(prefix, path).unwrap_or_else(|| prefix.join(below_root(path)))
}

/// A path that does not exist yet, without the root directory. `..` leads no higher than that.
fn below_root(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => {
                below.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    below
}

fn resolved(prefix: &Path, path: &Path) -> Option<PathBuf> {
    let found = inside::open(prefix, path, OFlag::O_PATH).ok()?;
    proc::descriptor_path(found).ok()
}

/// The root directory of every visible kubelet that has the option; none without hostPID.
fn running_kubelets(proc: &ProcFs) -> Vec<PathBuf> {
    let Ok(processes) = proc.processes() else { return Vec::new() };
    processes.filter_map(|process| root_dir(&process.arguments()?)).collect()
}

/// The root directory in a kubelet's command line: `--root-dir=X`, `--root-dir X`,
/// `--kubelet-arg=root-dir=X` (k3s, RKE2).
pub(super) fn root_dir(arguments: &[String]) -> Option<PathBuf> {
    let program = Path::new(arguments.first()?).file_name()?.to_str()?;
    if !KUBELETS.contains(&program) {
        return None;
    }
    let joined = arguments.iter().rev().find_map(|argument| joined_value(argument));
    let is_option = |argument: &str| ROOT_OPTIONS.contains(&argument.trim_start_matches('-'));
    let separate =
        || arguments.windows(2).rev().find(|pair| is_option(&pair[0])).map(|pair| pair[1].as_str());
    joined.or_else(separate).map(PathBuf::from).filter(|root| root.is_absolute())
}

/// `X` of `--root-dir=X` or `--kubelet-arg=root-dir=X`.
fn joined_value(argument: &str) -> Option<&str> {
    let argument = argument.trim_start_matches('-');
    let option = argument.strip_prefix("kubelet-arg=").unwrap_or(argument).trim_start_matches('-');
    ROOT_OPTIONS.iter().find_map(|name| option.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn search(host: &Path, proc: &Path) -> Search {
        Search::new(host).with_proc(ProcFs::at(proc))
    }

    #[test]
    fn roots_of_several_distributions_are_found_each_once() {
        let host = folder();
        create_dir_all(host.path().join("mnt/disk/pods")).unwrap();
        create_dir_all(host.path().join("var/lib/k0s/kubelet/pods")).unwrap();
        create_dir_all(host.path().join("var/snap/microk8s/common/var/lib")).unwrap();
        symlink("/mnt/disk", host.path().join("var/lib/kubelet")).unwrap(); // absolute on the host
        symlink(
            "../../../../../../mnt/disk",
            host.path().join("var/snap/microk8s/common/var/lib/kubelet"),
        )
        .unwrap();
        let roots = search(host.path(), folder().path()).all().unwrap();
        assert_eq!(roots, [host.path().join("mnt/disk"), host.path().join("var/lib/k0s/kubelet")]);
    }

    #[test]
    fn a_root_is_found_by_a_kubelets_command_line() {
        let (host, proc) = (folder(), folder());
        create_dir_all(host.path().join("data/kubelet/pods")).unwrap();
        create_dir_all(proc.path().join("7")).unwrap();
        std::fs::write(proc.path().join("7/stat"), "7 (kubelet) S 1 1").unwrap();
        std::fs::write(
            proc.path().join("7/cmdline"),
            "/usr/bin/kubelet\0--v=2\0--root-dir=/data/kubelet\0",
        )
        .unwrap();
        assert_eq!(
            search(host.path(), proc.path()).all().unwrap(),
            [host.path().join("data/kubelet")]
        );
    }

    /// A line of mountinfo for a mount at `point`.
    fn mount(point: &str) -> String {
        format!("36 35 0:54 / {point} rw,relatime shared:1 - tmpfs tmpfs rw,size=64k\n")
    }

    #[test]
    fn a_root_is_found_by_a_mounted_volume() {
        let (host, proc) = (folder(), folder());
        let at = |path: &str| host.path().join(path).display().to_string();
        create_dir_all(host.path().join("a b/pods")).unwrap();
        create_dir_all(proc.path().join("self")).unwrap();
        let volume = "pods/uid/volumes/kubernetes.io~projected/v";
        let points = [
            at(&format!("a\\040b/{volume}")),
            at(&format!("gone/{volume}")),
            at("a\\040b/pods/uid/volumes/x/v"),
            format!("/a/{volume}"),
        ];
        let lines: String =
            points.iter().map(|point| mount(point)).chain(["nonsense".to_owned()]).collect();
        std::fs::write(proc.path().join("self/mountinfo"), lines).unwrap();
        assert_eq!(search(host.path(), proc.path()).all().unwrap(), [host.path().join("a b")]);
    }

    #[test]
    fn roots_that_appear_later_are_found_once() {
        let (host, proc) = (folder(), folder());
        let [kubelet, k0s] =
            ["var/lib/kubelet", "var/lib/k0s/kubelet"].map(|root| host.path().join(root));
        create_dir_all(k0s.join("pods")).unwrap();
        let search = search(host.path(), proc.path());
        let (known, none) = (search.all().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(known, [k0s.as_path()]);
        assert_eq!(search.new_roots(&known), none);
        symlink("/var/lib/k0s/kubelet", &kubelet).unwrap();
        assert_eq!(search.new_roots(&known), none, "another name for the same");
        std::fs::remove_file(&kubelet).unwrap();
        create_dir_all(&kubelet).unwrap();
        assert_eq!(search.new_roots(&known), none, "no pods yet");
        create_dir_all(kubelet.join("pods")).unwrap();
        assert_eq!(search.new_roots(&known), [kubelet]);
    }

    #[test]
    fn given_roots_are_resolved_on_the_host_each_once() {
        let host = folder();
        create_dir_all(host.path().join("data/kubelet/pods")).unwrap();
        create_dir_all(host.path().join("var/lib")).unwrap();
        // Absolute on the host.
        symlink("/data/kubelet", host.path().join("var/lib/kubelet")).unwrap();
        let named = ["/var/lib/kubelet", "/data/kubelet", "/later", "/later"].map(PathBuf::from);
        assert_eq!(
            given(host.path(), &named),
            [host.path().join("data/kubelet"), host.path().join("later")]
        );
        let copy = PathBuf::from("a/copy");
        assert_eq!(
            given(Path::new("/"), std::slice::from_ref(&copy)),
            [copy],
            "below the working directory"
        );
    }

    #[test]
    fn no_root_leads_out_of_the_hosts_root_directory() {
        let host = folder();
        let table = [
            ("/../etc/kubelet", "etc/kubelet"),
            ("/var/../../../lib", "lib"),
            ("/var/lib/../kubelet", "var/kubelet"),
            ("/./later", "later"),
        ];
        for (path, expected) in table {
            assert_eq!(given(host.path(), &[path.into()]), [host.path().join(expected)], "{path}");
        }
    }

    #[test]
    fn the_error_names_all_directories_that_were_checked() {
        let error = search(folder().path(), folder().path()).all().unwrap_err().to_string();
        for root in KNOWN {
            assert!(error.contains(root), "{error}");
        }
        assert!(error.contains("--root"), "{error}");
    }

    #[test]
    fn the_root_is_read_from_every_form_of_command_line() {
        let table = [
            ("/usr/bin/kubelet --root-dir=/a", Some("/a")),
            ("kubelet --root-dir /b --v=2", Some("/b")),
            ("/usr/local/bin/k3s server --kubelet-arg=root-dir=/c", Some("/c")),
            ("k3s agent --kubelet-arg root-dir=/d", Some("/d")),
            ("kubelet -root-dir=/e", Some("/e")),
            ("k0s worker --kubelet-root-dir=/g", Some("/g")),
            ("k0s worker --kubelet-root-dir /h", Some("/h")),
            ("kubelet --root-dir=relative", None),
            ("kubelet", None),
            ("grep --root-dir=/f", None),
        ];
        for (line, root) in table {
            let arguments: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            assert_eq!(root_dir(&arguments), root.map(PathBuf::from), "{line}");
        }
    }
}
