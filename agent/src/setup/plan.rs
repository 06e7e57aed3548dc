//! What the agent will do, decided from the settings and from what setup found. No I/O, and one
//! random number.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenwatch_core::engine;
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::world::clocks::{Limits, ServerName};
use tokenwatch_core::world::readers::KnownHabit;
use tokenwatch_core::world::tokens::{KubeletPolicy, TokenKey};

use super::api_server::ends;
use crate::agent::Plan;
use crate::config::Settings;
use crate::discovery::roots::{Search, given};
use crate::kubernetes::{ApiClient, KubeletClient};
use crate::sinks::http;
use crate::sources::copies::{CopiesConfig, tree_of};
use crate::sources::expected::ExpectedTokens;
use crate::sources::journal::JournalConfig;
use crate::sources::kubelet_log::KubeletLogConfig;
use crate::sources::logs::LogFiles;
use crate::sources::ntp::NtpConfig;
use crate::sources::readers::fanotify::Access;
use crate::sources::readers::processes::{ProcessesConfig, Verifier};
use crate::sources::volumes::FilesConfig;

/// What setup found on this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// The name of this node.
    pub(super) node: String,
    /// Kubelet root directories, as this process sees them.
    pub(super) roots: Vec<PathBuf>,
    /// Time servers to query.
    pub(super) servers: Vec<ServerName>,
    /// The URLs of the API server, as pods and the agent connect to it.
    pub(super) api_servers: Vec<String>,
    /// The findings that were active when the previous agent stopped.
    pub(super) restored: Vec<Restored>,
    /// Habits that the last agent learned.
    pub(super) habits: Vec<KnownHabit>,
    /// Paths that held a token when the last agent saw them.
    pub(super) held: Vec<TokenKey>,
}

/// The whole plan.
pub(super) fn plan(
    settings: &Settings,
    host: Host,
    (api_server, kubelet): (Option<Arc<ApiClient>>, Option<Arc<KubeletClient>>),
    fanotify: Access,
) -> Plan {
    Plan {
        engine: engine_config(settings, &host.node, !host.servers.is_empty()),
        files: FilesConfig {
            expected: ExpectedTokens::holding(host.held.clone()),
            ..files_config(settings, host.roots)
        },
        ntp: ntp_config(settings, host.servers),
        processes: processes_config(settings, ends(&host.api_servers)),
        copies: copies_config(settings, host.api_servers),
        server_logs: server_logs_config(settings),
        server_journal: server_journal_config(settings),
        kubelet_log: kubelet_log_config(settings),
        kubelet,
        apiserver: api_server,
        fanotify,
        watch_accounts: settings.kubernetes.account_watch,
        controller_lease: settings.kubernetes.controller_lease,
        readers: settings.readers.enabled,
        restored: host.restored,
        habits: host.habits,
        held: host.held,
        recorder: None,
        shutdown: settings.shutdown_timeout.to_std(),
    }
}

/// The engine's configuration on the node called `node`. `servers_configured`: whether there is any
/// time server to query.
pub fn engine_config(settings: &Settings, node: &str, servers_configured: bool) -> engine::Config {
    engine::Config {
        node: node.to_owned(),
        kubelet: kubelet_policy(settings),
        clock: clock_limits(settings, servers_configured),
        cluster_configured: settings.kubernetes.enabled,
        scan_expected: true,
        // Not of the node's name: a recording with pseudonyms holds the seed.
        jitter_seed: rand::random(),
        remind_every: settings.alerts.remind_every,
        delivery_limit: settings.alerts.delivery_limit,
        ..engine::Config::default()
    }
}

fn kubelet_policy(settings: &Settings) -> KubeletPolicy {
    let of = &settings.kubelet;
    KubeletPolicy { sync_period: of.sync_period, metrics: of.metrics }
}

fn clock_limits(settings: &Settings, servers_configured: bool) -> Limits {
    Limits {
        offset: settings.clock.offset_limit,
        assumed_bound: settings.clock.assumed_bound,
        max_age: settings.clock.max_age,
        servers_configured,
        ..Limits::default()
    }
}

/// How the agent queries these time servers.
pub fn ntp_config(settings: &Settings, servers: Vec<ServerName>) -> NtpConfig {
    NtpConfig {
        servers,
        timeout: settings.clock.timeout.to_std(),
        interval: settings.clock.interval.to_std(),
        ..NtpConfig::default()
    }
}

/// How the agent reads these kubelet roots. Without configured roots it keeps searching: a kubelet
/// may start later.
fn files_config(settings: &Settings, roots: Vec<PathBuf>) -> FilesConfig {
    FilesConfig {
        rescan: settings.files.rescan.to_std(),
        search: settings.roots.is_empty().then(|| search(settings)),
        ..FilesConfig::new(roots)
    }
}

/// Which connections of pods show that they use their tokens: those to the API server, and to what
/// the settings name.
fn processes_config(settings: &Settings, api_server: Vec<SocketAddr>) -> ProcessesConfig {
    let of_server =
        api_server.into_iter().map(|at| Verifier { ip: at.ip(), port: Some(at.port()) });
    let named = settings.readers.verifiers.iter();
    let named = named.map(|address| Verifier { ip: address.ip, port: address.port });
    ProcessesConfig {
        verifiers: of_server.chain(named).collect(),
        is_in_container: settings.host_prefix != Path::new("/"),
        ..ProcessesConfig::default()
    }
}

