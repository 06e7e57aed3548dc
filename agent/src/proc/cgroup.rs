//! The pod and the container of a process, from the paths of its cgroups (proc_pid_cgroup(5)).
//!
//! The container runtime and kubelet choose the names of the cgroups:
//!
//! | driver | path |
//! |---|---|
//! | systemd | `/kubepods.slice/kubepods-QOS.slice/kubepods-QOS-podUID.slice/PREFIX-ID.scope` |
//! | cgroupfs | `/kubepods/QOS/podUID/ID` |
//!
//! A pod of the class Guaranteed has no level `QOS`. kind has two levels more on top, and whatever
//! runs in the container may have more below. In a cgroup namespace the kernel shows paths that are
//! relative to the agent's own: `/../../kubepods-burstable-podUID.slice/…`, and of the agent's own
//! pod no more than `/../PREFIX-ID.scope`. So each part is recognised by itself.

/// Parts that name a pod and are looked at: a node may be a container itself, and a container may
/// create cgroups with any name.
const MAX_PODS: usize = 4;
/// What container runtimes write before the id: containerd, CRI-O and cri-dockerd.
const PREFIXES: [&str; 3] = ["cri-containerd-", "crio-", "docker-"];
/// Hexadecimal digits of a container id.
const ID_DIGITS: usize = 64;
/// Hexadecimal digits of a UID. A static pod's UID is a hash, and has no dashes.
const UID_DIGITS: usize = 32;

/// The container of a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InContainer {
    /// UID of its pod, where the path names that.
    pub pod_uid: Option<String>,
    /// Its id: 64 hexadecimal digits.
    pub id: String,
}

/// The containers that the file `cgroup` of a process names, outermost first: a node that is a
/// container itself makes its pods' containers the inner ones. None for a process of no container.
pub(super) fn containers(text: &[u8]) -> Vec<InContainer> {
    let text = String::from_utf8_lossy(text);
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.map(in_path).find(|found| !found.is_empty()).unwrap_or_default()
}

fn in_path(path: &str) -> Vec<InContainer> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let pods = parts.iter().enumerate().filter_map(|(at, part)| Some((at, pod_uid(part)?)));
    let named: Vec<InContainer> = pods
        .take(MAX_PODS)
        .filter_map(|(at, uid)| Some(InContainer { pod_uid: Some(uid), id: id(&parts[at + 1..])? }))
        .collect();
    if named.is_empty() { sibling(&parts).into_iter().collect() } else { named }
}

/// A container of the agent's own pod, as a private cgroup namespace shows it.
fn sibling(parts: &[&str]) -> Option<InContainer> {
    let (up, rest) = parts.split_first()?;
    (*up == "..").then_some(())?;
    let id = container_id(rest.first()?)?;
    Some(InContainer { pod_uid: None, id })
}

/// The first container id below the pod's part.
fn id(below: &[&str]) -> Option<String> {
    below.iter().find_map(|part| container_id(part))
}

/// `PREFIX-ID.scope`, or the bare id. What monitors the container (`crio-conmon-ID.scope`) is no
/// part of it.
fn container_id(part: &str) -> Option<String> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let bare = PREFIXES.iter().find_map(|prefix| part.strip_prefix(prefix)).unwrap_or(part);
    is_hex(bare, ID_DIGITS).then(|| bare.to_owned())
}

/// `kubepods-burstable-podUID.slice` with `_` for `-` in the UID, or `podUID`.
fn pod_uid(part: &str) -> Option<String> {
    let systemd = part.strip_suffix(".slice").and_then(|name| name.rsplit_once("-pod"));
    match systemd {
        Some((_, uid)) => uid_in(&uid.replace('_', "-")),
        None => uid_in(part.strip_prefix("pod")?),
    }
}

fn uid_in(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    (text.len() <= UID_DIGITS + 4 && is_hex(&digits, UID_DIGITS)).then(|| text.to_owned())
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
