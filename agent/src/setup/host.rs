//! What only this machine can answer: its name, kubelet roots and time servers.

use std::path::{Path, PathBuf};

use tokenwatch_core::world::clocks::ServerName;
use tracing::{info, warn};

use super::failure::Failure;
use super::plan::{self, Host};
use crate::config::Settings;
use crate::discovery::roots::given;
use crate::discovery::time_servers::{self, Discovered, POOL_VOTES};
use crate::environment::Environment;
use crate::state_file::RestoredState;

/// Where the firmware names the vendor of the machine, below the root of the file system.
const DMI: &str = "sys/class/dmi/id";

/// Looks everything up but what the previous agent saved.
pub(super) fn look_up(
    settings: &Settings,
    node: &str,
    restored: RestoredState,
) -> Result<Host, Failure> {
    Ok(Host {
        node: node.to_owned(),
        servers: time_servers(settings),
        roots: kubelet_roots(settings)?,
        restored: restored.findings,
        habits: restored.habits,
        held: restored.held,
        api_servers: Vec::new(),
    })
}

/// The name of this node: from the settings, from the variable NODE_NAME (which manifests set to
/// `spec.nodeName`), or the host name.
pub fn node_name(settings: &Settings, environment: &Environment) -> String {
    let variable = environment.get("NODE_NAME").map(ToOwned::to_owned);
    let names = [settings.node.clone(), variable, host_name()];
    let mut names = names.into_iter().flatten().map(|name| registered(&name));
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The name under which kubelet registers a node whose host name, or `--hostname-override`, is
/// `name` (GetHostname in pkg/util/node): without white space around it, and in lower case.
fn registered(name: &str) -> String {
    name.trim().to_lowercase()
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
    if clock.servers.is_empty() && clock.pools.is_empty() && clock.discover {
        return discovered(&settings.host_prefix);
    }
    let pool = |name: &ServerName| ServerName { pool: Some(POOL_VOTES), ..name.clone() };
    let named = clock.servers.iter().cloned().chain(clock.pools.iter().map(pool));
    TimeServers(distinct(named).into_iter().map(|server| (server, false)).collect())
}

/// Each machine once. A server that is named as a pool too has one vote.
fn distinct(named: impl Iterator<Item = ServerName>) -> Vec<ServerName> {
    let mut taken: Vec<ServerName> = Vec::new();
    for server in named {
        match taken.iter().find(|known| known.machine() == server.machine()) {
            Some(known) => log_same(&server, known),
            None => taken.push(server),
        }
    }
    taken
}

fn log_same(server: &ServerName, known: &ServerName) {
    warn!(
        %server, same_as = %known,
        "not using a time server: its machine is configured already, and one machine has one vote"
    );
}

fn discovered(prefix: &Path) -> TimeServers {
    let found = time_servers::discover(prefix, &dmi(prefix));
    found.public.iter().for_each(log_unused);
    found.servers.iter().for_each(log_used);
    found.beyond.iter().for_each(log_beyond);
    TimeServers(found.servers.into_iter().map(|found| (found.server, found.nts)).collect())
}

fn log_unused(public: &Discovered) {
    info!(
        server = %public.server, configured_in = %public.named_by,
        "not using a public NTP pool or server of the host: to use one, set clock.servers"
    );
}

fn log_beyond(found: &Discovered) {
    warn!(
        server = %found.server, configured_in = %found.named_by,
        "not using a time server of the host: enough others are configured before it; to use it, \
         set clock.servers"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_once_whatever_its_spelling_and_port() {
        // (servers, pools, those that are used)
        let table: [(&[&str], &[&str], &[&str]); 5] = [
            (&["ntp.a", "NTP.A.", "ntp.b"], &[], &["ntp.a:123", "ntp.b:123"]),
            (&["ntp.a", "ntp.a:1123", "ntp.b"], &[], &["ntp.a:123", "ntp.b:123"]),
            (&["::ffff:192.0.2.1", "192.0.2.1"], &[], &["[::ffff:192.0.2.1]:123"]),
            (&["ntp.a"], &["Ntp.A", "ntp.b"], &["ntp.a:123", "ntp.b:123 pool"]),
            (&["127.0.0.1:1", "127.0.0.1:2"], &[], &["127.0.0.1:1", "127.0.0.1:2"]),
        ];
        let parsed = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let shown = |server: &ServerName| {
            format!("{server}{}", if server.pool.is_some() { " pool" } else { "" })
        };
        for (servers, pools, used) in table {
            let mut settings = Settings::default();
            settings.clock.servers = parsed(servers);
            settings.clock.pools = parsed(pools);
            let named: Vec<_> = time_servers(&settings).iter().map(shown).collect();
            assert_eq!(named, used, "{servers:?} {pools:?}");
        }
    }

    #[test]
    fn the_node_has_the_name_that_kubelet_registers() {
        // (the setting, the variable, the name)
        let table = [
            (Some("worker-1"), Some("other"), "worker-1"),
            (Some(" WORKER-1\n"), None, "worker-1"),
            (None, Some("Worker-1.Example.COM "), "worker-1.example.com"),
        ];
        for (setting, variable, expected) in table {
            let settings = Settings { node: setting.map(ToOwned::to_owned), ..Settings::default() };
            let environment = Environment::of(variable.map(|name| ("NODE_NAME", name)));
            assert_eq!(node_name(&settings, &environment), expected);
        }
    }

    #[test]
    fn a_blank_variable_leaves_the_host_name() {
        let of = |environment| node_name(&Settings::default(), &environment);
        let host = of(Environment::default());
        assert_eq!(of(Environment::of([("NODE_NAME", "  ")])), host);
        assert_eq!(host, host.trim().to_lowercase());
        assert!(!host.is_empty());
    }
}
