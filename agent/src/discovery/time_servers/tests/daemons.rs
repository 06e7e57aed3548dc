//! The other time daemons.

use super::{Host, assert_found};

#[test]
fn ntpd_and_ntpsec_are_read() {
    assert_found(&[
        (
            &[(
                "etc/ntp.conf",
                "server -4 ntp.example prefer\nserver 127.127.1.0\nrestrict default\npeer \
                 p.example # why\n",
            )],
            &["ntp.example:123 /etc/ntp.conf", "p.example:123 /etc/ntp.conf"],
        ),
        (
            &[
                ("etc/ntpsec/ntp.conf", "server a.example nts\nincludefile /etc/ntpsec/more\n"),
                ("etc/ntpsec/more/x.conf", "server b.example:4460 iburst nts\n"),
                ("etc/ntpsec/ntp.d/20.conf", "pool c.example\n"),
            ],
            &[
                "a.example:123 /etc/ntpsec/ntp.conf nts",
                "b.example:123 /etc/ntpsec/more/x.conf nts",
                "c.example:123 /etc/ntpsec/ntp.d/20.conf pool 4",
            ],
        ),
        (
            &[
                ("etc/ntp.conf", "server old.example\n"),
                ("run/ntp.conf.dhcp", "server dhcp.example\n"),
            ],
            &["dhcp.example:123 /run/ntp.conf.dhcp"],
        ),
    ]);
    let host = Host::with(&[
        ("etc/ntp.conf", "server old.example\n"),
        ("srv/ntp.conf", "server used.example\n"),
    ]);
    host.runs(7, &["/usr/sbin/ntpd", "-g", "-c", "/srv/ntp.conf", "-p", "/run/ntpd.pid"]);
    assert_eq!(host.found(), ["used.example:123 /srv/ntp.conf"]);
    let busybox = Host::with(&[]);
    busybox.runs(7, &["ntpd", "-N", "-p", "a.example", "-p", "b.example"]);
    assert_eq!(
        busybox.found(),
        ["a.example:123 ntpd's command line", "b.example:123 ntpd's command line"]
    );
}

#[test]
fn openntpd_is_read() {
    let text = "# $OpenBSD$\nlisten on *\nserver ntp.example weight 5 # why\nservers 2001:db8::7 \
                trusted\nsensor *\nconstraint from \"9.9.9.9\"\nconstraints from \
                \"https://www.example\"\n";
    assert_found(&[
        (
            &[("etc/openntpd/ntpd.conf", text)],
            &[
                "ntp.example:123 /etc/openntpd/ntpd.conf",
                "[2001:db8::7]:123 /etc/openntpd/ntpd.conf",
            ],
        ),
        (&[("etc/ntpd.conf", "servers ntp.example\n")], &["ntp.example:123 /etc/ntpd.conf pool 4"]),
    ]);
}

#[test]
fn ntpd_rs_is_read() {
    let file = "/etc/ntpd-rs/ntp.toml";
    let text = "[observability]\nlog-level = \"info\"\n\n[[source]]\nmode = \"server\"\naddress = \
                \"a.example:1123\" # ours\n\n[[source]]\nmode = 'pool'\naddress = \
                'b.example'\ncount = 4\n\n[[source]]\naddress = \"c.example:4460\"\nmode = \
                \"nts\"\n\n[[source]]\nmode = \"sock\"\npath = \"/run/gps\"\n\n[[source]]\nmode = \
                \"server\"\naddress = \"[2001:db8::1]:99\"\n\n[[server]]\nlisten = \
                \"0.0.0.0:123\"\naddress = \"no.example\"\nmode = \"server\"\n";
    let found = [
        format!("a.example:1123 {file}"),
        format!("b.example:123 {file} pool 4"),
        format!("c.example:123 {file} nts"),
        format!("[2001:db8::1]:99 {file}"),
    ];
    assert_eq!(Host::with(&[(&file[1..], text)]).found(), found);
    let inline = "source = [\n  { mode = \"server\", address = \"a.example:1123\" },\n  { mode = \
                  \"pool\", address = \"b.example\" }, { address = \"c.example\", mode = \"nts\" \
                  },\n  { mode = \"server\", address = \"[2001:db8::1]:99\" },\n]\n\
                  [observability]\naddress = \"no.example\"\n";
    assert_eq!(Host::with(&[(&file[1..], inline)]).found(), found);
    for (count, pool) in [("1", 1), ("16", 16), ("17", 4), ("-1", 4), ("\"2\"", 4)] {
        let text =
            format!("[[source]]\ncount = {count}\nmode = \"pool\"\naddress = \"b.example\"\n");
        let host = Host::with(&[(&file[1..], &text)]);
        assert_eq!(host.found(), [format!("b.example:123 {file} pool {pool}")], "{count}");
    }
    let host = Host::with(&[("srv/ntp.toml", text)]);
    host.runs(7, &["/usr/bin/ntp-daemon", "--config=/srv/ntp.toml"]);
    assert_eq!(host.found().len(), 4);
}

#[test]
fn timesyncd_is_read_with_its_drop_ins() {
    assert_found(&[
        (
            &[
                (
                    "etc/systemd/timesyncd.conf",
                    "[Time]\n#NTP=no.example\nNTP=old.example\nFallbackNTP=fall.example\n[Other]\\
                     nNTP=no.example\n",
                ),
                (
                    "usr/lib/systemd/timesyncd.conf.d/10.conf",
                    "[Time]\nNTP=\nNTP=replaced.example\n",
                ),
                ("etc/systemd/timesyncd.conf.d/10.conf", "[Time]\nNTP=\nNTP=a.example b.example\n"),
            ],
            &[
                "a.example:123 /etc/systemd/timesyncd.conf.d/10.conf",
                "b.example:123 /etc/systemd/timesyncd.conf.d/10.conf",
            ],
        ),
        (
            &[
                ("usr/lib/systemd/timesyncd.conf", "[Time]\nNTP=ntp.ubuntu.com\n"),
                (
                    "run/systemd/timesyncd.conf.d/01-dhclient.conf",
                    "[Time]\nFallbackNTP=a.example \\\n  b.example\n",
                ),
            ],
            &[
                "a.example:123 /run/systemd/timesyncd.conf.d/01-dhclient.conf",
                "b.example:123 /run/systemd/timesyncd.conf.d/01-dhclient.conf",
            ],
        ),
    ]);
    let masked =
        Host::with(&[("usr/lib/systemd/timesyncd.conf.d/10.conf", "[Time]\nNTP=masked.example\n")]);
    masked.link("etc/systemd/timesyncd.conf.d/10.conf", "/dev/null");
    assert!(masked.found().is_empty());
}