/// Where the agent looks for copies of tokens; nothing if it does not look.
pub fn copies_config(settings: &Settings, api_servers: Vec<String>) -> Option<CopiesConfig> {
    let tree = tree_of(&settings.host_prefix, &settings.roots);
    let config = CopiesConfig {
        tree: tree.filter(|_| settings.copies.enabled),
        prefix: settings.host_prefix.clone(),
        paths: settings.copies.paths.clone(),
        api_servers,
        rescan: settings.files.rescan.to_std(),
    };
    (config.tree.is_some() || !config.paths.is_empty()).then_some(config)
}

/// Where the logs of an API server are; nothing if the settings name none.
fn server_logs_config(settings: &Settings) -> Option<LogFiles> {
    let paths = settings.apiserver.logs.clone();
    let prefix = settings.host_prefix.clone();
    (!paths.is_empty()).then_some(LogFiles { prefix, paths })
}

/// How to read the API server's log in the journal; nothing unless the settings ask for it.
fn server_journal_config(settings: &Settings) -> Option<JournalConfig> {
    let (of, prefix) = (&settings.apiserver, settings.host_prefix.clone());
    of.journal.then(|| JournalConfig { prefix, units: of.units.clone() })
}

/// Where the agent reads kubelet's errors: nowhere unless the settings name it.
pub fn kubelet_log_config(settings: &Settings) -> KubeletLogConfig {
    let (of, prefix) = (&settings.kubelet, || settings.host_prefix.clone());
    let files = LogFiles { prefix: prefix(), paths: of.logs.clone() };
    let journal = JournalConfig { prefix: prefix(), units: of.units.clone() };
    KubeletLogConfig {
        files: (!of.logs.is_empty()).then_some(files),
        journal: of.journal.then_some(journal),
        events: settings.kubernetes.pod_events,
    }
}

/// Where to search for kubelet roots.
pub(super) fn search(settings: &Settings) -> Search {
    Search::new(&settings.host_prefix)
}

/// Where the HTTP server listens; nothing when it is disabled.
pub(super) fn http_settings(settings: &Settings) -> Option<http::Settings> {
    let http = &settings.http;
    let roots = given(&settings.host_prefix, &settings.roots);
    let (addresses, port, names) = (http.address.clone(), http.port.0, http.names.clone());
    http.enabled.then_some(http::Settings { addresses, port, roots, names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    fn host(servers: &[&str]) -> Host {
        Host {
            node: "node-1".into(),
            roots: vec!["/var/lib/kubelet".into()],
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            ..Host::default()
        }
    }

    #[test]
    fn configured_roots_end_the_search_for_others() {
        let found = plan(&Settings::default(), host(&[]), (None, None), Access::default());
        assert!(found.files.search.is_some());
        let settings = Settings { roots: vec!["/k".into()], ..Settings::default() };
        assert_eq!(plan(&settings, host(&[]), (None, None), Access::default()).files.search, None);
    }

    #[test]
    fn the_engine_knows_whether_there_is_a_server_to_wait_for() {
        for servers in [&[][..], &["ntp1.example"]] {
            let plan = plan(&Settings::default(), host(servers), (None, None), Access::default());
            assert_eq!(plan.engine.clock.servers_configured, !servers.is_empty());
            assert_eq!(plan.ntp.servers.len(), servers.len());
        }
    }

    #[test]
    fn a_verifier_is_the_api_server_or_named() {
        let mut settings = Settings::default();
        settings.readers.verifiers = Kind::from_text("10.0.0.7:8443, fd00::7").unwrap();
        let found = Host { api_servers: vec!["https://10.96.0.1:443".into()], ..host(&[]) };
        let shown = |verifier: Verifier| (verifier.ip.to_string(), verifier.port);
        let plan = plan(&settings, found, (None, None), Access::default());
        let verifiers: Vec<_> = plan.processes.verifiers.into_iter().map(shown).collect();
        let expected = [("10.96.0.1", Some(443)), ("10.0.0.7", Some(8443)), ("fd00::7", None)];
        assert_eq!(verifiers, expected.map(|(ip, port)| (ip.to_owned(), port)));
    }

    #[test]
    fn copies_are_looked_for_where_the_kubelet_is_and_where_the_settings_say() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            copies_config(&settings, Vec::new()).map(|config| (config.tree, config.paths.len()))
        };
        let host = Some(PathBuf::from("/"));
        assert_eq!(with(|_| ()), Some((host, 0)));
        assert_eq!(with(|of| of.copies.enabled = false), None);
        assert_eq!(with(|of| of.roots = vec!["/k".into()]), None, "a kubelet root of its own");
        let only_named = |of: &mut Settings| {
            of.copies.enabled = false;
            of.copies.paths = vec!["/opt/token".into()];
        };
        assert_eq!(with(only_named), Some((None, 1)));
    }

    #[test]
    fn the_http_server_listens_where_the_settings_say_or_nowhere() {
        let mut settings = Settings::default();
        let http = http_settings(&settings).unwrap();
        assert_eq!((http.addresses.len(), http.port), (1, 9723));
        settings.http.enabled = false;
        assert_eq!(http_settings(&settings), None);
    }
}
