//! Hosts as distributions and clouds leave them, and the servers found there.

mod chrony;
mod daemons;
mod dhcp;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Paths and texts.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A host, and what is found on it: `SERVER FILE` of each.
struct Host(TempDir);

impl Host {
    fn with(files: Files<'_>) -> Self {
        let host = Self(TempDir::new().unwrap());
        for (path, text) in files {
            host.write(path, text.as_bytes());
        }
        host
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.prepared(path), bytes).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        symlink(target, self.prepared(path)).unwrap();
    }

    /// A process of this host.
    fn runs(&self, pid: u32, arguments: &[&str]) {
        let name = Path::new(arguments[0]).file_name().unwrap().to_str().unwrap();
        self.write(&format!("proc/{pid}/stat"), format!("{pid} ({name}) S 1 1").as_bytes());
        let line: String = arguments.iter().flat_map(|argument| [*argument, "\0"]).collect();
        self.write(&format!("proc/{pid}/cmdline"), line.as_bytes());
    }

    fn prepared(&self, path: &str) -> std::path::PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn discovery(&self) -> Discovery {
        let (root, dmi) = (self.0.path(), self.0.path().join("sys/class/dmi/id"));
        with_processes(root, &dmi, &ProcFs::at(&root.join("proc")))
    }

    fn found(&self) -> Vec<String> {
        let shown = |found: &Discovered| {
            let nts = if found.nts { " nts" } else { "" };
            let pool = found.server.pool.map_or(String::new(), |votes| format!(" pool {votes}"));
            format!("{} {}{nts}{pool}", found.server, found.named_by)
        };
        self.discovery().servers.iter().map(shown).collect()
    }
}

