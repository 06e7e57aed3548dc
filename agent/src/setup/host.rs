//! What only this machine can answer: its name, kubelet roots, time servers, and the state file.

use std::path::{Path, PathBuf};

use tokenwatch_core::world::clocks::ServerName;
use tracing::info;

use super::failure::Failure;
use super::plan::{self, Host};
use crate::config::Settings;
use crate::discovery::roots::given;
use crate::discovery::time_servers::{self, Discovered};
use crate::environment::Environment;
use crate::state_file;

/// Where the firmware names the vendor of the machine, below the root of the file system.
const DMI: &str = "sys/class/dmi/id";

/// Looks everything up.
pub(super) fn look_up(settings: &Settings, node: &str) -> Result<Host, Failure> {
    let state = settings.state.dir.as_deref();
    Ok(Host {
        node: node.to_owned(),
        servers: time_servers(settings),
        roots: kubelet_roots(settings)?,
        restored: state
            .map(|directory| state_file::restore(directory, node).findings)
            .unwrap_or_default(),
    })
}

/// The name of this node: from the settings, from the variable NODE_NAME (which manifests set to
/// `spec.nodeName`), or the host name.
pub fn node_name(settings: &Settings, environment: &Environment) -> String {
    let configured =
        settings.node.clone().or_else(|| environment.get("NODE_NAME").map(ToOwned::to_owned));
    configured.or_else(host_name).unwrap_or_else(|| "localhost".to_owned())
}

pub(super) fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The kubelet roots to read: those of the settings, or those that a search finds.
pub fn kubelet_roots(settings: &Settings) -> Result<Vec<PathBuf>, Failure> {
    if settings.roots.is_empty() {
        plan::search(settings).all().map_err(Failure::Roots)
    } else {
        Ok(given(&settings.host_prefix, &settings.roots))
    }
}

/// The time servers to query.
#[derive(Clone, Debug, Default)]
pub struct TimeServers(Vec<(ServerName, bool)>);

impl TimeServers {
    /// Their names.
    pub fn names(&self) -> Vec<ServerName> {
        self.0.iter().map(|(server, _)| server.clone()).collect()
    }

    /// Those that the host authenticates by NTS. The agent has no NTS, and asks them in the clear.
    pub fn in_the_clear(&self) -> Vec<ServerName> {
        self.0.iter().filter(|(_, nts)| *nts).map(|(server, _)| server.clone()).collect()
    }
}

/// The time servers to query: those of the settings, or those that the host's own time daemon is
/// configured with, DHCP named, or the cloud offers.
pub fn time_servers(settings: &Settings) -> Vec<ServerName> {
    named_time_servers(settings).names()
}

/// The same, with what is known of each.
pub fn named_time_servers(settings: &Settings) -> TimeServers {
    let clock = &settings.clock;
    if clock.servers.is_empty() && clock.discover {
        discovered(&settings.host_prefix)
    } else {
        TimeServers(clock.servers.iter().map(|server| (server.clone(), false)).collect())
    }
}

fn discovered(prefix: &Path) -> TimeServers {
    let found = time_servers::discover(prefix, &dmi(prefix));
    found.public.iter().for_each(log_unused);
    found.servers.iter().for_each(log_used);
    TimeServers(found.servers.into_iter().map(|found| (found.server, found.nts)).collect())
}

fn log_unused(public: &Discovered) {
    info!(
        server = %public.server, configured_in = %public.named_by,
        "not using a public NTP pool or server of the host: to use one, set clock.servers"
    );
}

fn log_used(found: &Discovered) {
    let (server, configured_in) = (&found.server, &found.named_by);
    if found.nts {
        info!(
            %server, configured_in,
            "using a time server of the host without NTS: the host authenticates it, the agent \
             does not"
        );
    } else {
        info!(%server, configured_in, "using a time server of the host");
    }
}

/// A container that mounts only parts of the host has the same sysfs as the host itself.
fn dmi(prefix: &Path) -> PathBuf {
    let of_host = prefix.join(DMI);
    if of_host.exists() { of_host } else { Path::new("/").join(DMI) }
}
