//! Configuration of OpenNTPD, ntpd.conf(5).

use std::path::{Path, PathBuf};

use super::host::HostFiles;
use super::running::Running;
use super::{Discovered, POOL_VOTES};

const FILES: [&str; 3] = ["/etc/openntpd/ntpd.conf", "/etc/ntpd.conf", "/usr/local/etc/ntpd.conf"];

/// Its servers. A constraint is a web server, and is not queried.
pub(super) fn servers(host: &HostFiles<'_>, running: &Running) -> Vec<Discovered> {
    let commanded = running.options("ntpd", &["f"]).filter_map(|options| options.file(&["f"]));
    let mut files = commanded.chain(FILES.iter().map(PathBuf::from));
    let found = files.find_map(|file| Some((host.text(&file)?, file)));
    found.map(|(text, file)| of_text(&text, &file)).unwrap_or_default()
}

fn of_text(text: &str, file: &Path) -> Vec<Discovered> {
    let joined = text.replace("\\\n", " ");
    joined.lines().filter_map(|line| of_line(line, file)).collect()
}

fn of_line(line: &str, file: &Path) -> Option<Discovered> {
    let mut words = line.split('#').next()?.split_whitespace();
    // `servers` takes every address of the name for a server of its own.
    let votes = match words.next()? {
        "server" => None,
        "servers" => Some(POOL_VOTES),
        _ => return None,
    };
    Some(Discovered::new(words.next()?.trim_matches('"'), None, file)?.with_pool(votes))
}
