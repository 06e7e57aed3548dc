//! Any bytes as a file that names time servers.

use super::{SERVERS, with_processes};
use crate::fuzzed::Folder;
use crate::proc::ProcFs;

/// A file of each kind; the first byte of an input chooses one. Two of networkd need a link.
const FILES: [&str; 12] = [
    "etc/chrony/chrony.conf",
    "etc/systemd/timesyncd.conf",
    "etc/ntp.conf",
    "etc/ntpd.conf",
    "etc/ntpd-rs/ntp.toml",
    "etc/default/chrony",
    "var/lib/dhcp/dhclient.lease",
    "var/lib/dhcpcd/eth0.lease",
    "run/systemd/netif/leases/2",
    "var/lib/NetworkManager/internal.lease",
    "run/dhcpcd/hook-state/ntp.conf/eth0",
    "proc/7/cmdline",
];

/// What is found are names that can be asked for, and not too many.
pub(crate) fn time_files(bytes: &[u8]) {
    let (Some((kind, text)), Some(folder)) = (bytes.split_first(), Folder::new()) else { return };
    folder.write("run/systemd/netif/links/2", b"");
    folder.write("proc/7/stat", b"7 (chronyd) S 1 1");
    folder.write(FILES[usize::from(*kind) % FILES.len()], text);
    let root = folder.path();
    let proc = ProcFs::at(&root.join("proc"));
    let found = with_processes(root, &root.join("sys/class/dmi/id"), &proc);
    assert!(found.servers.len() <= SERVERS);
    for server in found.servers.iter().chain(&found.beyond).map(|found| &found.server) {
        assert!(!server.is_public(), "{server:?}");
        let is_odd = |c: char| c.is_control() || c.is_whitespace();
        assert!(!server.host.is_empty() && !server.host.contains(is_odd), "{server:?}");
        assert!(server.pool != Some(0), "{server:?}");
    }
}
