//! Time servers that DHCP named, from the leases that its clients keep.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::Discovered;
use super::host::HostFiles;

/// What networkd knows of each interface, after its settings (`UseNTP=`), and of all together.
const NETWORKD_LINKS: &str = "/run/systemd/netif/links";
const NETWORKD_STATE: &str = "/run/systemd/netif/state";
/// What DHCP answered, before networkd's settings: of interest where there is no file in links.
const NETWORKD_LEASES: &str = "/run/systemd/netif/leases";
/// State and leases of NetworkManager's own client, as lines of `KEY=VALUE`.
const NETWORK_MANAGER: [&str; 2] =
    ["/run/NetworkManager/devices/*", "/var/lib/NetworkManager/*.lease"];
/// Leases of dhclient(8): of Debian, of Red Hat, and on behalf of NetworkManager.
const DHCLIENT: [&str; 5] = [
    "/var/lib/dhcp/*.lease*",
    "/var/lib/dhcp3/*.lease*",
    "/var/lib/dhclient/*.lease*",
    "/run/dhclient*.lease*",
    "/var/lib/NetworkManager/dhclient*.lease",
];
/// The lists that dhcpcd's hook writes, as lines of ntp.conf, and its leases: the packets
/// themselves.
const DHCPCD_HOOK: &str = "/run/dhcpcd/hook-state/ntp.conf/*";
const DHCPCD: [&str; 2] = ["/var/lib/dhcpcd*/*.lease", "/var/db/dhcpcd/*.lease"];
/// Ends of the name of the setting in files of `KEY=VALUE`: `NTP`, `dhcp4.ntp_servers`.
const KEYS: [&str; 2] = ["ntp_servers", "ntp-servers"];
/// The options of a lease of dhclient.
const OPTIONS: [&str; 3] = ["ntp-servers", "dhcp6.sntp-servers", "dhcp6.ntp-servers"];

/// The servers of every lease of this host.
pub(super) fn servers(host: &HostFiles<'_>) -> Vec<Discovered> {
    let networkd = of_networkd(host).into_iter();
    let manager = each(host, &NETWORK_MANAGER, |text, file| of_assignments(&text, file));
    let dhclient = each(host, &DHCLIENT, |text, file| of_dhclient(&text, file));
    let hook = each(host, &[DHCPCD_HOOK], |text, file| of_ntp_conf(&text, file));
    networkd.chain(manager).chain(dhclient).chain(hook).chain(of_dhcpcd(host)).collect()
}

/// The servers of networkd's interfaces.
pub(super) fn of_networkd(host: &HostFiles<'_>) -> Vec<Discovered> {
    let links = host.with_suffix(Path::new(NETWORKD_LINKS), "");
    let has_link = |lease: &PathBuf| links.iter().any(|link| link.file_name() == lease.file_name());
    let leases = host.with_suffix(Path::new(NETWORKD_LEASES), "");
    let leases = leases.into_iter().filter(|lease| !has_link(lease));
    let files = links.iter().cloned().chain([PathBuf::from(NETWORKD_STATE)]).chain(leases);
    files
        .filter_map(|file| Some((host.text(&file)?, file)))
        .flat_map(|(text, file)| of_assignments(&text, &file))
        .collect()
}

/// What `read` finds in every file that matches one of the patterns.
fn each(
    host: &HostFiles<'_>,
    patterns: &[&str],
    read: impl Fn(String, &Path) -> Vec<Discovered>,
) -> Vec<Discovered> {
    let files = patterns.iter().flat_map(|pattern| host.glob(Path::new(pattern)));
    files.filter_map(|file| Some(read(host.text(&file)?, &file))).flatten().collect()
}

fn list(value: &str, file: &Path) -> Vec<Discovered> {
    let names = value.split([',', ' ', '\t', ';', '"']).filter(|name| !name.is_empty());
    names.filter_map(|name| Discovered::new(name, None, file)).collect()
}

/// Lines of `NTP=a b`.
fn of_assignments(text: &str, file: &Path) -> Vec<Discovered> {
    let assigned = text.lines().filter_map(|line| line.trim().split_once('='));
    let of_ntp = assigned.filter(|(key, _)| is_ntp(&key.trim().to_lowercase()));
    of_ntp.flat_map(|(_, value)| list(value, file)).collect()
}

fn is_ntp(key: &str) -> bool {
    key == "ntp" || KEYS.iter().any(|end| key.ends_with(end))
}

