//! chrony, as distributions configure it.

use super::{Host, assert_found};

#[test]
fn directives_includes_and_directories_are_read() {
    assert_found(&[
        (
            &[
                (
                    "etc/chrony/chrony.conf",
                    "# a comment\n  ! old\n; server no.example\n% server no.example\nserver \
                     ntp1.example iburst port 1123\nPOOL pool.example # why\nconfdir \
                     /etc/chrony/conf.d\nsourcedir /run/s\ninclude /etc/chrony/x*.inc\nrefclock \
                     PHC /dev/ptp0\n",
                ),
                ("etc/chrony/conf.d/a.conf", "peer 192.0.2.7\n"),
                ("etc/chrony/conf.d/a.off", "server no.example\n"),
                ("run/s/dhcp.sources", "server 2001:db8::1\n"),
                (
                    "etc/chrony/x1.inc",
                    "server ntp1.example port 1123\ninclude /etc/chrony/x1.inc\n",
                ),
            ],
            &[
                "ntp1.example:1123 /etc/chrony/chrony.conf",
                "pool.example:123 /etc/chrony/chrony.conf pool 4",
                "192.0.2.7:123 /etc/chrony/conf.d/a.conf",
                "[2001:db8::1]:123 /run/s/dhcp.sources",
            ],
        ),
        // Of two fragments with one name, that of the first directory counts; names are sorted.
        (
            &[
                ("etc/chrony.conf", "confdir /etc/one.d /etc/two.d\n"),
                ("etc/two.d/10.conf", "server second.example\n"),
                ("etc/one.d/10.conf", "server first.example\n"),
                ("etc/two.d/05.conf", "server early.example\n"),
            ],
            &["early.example:123 /etc/two.d/05.conf", "first.example:123 /etc/one.d/10.conf"],
        ),
        // Patterns in any component, and relative paths.
        (
            &[
                ("etc/chrony.conf", "include /etc/chrony-?.d/[0-4]*.conf\ninclude etc/last\n"),
                ("etc/chrony-a.d/10.conf", "server a.example\n"),
                ("etc/chrony-a.d/50.conf", "server no.example\n"),
                ("etc/chrony-b.d/20.conf", "server b.example\n"),
                ("etc/last", "server c.example\n"),
            ],
            &[
                "a.example:123 /etc/chrony-a.d/10.conf",
                "b.example:123 /etc/chrony-b.d/20.conf",
                "c.example:123 /etc/last",
            ],
        ),
        (
            &[("etc/chrony.conf", "server nts.example nts ntsport 4460 iburst\n")],
            &["nts.example:123 /etc/chrony.conf nts"],
        ),
    ]);
}

#[test]
fn what_dhcp_named_counts_where_chrony_takes_it() {
    let (pool, source) = ("pool 2.rhel.pool.ntp.org iburst\n", "server 192.0.2.1 port 1123\n");
    let lease = ("var/lib/NetworkManager/internal-1-eth0.lease", "NTP=192.0.2.9\n");
    let link = ("run/systemd/netif/links/2", "NTP=192.0.2.8\n");
    assert_found(&[
        (
            &[
                ("etc/chrony.conf", &[pool, "sourcedir /run/chrony-dhcp\n"].concat()),
                ("run/chrony-dhcp/eth0.sources", source),
                lease,
            ],
            &["192.0.2.1:1123 /run/chrony-dhcp/eth0.sources"],
        ),
        (
            &[("etc/chrony.conf", &[pool, "sourcedir /run/chrony-dhcp\n"].concat()), lease],
            &["192.0.2.9:123 /var/lib/NetworkManager/internal-1-eth0.lease"],
        ),
        (
            &[
                ("etc/chrony.conf", pool),
                ("run/chrony-dhcp/eth0.sources", source),
                ("etc/systemd/timesyncd.conf", "[Time]\n"),
                lease,
                link,
            ],
            &[],
        ),
        (
            &[
                ("etc/chrony.conf", pool),
                ("var/lib/dhclient/chrony.servers.eth0", "192.0.2.1 iburst\n192.0.2.2\n"),
            ],
            &[
                "192.0.2.1:123 /var/lib/dhclient/chrony.servers.eth0",
                "192.0.2.2:123 /var/lib/dhclient/chrony.servers.eth0",
            ],
        ),
    ]);
}

