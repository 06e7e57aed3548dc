//! Servers that DHCP named.

use super::{Files, Host, assert_found};

/// The pool of a distribution, which is never used.
const FALLBACK: (&str, &str) =
    ("etc/systemd/timesyncd.conf", "[Time]\nFallbackNTP=0.nixos.pool.ntp.org\n");

#[test]
fn networkd_hands_its_servers_to_timesyncd() {
    let link = ("run/systemd/netif/links/2", "# private\nADMIN_STATE=configured\nNTP=192.0.2.1\n");
    assert_found(&[
        (
            &[FALLBACK, link, ("run/systemd/netif/state", "NTP=192.0.2.1 ntp.example\n")],
            &[
                "192.0.2.1:123 /run/systemd/netif/links/2",
                "ntp.example:123 /run/systemd/netif/state",
            ],
        ),
        (&[link], &["192.0.2.1:123 /run/systemd/netif/links/2"]),
        (
            &[("etc/systemd/timesyncd.conf", "[Time]\nNTP=ntp.example\n"), link],
            &[
                "ntp.example:123 /etc/systemd/timesyncd.conf",
                "192.0.2.1:123 /run/systemd/netif/links/2",
            ],
        ),
        (
            &[("run/systemd/netif/leases/3", "ADDRESS=192.0.2.9\nNTP=192.0.2.3\n")],
            &["192.0.2.3:123 /run/systemd/netif/leases/3"],
        ),
        // UseNTP=no: the lease names a server, and the link does not have it.
        (
            &[
                ("run/systemd/netif/links/3", "ADMIN_STATE=configured\n"),
                ("run/systemd/netif/leases/3", "NTP=192.0.2.3\n"),
            ],
            &[],
        ),
        (
            &[("run/systemd/netif/links/2", "NTP=time.google.com\n"), super::EC2],
            &["169.254.169.123:123 the cloud (Amazon EC2)"],
        ),
    ]);
}

#[test]
fn leases_of_every_client_are_read() {
    let table: [(Files<'_>, &[&str]); 5] = [
        (
            &[(
                "var/lib/NetworkManager/internal-1-eth0.lease",
                "ADDRESS=192.0.2.9\nNTP=192.0.2.1 192.0.2.2\n",
            )],
            &["192.0.2.1", "192.0.2.2"],
        ),
        (
            &[(
                "run/NetworkManager/devices/2",
                "[device]\nmanaged=true\n[dhcp4]\nntp_servers=192.0.2.1\n",
            )],
            &["192.0.2.1"],
        ),
        (
            &[(
                "var/lib/dhcp/dhclient.leases",
                "lease {\n  interface \"eth0\";\n  option ntp-servers 192.0.2.8;\n}\nlease {\n  \
                 interface \"eth1\";\n  option ntp-servers 192.0.2.3;\n}\nlease {\n  interface \
                 \"eth0\";\n  option ntp-servers 192.0.2.1,192.0.2.2;\n  option host-name \"x\";\n\
                 }\n",
            )],
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ),
        (
            &[(
                "var/lib/dhclient/dhclient6.leases",
                "lease6 {\n  interface \"eth0\";\n  ia-na 01 {\n    iaaddr 2001:db8::9 {\n    }\n  \
                 }\n  option dhcp6.sntp-servers 2001:db8::1;\n}\n",
            )],
            &["2001:db8::1"],
        ),
        (
            &[("run/dhcpcd/hook-state/ntp.conf/eth0.dhcp", "server 192.0.2.1 iburst\n")],
            &["192.0.2.1"],
        ),
    ];
    for (files, wanted) in table {
        let found = Host::with(&[files, &[FALLBACK, super::EC2]].concat()).discovery().servers;
        let hosts: Vec<&str> = found.iter().map(|found| found.server.host.as_str()).collect();
        assert_eq!(hosts, wanted, "{files:?}");
    }
}

#[test]
fn a_packet_of_dhcpcd_is_a_lease() {
    let host = Host::with(&[FALLBACK]);
    let mut packet = vec![0; 236];
    packet.extend([99, 130, 83, 99, 42, 4, 192, 0, 2, 1, 255]);
    host.write("var/lib/dhcpcd/eth0.lease", &packet);
    assert_eq!(host.found(), ["192.0.2.1:123 /var/lib/dhcpcd/eth0.lease"]);
}
