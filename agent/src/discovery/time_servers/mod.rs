//! Which time servers to ask when none is configured: those that this host's own time daemon was
//! told to use, else the cloud's own.
//!
//! Nothing is asked that nobody chose: there is no public pool by default. A pool that the host's
//! configuration names was chosen by who runs the host; it is used, and asked as rarely as the
//! pool's operators wish (see the NTP source).

mod chrony;
mod cloud;
mod files;
mod ntpd;
mod timesyncd;

use std::path::Path;

use files::HostFiles;
use tokenwatch_core::world::clocks::ServerName;

/// Servers taken of one configuration; more prove nothing that these do not.
const SERVERS: usize = 16;

/// A server, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The server.
    pub server: ServerName,
    /// The file, or the cloud, that named it.
    pub named_by: String,
}

/// The servers of the host whose file system is at `root` (`/`, or where the host is mounted), and
/// of the machine by what `dmi` says (`/sys/class/dmi/id`). The first of chrony, ntpd and
/// systemd-timesyncd that names any is the daemon in use: what a replaced one left behind is not
/// asked.
pub fn discover(root: &Path, dmi: &Path) -> Vec<Discovered> {
    let host = HostFiles::new(root);
    let ways: [&dyn Fn() -> Vec<Discovered>; 4] = [
        &|| chrony::servers(&host),
        &|| ntpd::servers(&host),
        &|| timesyncd::servers(&host),
        &|| cloud::servers(dmi),
    ];
    let mut found =
        ways.iter().map(|way| way()).find(|found| !found.is_empty()).unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|found| seen.insert(found.server.clone()));
    found.truncate(SERVERS);
    found
}

/// A server named in a file, if what stands there can be one.
fn named(host: &str, port: Option<u16>, file: &Path) -> Option<Discovered> {
    let mut server: ServerName = host.parse().ok()?;
    server.port = port.unwrap_or(server.port);
    Some(Discovered { server, named_by: file.display().to_string() })
}

#[cfg(test)]
mod tests;