/// Lines of `server HOST`.
fn of_ntp_conf(text: &str, file: &Path) -> Vec<Discovered> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server "));
    servers
        .filter_map(|rest| rest.split_whitespace().next())
        .flat_map(|it| list(it, file))
        .collect()
}

/// `lease { interface "eth0"; option ntp-servers a, b; }`. A later lease of an interface replaces
/// an earlier one.
fn of_dhclient(text: &str, file: &Path) -> Vec<Discovered> {
    let mut leases: BTreeMap<&str, Vec<Discovered>> = BTreeMap::new();
    let mut interface = "";
    for line in text.lines().map(|line| line.trim().trim_end_matches(';')) {
        if line.starts_with("lease") {
            interface = "";
        } else if let Some(name) = line.strip_prefix("interface ") {
            interface = name;
            leases.insert(interface, Vec::new());
        } else if let Some(value) = option(line) {
            leases.entry(interface).or_default().extend(list(value, file));
        }
    }
    leases.into_values().flatten().collect()
}

fn option(line: &str) -> Option<&str> {
    let (name, value) = line.strip_prefix("option ")?.split_once(' ')?;
    OPTIONS.contains(&name).then_some(value)
}

fn of_dhcpcd(host: &HostFiles<'_>) -> Vec<Discovered> {
    let files = DHCPCD.iter().flat_map(|pattern| host.glob(Path::new(pattern)));
    files
        .filter_map(|file| Some((addresses(&host.bytes(&file)?), file)))
        .flat_map(|(found, file)| {
            found.into_iter().filter_map(move |at| Discovered::new(&at.to_string(), None, &file))
        })
        .collect()
}

/// The addresses in option 42 of a DHCP packet (RFC 2132, section 8.3), or in option 31 of a DHCPv6
/// packet (RFC 4075).
fn addresses(packet: &[u8]) -> Vec<IpAddr> {
    /// Behind the fixed header of BOOTP.
    const COOKIE: std::ops::Range<usize> = 236..240;
    if packet.get(COOKIE) == Some(&[99, 130, 83, 99]) {
        return of_options(&packet[COOKIE.end..]);
    }
    of_options6(packet.get(4..).unwrap_or_default())
}

/// Options of one byte each for code and length. 0 pads, 255 ends.
fn of_options(mut rest: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    while let [code, tail @ ..] = rest {
        rest = match (*code, tail) {
            (0, tail) => tail,
            (255, _) | (_, []) => break,
            (code, [length, tail @ ..]) => {
                let (value, tail) = tail.split_at(tail.len().min(usize::from(*length)));
                let (addresses, _) = value.as_chunks::<4>();
                if code == 42 {
                    found.extend(addresses.iter().map(|at| IpAddr::from(Ipv4Addr::from(*at))));
                }
                tail
            }
        };
    }
    found
}

/// Options of two bytes each for code and length.
fn of_options6(mut rest: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    while let [code_high, code_low, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, tail) = tail.split_at(tail.len().min(length));
        if u16::from_be_bytes([*code_high, *code_low]) == 31 {
            let (addresses, _) = value.as_chunks::<16>();
            found.extend(addresses.iter().map(|at| IpAddr::from(Ipv6Addr::from(*at))));
        }
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;

    use super::*;

    #[test]
    fn the_packets_that_dhcpcd_keeps_are_read() {
        let mut packet = vec![0; 236];
        packet.extend([99, 130, 83, 99, 0, 53, 1, 5, 42, 8, 192, 0, 2, 1, 192, 0, 2, 2, 255, 42]);
        let shown = |packet: &[u8]| -> Vec<String> {
            addresses(packet).iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown(&packet), ["192.0.2.1", "192.0.2.2"]);
        let mut packet6 = vec![7, 1, 2, 3, 0, 1, 0, 2, 9, 9, 0, 31, 0, 16];
        packet6.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5).octets());
        assert_eq!(shown(&packet6), ["2001:db8::5"]);
        packet.truncate(244);
        assert!(
            shown(&packet).is_empty() && shown(&[]).is_empty() && shown(&packet6[..9]).is_empty()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_packet_is_read_without_a_panic(tail in vec(0_u8..=255, 0..80)) {
            let _ = addresses(&tail);
            let mut packet = vec![0; 236];
            packet.extend([99, 130, 83, 99]);
            packet.extend(&tail);
            proptest::prop_assert!(addresses(&packet).len() <= 20);
        }
    }
}