/// Asserts what is found on each host.
fn assert_found(table: &[(Files<'_>, &[&str])]) {
    for (files, wanted) in table {
        assert_eq!(Host::with(files).found(), *wanted, "{files:?}");
    }
}

const EC2: (&str, &str) = ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");

#[test]
fn a_cloud_is_known_by_its_firmware() {
    let dmi = |file: &str| ["sys/class/dmi/id/", file].concat();
    let table = [
        ("sys_vendor", "Amazon EC2\n", vec!["169.254.169.123:123 the cloud (Amazon EC2)"]),
        ("bios_version", "4.11.amazon\n", vec!["169.254.169.123:123 the cloud (Amazon EC2)"]),
        ("sys_vendor", "Google\n", vec!["169.254.169.254:123 the cloud (Google Compute Engine)"]),
        (
            "chassis_asset_tag",
            "OracleCloud.com\n",
            vec!["169.254.169.254:123 the cloud (Oracle Cloud)"],
        ),
        (
            "sys_vendor",
            "Tencent Cloud\n",
            vec![
                "169.254.0.79:123 the cloud (Tencent Cloud)",
                "169.254.0.80:123 the cloud (Tencent Cloud)",
                "169.254.0.81:123 the cloud (Tencent Cloud)",
            ],
        ),
        (
            "sys_vendor",
            "Alibaba Cloud\n",
            vec!["ntp.cloud.aliyuncs.com:123 the cloud (Alibaba Cloud)"],
        ),
        ("sys_vendor", "Microsoft Corporation\n", vec![]),
        ("sys_vendor", "QEMU\n", vec![]),
        ("sys_vendor", "\u{0}\u{7f}", vec![]),
    ];
    for (file, text, wanted) in table {
        assert_eq!(Host::with(&[(&dmi(file), text)]).found(), wanted, "{file} {text}");
    }
}

#[test]
fn public_servers_are_taken_out_before_anything_is_decided() {
    let pools = "pool 2.amazon.pool.ntp.org iburst\nserver time.google.com\npool ntp.ubuntu.com\n";
    let cloud = "169.254.169.123:123 the cloud (Amazon EC2)";
    let own = "[Time]\nNTP=ntp.example\n";
    let table: [(Files<'_>, &str); 5] = [
        (&[("etc/chrony.conf", pools), EC2], cloud),
        (&[("etc/ntp.conf", "pool 0.debian.pool.ntp.org\n"), EC2], cloud),
        (&[("etc/systemd/timesyncd.conf", "[Time]\nFallbackNTP=ntp.ubuntu.com\n"), EC2], cloud),
        (
            &[("etc/chrony.conf", pools), ("etc/systemd/timesyncd.conf", own), EC2],
            "ntp.example:123 /etc/systemd/timesyncd.conf",
        ),
        (
            &[("etc/chrony.conf", &[pools, "server ntp.example\n"].concat()), EC2],
            "ntp.example:123 /etc/chrony.conf",
        ),
    ];
    for (files, wanted) in table {
        let host = Host::with(files);
        assert_eq!(host.found(), [wanted], "{files:?}");
        assert!(!host.discovery().public.is_empty(), "and they are reported as left out");
    }
    let left_out = Host::with(&[("etc/chrony.conf", pools)]).discovery().public;
    assert_eq!(left_out.len(), 3);
}

#[test]
fn a_daemon_that_runs_comes_before_the_files_of_another() {
    let host = Host::with(&[
        ("etc/chrony.conf", "server old.example\n"),
        ("etc/systemd/timesyncd.conf", "[Time]\nNTP=used.example\n"),
    ]);
    assert_eq!(host.found(), ["old.example:123 /etc/chrony.conf"]);
    host.runs(7, &["/usr/lib/systemd/systemd-timesyncd"]);
    assert_eq!(host.found(), ["used.example:123 /etc/systemd/timesyncd.conf"]);
}

#[test]
fn links_of_the_host_stay_on_the_host() {
    let host = Host::with(&[
        ("etc/chrony.conf", "confdir /etc/chrony.d\nsourcedir /run/chrony.d\n"),
        ("usr/share/vendor/link-local.sources", "server ntp.example\n"),
        ("nix/store/a/timesyncd.conf", "[Time]\nNTP=other.example\n"),
    ]);
    host.link("run/chrony.d/link-local.sources", "/usr/share/vendor/link-local.sources");
    assert_eq!(host.found(), ["ntp.example:123 /run/chrony.d/link-local.sources"]);

    let nixos = Host::with(&[("nix/store/a/timesyncd.conf", "[Time]\nNTP=ntp.example\n")]);
    nixos.link("etc/systemd/timesyncd.conf", "/etc/static/systemd/timesyncd.conf");
    nixos.link("etc/static", "/nix/store/a-etc/etc");
    nixos.link("nix/store/a-etc/etc/systemd/timesyncd.conf", "../../../a/timesyncd.conf");
    assert_eq!(nixos.found(), ["ntp.example:123 /etc/systemd/timesyncd.conf"]);
}

#[test]
fn a_configuration_cannot_leave_the_root_loop_or_be_endless() {
    let outside = Host::with(&[("secret.conf", "server out.example\n")]);
    let secret = outside.0.path().join("secret.conf").display().to_string();
    let many: String =
        (0..100).map(|n| ["server s", &n.to_string(), ".example\n"].concat()).collect();
    let climb = format!(
        "include /../../../../..{secret}\ninclude {secret}\ninclude /etc/link.conf\ninclude \
         /etc/chrony.conf\ninclude /etc/*.conf\n{many}"
    );
    let host = Host::with(&[("etc/chrony.conf", &climb)]);
    host.link("etc/link.conf", &secret);
    host.link("etc/loop.conf", "loop.conf");
    let servers = host.found();
    assert_eq!(servers.len(), SERVERS);
    let beyond = host.discovery().beyond;
    assert_eq!(beyond.len(), 100 - SERVERS, "those are reported");
    assert_eq!(beyond[0].server.host, "s16.example");
    assert!(servers.iter().all(|server| !server.contains("out.example")));
}

#[test]
fn a_server_is_taken_once_whatever_its_form() {
    let host = Host::with(&[(
        "etc/chrony.conf",
        "server NTP.example\nserver ntp.example. nts\nserver 2001:DB8:0:0::1\nserver 2001:db8::1\n\
         server fe80::1%eth0\nserver ntp.example port 1123\nserver ::ffff:192.0.2.1\n\
         server 192.0.2.1\n",
    )]);
    assert_eq!(
        host.found(),
        [
            "NTP.example:123 /etc/chrony.conf nts",
            "[2001:db8::1]:123 /etc/chrony.conf",
            "[fe80::1%eth0]:123 /etc/chrony.conf",
            "192.0.2.1:123 /etc/chrony.conf",
        ]
    );
}

#[test]
fn what_is_no_configuration_gives_nothing() {
    let host = Host::with(&[]);
    fs::create_dir_all(host.0.path().join("etc/chrony.conf")).unwrap();
    host.write("etc/ntp.conf", &[0xff, 0, b'\n', b's', b'e', 0xfe]);
    host.write("etc/ntpd-rs/ntp.toml", b"[[source]]\nmode = \"server\naddress = \n[[source");
    host.write("etc/openntpd/ntpd.conf", b"server\nservers \"\nserver a/b\n\\\n");
    host.write("etc/systemd/timesyncd.conf", b"NTP=outside\n[Time]\nNTP==\nNTP\n");
    nix::unistd::mkfifo(&host.prepared("etc/ntpd.conf"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(host.discovery(), Discovery::default());
}