#[test]
fn the_file_is_the_one_that_the_daemon_was_started_with() {
    let platform = "/run/coreos-platform-chrony.conf";
    let usual = ("etc/chrony.conf", "server usual.example\n");
    let other = ("etc/other.conf", "server other.example\n");
    let found = &["other.example:123 /etc/other.conf"][..];
    assert_found(&[
        (
            &[usual, (&platform[1..], "server metadata.google.internal prefer iburst\n")],
            &["metadata.google.internal:123 /run/coreos-platform-chrony.conf"],
        ),
        (
            &[usual, other, ("etc/sysconfig/chronyd", "OPTIONS=\"-F 2 -f /etc/other.conf\"\n")],
            found,
        ),
        (&[usual, other, ("etc/default/chrony", "DAEMON_OPTS='-F 1 -f/etc/other.conf'\n")], found),
        (
            &[
                usual,
                other,
                (
                    "run/systemd/system/chronyd.service.d/platform.conf",
                    "[Service]\nExecStart=\nExecStart=/usr/sbin/chronyd -f /etc/other.conf \
                     $OPTIONS\n",
                ),
            ],
            found,
        ),
        (
            &[usual, ("etc/sysconfig/chronyd", "OPTIONS=\"-f /etc/missing.conf\"\n")],
            &["usual.example:123 /etc/chrony.conf"],
        ),
        (
            &[usual, ("etc/sysconfig/chronyd", "# OPTIONS=\"-f /x\"\nOPTIONS=\"-F 2\"\n")],
            &["usual.example:123 /etc/chrony.conf"],
        ),
    ]);
}

#[test]
fn a_running_daemon_shows_its_file_or_its_directives() {
    let files = [("etc/chrony.conf", "server usual.example\n"), ("a/b.conf", "server b.example\n")];
    let table: [(&[&str], &str); 6] = [
        (&["/usr/sbin/chronyd", "-F", "2", "-f", "/a/b.conf"], "b.example:123 /a/b.conf"),
        (&["/nix/store/x/bin/chronyd", "-nf", "/a/b.conf"], "b.example:123 /a/b.conf"),
        (&["chronyd", "-f", "/a/b.conf", "what else"], "b.example:123 /a/b.conf"),
        (&["chronyd", "-u", "chrony"], "usual.example:123 /etc/chrony.conf"),
        (&["chronyd", "-f", "/in/a/container"], "usual.example:123 /etc/chrony.conf"),
        (
            &["chronyd", "-n", "server c.example iburst", "makestep 1 3"],
            "c.example:123 chronyd's command line",
        ),
    ];
    for (arguments, wanted) in table {
        let host = Host::with(&files);
        host.runs(7, arguments);
        assert_eq!(host.found(), [wanted], "{arguments:?}");
    }
}

#[test]
fn a_pool_has_its_maximum_and_a_name_that_is_also_a_server_is_none() {
    let table = [
        ("pool p.example", "p.example:123 /etc/chrony.conf pool 4"),
        ("pool p.example iburst maxsources 2", "p.example:123 /etc/chrony.conf pool 2"),
        ("pool p.example MAXSOURCES 16 port 99", "p.example:99 /etc/chrony.conf pool 16"),
        ("pool p.example maxsources 0", "p.example:123 /etc/chrony.conf pool 4"),
        ("pool p.example maxsources 99", "p.example:123 /etc/chrony.conf pool 4"),
        ("pool p.example maxsources", "p.example:123 /etc/chrony.conf pool 4"),
        ("pool 192.0.2.1", "192.0.2.1:123 /etc/chrony.conf"),
        ("server p.example maxsources 2", "p.example:123 /etc/chrony.conf"),
        ("pool p.example\nserver p.example", "p.example:123 /etc/chrony.conf"),
    ];
    for (text, expected) in table {
        let host = Host::with(&[("etc/chrony.conf", text)]);
        assert_eq!(host.found(), [expected], "{text}");
    }
}
