//! Configuration of systemd-timesyncd, timesyncd.conf(5).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::host::HostFiles;
use super::{Discovered, dhcp};

/// The main file: the first of these that exists.
const MAIN: [&str; 4] = [
    "/etc/systemd/timesyncd.conf",
    "/run/systemd/timesyncd.conf",
    "/usr/local/lib/systemd/timesyncd.conf",
    "/usr/lib/systemd/timesyncd.conf",
];
/// Directories of drop-ins; a later one replaces a file of the same name in an earlier one.
const DROP_INS: [&str; 4] = [
    "/usr/lib/systemd/timesyncd.conf.d",
    "/usr/local/lib/systemd/timesyncd.conf.d",
    "/run/systemd/timesyncd.conf.d",
    "/etc/systemd/timesyncd.conf.d",
];

/// The servers of `NTP=` and, where `with_dhcp`, of networkd's interfaces, like the daemon. Those
/// of `FallbackNTP=` if all of these are public. The daemon's built-in fallback, a public pool, is
/// in no file and is not used.
pub(super) fn servers(host: &HostFiles<'_>, with_dhcp: bool) -> Vec<Discovered> {
    let (mut chosen, mut fallback) = (Vec::new(), Vec::new());
    for file in files(host) {
        let text = host.text(&file).unwrap_or_default().replace("\\\n", " ");
        for (key, value) in settings(&text) {
            match key {
                "NTP" => assign(&mut chosen, value, &file),
                "FallbackNTP" => assign(&mut fallback, value, &file),
                _ => {}
            }
        }
    }
    if with_dhcp {
        chosen.extend(dhcp::of_networkd(host));
    }
    if chosen.iter().all(|found| found.server.is_public()) {
        chosen.extend(fallback);
    }
    chosen
}

/// Main file, then drop-ins in the order of their names.
fn files(host: &HostFiles<'_>) -> Vec<PathBuf> {
    let drop_ins =
        DROP_INS.iter().flat_map(|directory| host.with_suffix(Path::new(directory), ".conf"));
    let by_name: BTreeMap<_, _> =
        drop_ins.map(|path| (path.file_name().map(ToOwned::to_owned), path)).collect();
    let main = MAIN.iter().map(PathBuf::from).find(|path| host.text(path).is_some());
    main.into_iter().chain(by_name.into_values()).collect()
}

/// Settings of the section `[Time]`.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut in_section = false;
    text.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with('[') {
            in_section = line == "[Time]";
        }
        let is_comment = line.starts_with(['#', ';']);
        line.split_once('=')
            .filter(|_| in_section && !is_comment)
            .map(|(key, value)| (key.trim_end(), value.trim_start()))
    })
}

/// Assignments add to the list; an empty one clears it.
fn assign(list: &mut Vec<Discovered>, value: &str, file: &Path) {
    if value.is_empty() {
        list.clear();
    }
    list.extend(value.split_whitespace().filter_map(|host| Discovered::new(host, None, file)));
}
