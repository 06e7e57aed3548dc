//! Time servers to use when none is configured: those of the host's own time daemon, else the time
//! server of the cloud.
//!
//! There is no default public pool: the agent only polls servers that somebody chose. The caller
//! decides whether a pool in the host's configuration is used.

mod chrony;
mod cloud;
mod files;
mod ntpd;
mod timesyncd;

use std::path::Path;

use files::HostFiles;
use tokenwatch_core::world::clocks::ServerName;

/// Servers used of one configuration. More would prove nothing further.
const SERVERS: usize = 16;

/// A server and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The server.
    pub server: ServerName,
    /// The file or the cloud that names it.
    pub named_by: String,
}

/// The servers of the host whose file system is at `root` (`/`, or where the host is mounted) and
/// whose hardware description is at `dmi` (`/sys/class/dmi/id`). The first of chrony, ntpd and
/// systemd-timesyncd that names a server is the daemon in use; files of a replaced one are ignored.
pub fn discover(root: &Path, dmi: &Path) -> Vec<Discovered> {
    let host = HostFiles::new(root);
    let finders: [&dyn Fn() -> Vec<Discovered>; 4] = [
        &|| chrony::servers(&host),
        &|| ntpd::servers(&host),
        &|| timesyncd::servers(&host),
        &|| cloud::servers(dmi),
    ];
    let found = finders.iter().map(|find| find()).find(|found| !found.is_empty());
    distinct(found.unwrap_or_default())
}

/// The first servers, each once.
fn distinct(mut found: Vec<Discovered>) -> Vec<Discovered> {
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|found| seen.insert(found.server.clone()));
    found.truncate(SERVERS);
    found
}

#[cfg(test)]
mod tests;
