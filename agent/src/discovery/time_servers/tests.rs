use std::fs;

use tempfile::TempDir;

use super::*;

/// Path and text of each.
type Files<'a> = &'a [(&'a str, &'a str)];

fn host(files: Files<'_>) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn found(root: &TempDir) -> Vec<String> {
    discover(root.path(), &root.path().join("sys/class/dmi/id"))
        .iter()
        .map(|found| format!("{} {}", found.server, found.named_by))
        .collect()
}

#[test]
fn each_daemons_configuration_is_read() {
    let chrony = "/etc/chrony/chrony.conf";
    let cases: &[(Files<'_>, &[&str])] = &[
        (
            &[
                (
                    "etc/chrony/chrony.conf",
                    "# a comment\nserver ntp1.example iburst port 1123\nPOOL pool.example # \
                     why\n! old\nconfdir /etc/chrony/conf.d\nsourcedir /run/s\ninclude \
                     /etc/chrony/x*.inc\n",
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
                &format!("ntp1.example:1123 {chrony}"),
                &format!("pool.example:123 {chrony}"),
                "192.0.2.7:123 /etc/chrony/conf.d/a.conf",
                "[2001:db8::1]:123 /run/s/dhcp.sources",
            ],
        ),
        (
            &[(
                "etc/ntp.conf",
                "server -4 ntp.example prefer\nserver 127.127.1.0\nrestrict default\n",
            )],
            &["ntp.example:123 /etc/ntp.conf"],
        ),
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
                ("etc/systemd/timesyncd.conf", "[Time]\n#NTP=\n"),
                ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n"),
            ],
            &["169.254.169.123:123 the cloud (Amazon EC2)"],
        ),
        (
            &[
                ("sys/class/dmi/id/sys_vendor", "Xen\n"),
                ("sys/class/dmi/id/bios_version", "4.11.amazon\n"),
            ],
            &["169.254.169.123:123 the cloud (Amazon EC2)"],
        ),
        (
            &[("sys/class/dmi/id/sys_vendor", "Google\n")],
            &["169.254.169.254:123 the cloud (Google)"],
        ),
        (
            &[("sys/class/dmi/id/chassis_asset_tag", "OracleCloud.com\n")],
            &["169.254.169.254:123 the cloud (Oracle Cloud)"],
        ),
        (&[("sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n")], &[]),
        (&[], &[]),
    ];
    for (files, wanted) in cases {
        assert_eq!(found(&host(files)), *wanted, "{files:?}");
    }
}

#[test]
fn a_configuration_cannot_leave_the_root_loop_or_be_endless() {
    let outside = host(&[("secret.conf", "server out.example\n")]);
    let many: String =
        (0..100).map(|n| ["server s", &n.to_string(), ".example\n"].concat()).collect();
    let climb = format!(
        "include /../../../../..{}/secret.conf\ninclude /etc/chrony.conf\n{many}",
        outside.path().display()
    );
    let servers = found(&host(&[("etc/chrony.conf", &climb)]));
    assert_eq!(servers.len(), SERVERS);
    assert!(servers.iter().all(|server| !server.contains("out.example")));
}
