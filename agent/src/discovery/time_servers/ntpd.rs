//! Configuration of ntpd and NTPsec, ntp.conf(5).

use std::path::Path;

use super::Discovered;
use super::files::{HostFiles, named};

const FILES: [&str; 2] = ["/etc/ntpsec/ntp.conf", "/etc/ntp.conf"];
/// NTPsec reads fragments from here.
const FRAGMENTS: &str = "/etc/ntpsec/ntp.d";
/// Depth of nested `includefile`. ntpd itself stops at 5.
const DEPTH: u8 = 4;

pub(super) fn servers(host: &HostFiles<'_>) -> Vec<Discovered> {
    let fragments = host.with_suffix(Path::new(FRAGMENTS), ".conf");
    let files = FILES.iter().map(|file| Path::new(file).to_owned()).chain(fragments);
    files.flat_map(|file| of_file(host, &file, DEPTH)).collect()
}

fn of_file(host: &HostFiles<'_>, file: &Path, depth: u8) -> Vec<Discovered> {
    let Some(text) = host.text(file) else { return Vec::new() };
    text.lines().flat_map(|line| of_line(host, file, line, depth)).collect()
}

fn of_line(host: &HostFiles<'_>, file: &Path, line: &str, depth: u8) -> Vec<Discovered> {
    let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
    // `-4` and `-6` may stand before the name.
    match (words.next(), words.find(|word| !word.starts_with('-'))) {
        (Some("server" | "pool" | "peer"), Some(name)) if !is_reference_clock(name) => {
            named(name, None, file).into_iter().collect()
        }
        (Some("includefile"), Some(included)) if depth > 0 => {
            of_file(host, Path::new(included), depth - 1)
        }
        _ => Vec::new(),
    }
}

/// 127.127.TYPE.UNIT denotes a reference clock in ntpd's configuration, not an address.
fn is_reference_clock(name: &str) -> bool {
    name.starts_with("127.127.")
}
