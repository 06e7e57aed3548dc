//! Configuration of ntpd and NTPsec, ntp.conf(5), and the servers on the command line of BusyBox's
//! ntpd.

use std::path::{Path, PathBuf};

use super::host::HostFiles;
use super::running::Running;
use super::{Discovered, POOL_VOTES};

/// With the servers of DHCP, in place of the usual file, if they exist.
const OF_DHCP: [&str; 4] = [
    "/run/ntpsec/ntp.conf.dhcp",
    "/run/ntp.conf.dhcp",
    "/var/lib/ntpsec/ntp.conf.dhcp",
    "/var/lib/ntp/ntp.conf.dhcp",
];
const FILES: [&str; 2] = ["/etc/ntpsec/ntp.conf", "/etc/ntp.conf"];
/// NTPsec reads fragments from here.
const FRAGMENTS: &str = "/etc/ntpsec/ntp.d";
/// Options of ntpd(8), of both kinds and of BusyBox, that take a value.
const WITH_VALUE: [&str; 14] =
    ["c", "configfile", "f", "i", "I", "k", "l", "p", "r", "s", "S", "t", "u", "x"];
/// Depth of nested `includefile`. ntpd itself stops at 5.
const DEPTH: u8 = 5;

pub(super) fn servers(host: &HostFiles<'_>, running: &Running) -> Vec<Discovered> {
    let commanded = named_by_options(running);
    let files = files(host, running);
    commanded.into_iter().chain(files.iter().flat_map(|file| of_file(host, file, DEPTH))).collect()
}

/// The file on the command line, or that of DHCP, or the usual ones.
fn files(host: &HostFiles<'_>, running: &Running) -> Vec<PathBuf> {
    let chosen = running
        .options("ntpd", &WITH_VALUE)
        .filter_map(|options| options.file(&["c", "configfile"]))
        .chain(OF_DHCP.iter().map(PathBuf::from))
        .find(|file| host.text(file).is_some());
    let usual = FILES.iter().map(PathBuf::from).filter(|_| chosen.is_none());
    let fragments = host.with_suffix(Path::new(FRAGMENTS), ".conf");
    chosen.clone().into_iter().chain(usual).chain(fragments).collect()
}

/// BusyBox's `-p HOST`. That of the others is a file.
fn named_by_options(running: &Running) -> Vec<Discovered> {
    let named_by = Path::new("ntpd's command line");
    running
        .options("ntpd", &WITH_VALUE)
        .flat_map(|options| options.all(&["p"]).map(ToOwned::to_owned).collect::<Vec<String>>())
        .filter_map(|host| Discovered::new(&host, None, named_by))
        .collect()
}

fn of_file(host: &HostFiles<'_>, file: &Path, depth: u8) -> Vec<Discovered> {
    let Some(text) = host.text(file) else { return Vec::new() };
    text.lines().flat_map(|line| of_line(host, file, line, depth)).collect()
}

/// `-4` and `-6` may stand before the name.
fn of_line(host: &HostFiles<'_>, file: &Path, line: &str, depth: u8) -> Vec<Discovered> {
    let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
    match (words.next(), words.find(|word| !word.starts_with('-'))) {
        (Some(kind @ ("server" | "pool" | "peer")), Some(name)) if !is_reference_clock(name) => {
            let votes = (kind == "pool").then_some(POOL_VOTES);
            let found = server(name, words.any(|option| option == "nts"), file);
            found.map(|found| found.with_pool(votes)).into_iter().collect()
        }
        (Some("includefile"), Some(included)) if depth > 0 => {
            included_by(host, included).iter().flat_map(|it| of_file(host, it, depth - 1)).collect()
        }
        _ => Vec::new(),
    }
}

/// With NTS, a port behind the name is that of the key exchange.
fn server(name: &str, is_nts: bool, file: &Path) -> Option<Discovered> {
    let mut found = Discovered::new(name, None, file)?.with_nts(is_nts);
    if is_nts {
        found.use_ntp_port();
    }
    Some(found)
}

/// NTPsec also includes directories.
fn included_by(host: &HostFiles<'_>, path: &str) -> Vec<PathBuf> {
    let fragments = host.with_suffix(Path::new(path), ".conf");
    if fragments.is_empty() { vec![PathBuf::from(path)] } else { fragments }
}

/// 127.127.TYPE.UNIT denotes a reference clock in ntpd's configuration, not an address.
fn is_reference_clock(name: &str) -> bool {
    name.starts_with("127.127.")
}
