//! Any bytes as files of the proc file system.

use super::{Mount, cgroup, mountinfo, mounts, opens, pids, sockets, stat};

/// The length of a container's id in every runtime: SHA-256 in hex.
const ID: usize = 64;
/// The length of the UID of a pod: a UUID, or for a static pod a hash.
const UID: usize = 36;

/// The files of a process, each of which has another form.
pub(crate) fn processes(bytes: &[u8]) {
    for container in cgroup::containers(bytes) {
        assert_eq!(container.id.len(), ID, "{container:?}");
        assert!(container.pod_uid.is_none_or(|uid| !uid.is_empty() && uid.len() <= UID));
    }
    let _ = opens::counters(bytes);
    let _ = opens::traffic(bytes);
    let _ = pids::numbers(bytes);
    if let Some(stat) = stat::stat(bytes) {
        assert!(format!("{stat:?}").len() <= bytes.len() * 6 + 200, "{stat:?}");
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = sockets::connection(line);
    }
}

/// Each mount of mountinfo.
pub(crate) fn mounts(bytes: &[u8]) -> impl Iterator<Item = Mount> {
    bytes.split(|byte| *byte == b'\n').filter_map(mountinfo::mount)
}

/// The mounts that a process sees. No path is longer than the line that has it.
pub(crate) fn mount_table(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let paths = mounts::mount_point(line).into_iter();
        assert!(paths.map(|path| path.as_os_str().len()).sum::<usize>() <= line.len());
        if let Some(mount) = mountinfo::mount(line) {
            assert!(mount.point.as_os_str().len() <= line.len(), "{mount:?}");
        }
    }
}
