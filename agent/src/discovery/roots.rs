//! Where kubelets keep their state when nobody says so.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Where kubelet keeps projected volumes below a pod's directory (pkg/kubelet/kubelet_getters.go,
/// plugin name escaped).
pub(crate) const PROJECTED: &str = "volumes/kubernetes.io~projected";
/// Kubelet's default, which k3s, RKE2 and OpenShift keep too; MicroK8s; k0s.
pub const KNOWN: [&str; 3] =
    ["/var/lib/kubelet", "/var/snap/microk8s/common/var/lib/kubelet", "/var/lib/k0s/kubelet"];
/// Programs that are, or contain, a kubelet.
const KUBELETS: [&str; 6] = ["kubelet", "kubelite", "k3s", "rke2", "k0s", "hyperkube"];

/// What kubelet calls its root directory on the command line, and what k0s calls it.
const NAMES: [&str; 2] = ["root-dir", "kubelet-root-dir"];

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
        f.write_str(
            " has a readable directory `pods`; name the directory that kubelet was given as \
             --root-dir with --root",
        )
    }
}

impl std::error::Error for NoRoots {}

/// Where to look for kubelet roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Where the host's root directory is mounted (`/` outside a container).
    pub prefix: PathBuf,
    /// The process file system.
    pub proc: PathBuf,
}

impl Search {
    /// The kubelet roots of this node, each once: what its running kubelets were told, the known
    /// defaults, and wherever a volume of a pod is mounted.
    pub fn all(&self) -> Result<Vec<PathBuf>, NoRoots> {
        let told = running_kubelets(&self.proc).into_iter().map(|root| within(&self.prefix, &root));
        let looked_at: BTreeSet<PathBuf> =
            told.chain(self.defaults()).chain(self.mounted()).collect();
        let roots = distinct(&[], looked_at.iter().cloned());
        if roots.is_empty() {
            Err(NoRoots { looked_at: looked_at.into_iter().collect() })
        } else {
            Ok(roots)
        }
    }

    /// Those that have come since `known` were found. Does not ask the processes again: that costs
    /// more than all the rest of a pass, and what they were told shows as soon as a pod has a
    /// volume.
    pub fn new_roots(&self, known: &[PathBuf]) -> Vec<PathBuf> {
        distinct(known, self.defaults().chain(self.mounted()))
    }

    fn defaults(&self) -> impl Iterator<Item = PathBuf> {
        KNOWN.into_iter().map(|root| within(&self.prefix, Path::new(root)))
    }

    /// Roots that pods' volumes are mounted under: found whatever kubelet was told, and by whom
    /// (k3s hides the arguments of its kubelet).
    fn mounted(&self) -> Vec<PathBuf> {
        let mounts = std::fs::read(self.proc.join("self/mountinfo")).unwrap_or_default();
        let roots: BTreeSet<PathBuf> =
            mounts.split(|byte| *byte == b'\n').filter_map(root_of_mount).collect();
        roots.into_iter().filter(|root| root.starts_with(&self.prefix)).collect()
    }
}

/// Roots that were named, as the host means them (outside a container: as they stand), each once.
/// They may come later.
pub fn given(prefix: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    let mut taken: Vec<PathBuf> = Vec::new();
    for root in roots
        .iter()
        .map(|root| if prefix == Path::new("/") { root.clone() } else { within(prefix, root) })
    {
        let is_taken = taken.iter().any(|other| {
            *other == root || pods_of(other).is_some_and(|pods| pods_of(&root) == Some(pods))
        });
        if !is_taken {
            taken.push(root);
        }
    }
    taken
}

/// Those of `candidates` that have a directory `pods`, which none of `known` and none before it
/// has.
fn distinct(known: &[PathBuf], candidates: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut seen: BTreeSet<(u64, u64)> = known.iter().filter_map(|root| pods_of(root)).collect();
    candidates
        .filter(|root| !known.contains(root) && pods_of(root).is_some_and(|pods| seen.insert(pods)))
        .collect()
}

