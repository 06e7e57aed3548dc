//! Where kubelets keep their state when nobody says so.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Kubelet's default, which k3s, RKE2 and OpenShift keep too; MicroK8s; k0s.
pub const KNOWN: [&str; 3] = ["/var/lib/kubelet", "/var/snap/microk8s/common/var/lib/kubelet", "/var/lib/k0s/kubelet"];
/// Programs that are, or contain, a kubelet.
const KUBELETS: [&str; 6] = ["kubelet", "kubelite", "k3s", "rke2", "k0s", "hyperkube"];

/// No kubelet root was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoots {
    /// What was looked at.
    pub looked_at: Vec<PathBuf>,
}

impl std::fmt::Display for NoRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no kubelet root found: none of ")?;
        for (index, path) in self.looked_at.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, path.display())?;
        }
        f.write_str(" has a readable directory `pods`; name the directory that kubelet was given as --root-dir with --root")
    }
}

impl std::error::Error for NoRoots {}

/// The kubelet roots of this node: what its running kubelets were told, and the known defaults, each once.
/// `prefix` is where the host's root directory is mounted (`/` outside a container), `proc` its process file system.
pub fn discover(prefix: &Path, proc: &Path) -> Result<Vec<PathBuf>, NoRoots> {
    let told = running_kubelets(proc).into_iter();
    let looked_at: BTreeSet<PathBuf> = told.chain(KNOWN.map(PathBuf::from)).map(|root| within(prefix, &root)).collect();
    let mut seen = BTreeSet::new();
    let mut is_new = |root: &Path| pods_of(root).is_some_and(|identity| seen.insert(identity));
    let roots: Vec<PathBuf> = looked_at.iter().filter(|root| is_new(root)).cloned().collect();
    if roots.is_empty() { Err(NoRoots { looked_at: looked_at.into_iter().collect() }) } else { Ok(roots) }
}

/// Two paths with the same `pods` are one root.
fn pods_of(root: &Path) -> Option<(u64, u64)> {
    let pods = root.join("pods").metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some((pods.dev(), pods.ino()))
}

/// `path` as the host means it: links that are absolute on the host stay below `prefix`.
fn within(prefix: &Path, path: &Path) -> PathBuf {
    resolved(prefix, path).unwrap_or_else(|| prefix.join(path.strip_prefix("/").unwrap_or(path)))
}

fn resolved(prefix: &Path, path: &Path) -> Option<PathBuf> {
    let prefix = File::open(prefix).ok()?;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = openat2(&prefix, path, how).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()
}

/// `--root-dir` of every kubelet that can be seen; none without hostPID.
fn running_kubelets(proc: &Path) -> Vec<PathBuf> {
    let Ok(processes) = procfs::process::all_processes_with_root(proc) else { return Vec::new() };
    processes.flatten().filter_map(|process| root_dir(&process.cmdline().ok()?)).collect()
}

/// The root directory in a kubelet's command line: `--root-dir=X`, `--root-dir X`, `--kubelet-arg=root-dir=X` (k3s, RKE2).
fn root_dir(arguments: &[String]) -> Option<PathBuf> {
    let program = Path::new(arguments.first()?).file_name()?.to_str()?;
    if !KUBELETS.contains(&program) {
        return None;
    }
    let joined = arguments.iter().rev().find_map(|argument| {
        let argument = argument.trim_start_matches('-');
        argument.strip_prefix("kubelet-arg=").unwrap_or(argument).trim_start_matches('-').strip_prefix("root-dir=")
    });
    let apart = || arguments.windows(2).rev().find(|pair| pair[0].trim_start_matches('-') == "root-dir").map(|pair| pair[1].as_str());
    joined.or_else(apart).map(PathBuf::from).filter(|root| root.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;
    use std::os::unix::fs::symlink;

    fn nothing() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn several_distributions_are_found_and_the_same_directory_once() {
        let host = nothing();
        create_dir_all(host.path().join("mnt/disk/pods")).unwrap();
        create_dir_all(host.path().join("var/lib/k0s/kubelet/pods")).unwrap();
        create_dir_all(host.path().join("var/snap/microk8s/common/var/lib")).unwrap();
        symlink("/mnt/disk", host.path().join("var/lib/kubelet")).unwrap(); // absolute on the host
        symlink("../../../../../../mnt/disk", host.path().join("var/snap/microk8s/common/var/lib/kubelet")).unwrap();
        let roots = discover(host.path(), nothing().path()).unwrap();
        assert_eq!(roots, [host.path().join("mnt/disk"), host.path().join("var/lib/k0s/kubelet")]);
    }

    #[test]
    fn a_running_kubelet_names_its_root() {
        let (host, proc) = (nothing(), nothing());
        create_dir_all(host.path().join("data/kubelet/pods")).unwrap();
        create_dir_all(proc.path().join("7")).unwrap();
        std::fs::write(proc.path().join("7/stat"), "7 (kubelet) S 1 1").unwrap();
        std::fs::write(proc.path().join("7/cmdline"), "/usr/bin/kubelet\0--v=2\0--root-dir=/data/kubelet\0").unwrap();
        assert_eq!(discover(host.path(), proc.path()).unwrap(), [host.path().join("data/kubelet")]);
    }

    #[test]
    fn none_says_where_it_looked() {
        let error = discover(nothing().path(), nothing().path()).unwrap_err().to_string();
        for root in KNOWN {
            assert!(error.contains(root), "{error}");
        }
        assert!(error.contains("--root"), "{error}");
    }

    #[test]
    fn command_lines_are_understood() {
        let table = [
            ("/usr/bin/kubelet --root-dir=/a", Some("/a")),
            ("kubelet --root-dir /b --v=2", Some("/b")),
            ("/usr/local/bin/k3s server --kubelet-arg=root-dir=/c", Some("/c")),
            ("k3s agent --kubelet-arg root-dir=/d", Some("/d")),
            ("kubelet -root-dir=/e", Some("/e")),
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