/// The root in a line of mountinfo (proc_pid_mountinfo(5)) whose fifth field, the mount point, is a
/// pod's projected volume.
fn root_of_mount(line: &[u8]) -> Option<PathBuf> {
    let point = unescaped(line.split(|byte| *byte == b' ').nth(4)?);
    let volumes = Path::new(OsStr::from_bytes(&point)).parent()?;
    let pod = volumes.ends_with(PROJECTED).then(|| volumes.ancestors().nth(2))??;
    let pods = pod.parent().filter(|pods| pods.ends_with("pods"))?;
    pods.parent().map(Path::to_owned)
}

/// mountinfo writes blank, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => (plain.push(escaped), rest = &after[3..]).1,
            None => (plain.push(byte), rest = after).1,
        }
    }
    plain
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
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = openat2(&prefix, path, how).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()
}

/// `--root-dir` of every kubelet that can be seen; none without hostPID.
fn running_kubelets(proc: &Path) -> Vec<PathBuf> {
    let Ok(processes) = procfs::process::all_processes_with_root(proc) else { return Vec::new() };
    processes.flatten().filter_map(|process| root_dir(&process.cmdline().ok()?)).collect()
}

/// The root directory in a kubelet's command line: `--root-dir=X`, `--root-dir X`,
/// `--kubelet-arg=root-dir=X` (k3s, RKE2).
fn root_dir(arguments: &[String]) -> Option<PathBuf> {
    let program = Path::new(arguments.first()?).file_name()?.to_str()?;
    if !KUBELETS.contains(&program) {
        return None;
    }
    let joined = arguments.iter().rev().find_map(|argument| {
        let argument = argument.trim_start_matches('-');
        let argument =
            argument.strip_prefix("kubelet-arg=").unwrap_or(argument).trim_start_matches('-');
        NAMES.iter().find_map(|name| argument.strip_prefix(name)?.strip_prefix('='))
    });
    let is_name = |argument: &str| NAMES.contains(&argument.trim_start_matches('-'));
    let apart =
        || arguments.windows(2).rev().find(|pair| is_name(&pair[0])).map(|pair| pair[1].as_str());
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

    fn search(host: &Path, proc: &Path) -> Search {
        Search { prefix: host.to_owned(), proc: proc.to_owned() }
    }

    #[test]
    fn several_distributions_are_found_and_the_same_directory_once() {
        let host = nothing();
        create_dir_all(host.path().join("mnt/disk/pods")).unwrap();
        create_dir_all(host.path().join("var/lib/k0s/kubelet/pods")).unwrap();
        create_dir_all(host.path().join("var/snap/microk8s/common/var/lib")).unwrap();
        symlink("/mnt/disk", host.path().join("var/lib/kubelet")).unwrap(); // absolute on the host
        symlink(
            "../../../../../../mnt/disk",
            host.path().join("var/snap/microk8s/common/var/lib/kubelet"),
        )
        .unwrap();
        let roots = search(host.path(), nothing().path()).all().unwrap();
        assert_eq!(roots, [host.path().join("mnt/disk"), host.path().join("var/lib/k0s/kubelet")]);
    }

    #[test]
    fn a_running_kubelet_names_its_root() {
        let (host, proc) = (nothing(), nothing());
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
    fn a_root_shows_by_the_volumes_mounted_under_it() {
        let (host, proc) = (nothing(), nothing());
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
    fn roots_that_come_later_are_found_once() {
        let (host, proc) = (nothing(), nothing());
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
    fn roots_that_are_named_are_taken_once_as_the_host_means_them() {
        let host = nothing();
        create_dir_all(host.path().join("data/kubelet/pods")).unwrap();
        create_dir_all(host.path().join("var/lib")).unwrap();
        symlink("/data/kubelet", host.path().join("var/lib/kubelet")).unwrap(); // absolute on the host
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
    fn none_says_where_it_looked() {
        let error = search(nothing().path(), nothing().path()).all().unwrap_err().to_string();
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
