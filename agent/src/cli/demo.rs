//! `tokenwatch demo`: a whole node in one process, and the real agent that watches it.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;
use tokenwatch_otlp::protocol::Protocol;
use tokio::sync::oneshot;

use super::output;
use crate::config::{Clock, Http, Otlp, Settings};
use crate::demo::{self, AgentEnd, AgentPlan, Collector, Look, Options};
use crate::environment::Environment;
use crate::streams;

/// Where temporary directories are made when TMPDIR is not set (POSIX).
const TEMP: &str = "/tmp";
/// Often enough for some metrics to arrive in 80 s.
const METRICS_INTERVAL: Delta = Delta::from_secs(10);

/// What the agent runs with.
#[derive(Debug)]
pub(super) struct AgentRun {
    /// The demo's node and nothing else.
    pub(super) settings: Settings,
    /// Empty when the agent exports to the demo's own receiver: OTEL_… variables are about another
    /// collector.
    pub(super) environment: Environment,
    /// Resolves when the agent has to stop.
    pub(super) stop: oneshot::Receiver<()>,
}

/// Runs the demo on standard output until its end or until `interrupted`, and returns the exit
/// status. `agent` is the real one.
pub(super) async fn run<Running: Future<Output = AgentEnd>>(
    settings: Settings,
    environment: &Environment,
    interrupted: impl Future<Output = ()>,
    agent: impl FnOnce(AgentRun) -> Running,
) -> u8 {
    let options =
        options(&settings, environment, streams::stdout().is_terminal(), output::text_width());
    let agent = |plan| agent(agent_run(settings, environment, plan));
    match demo::demo(options, streams::out(), interrupted, agent).await {
        Ok(outcome) => outcome.exit_status(),
        Err(error) if error.is_closed_output() => 0,
        Err(error) => report(&error),
    }
}

fn report(error: &demo::Error) -> u8 {
    output::print_error(&format!("demo: {error}"));
    1
}

fn options(
    settings: &Settings,
    environment: &Environment,
    terminal: bool,
    width: usize,
) -> Options {
    Options {
        temp: environment.get("TMPDIR").map_or_else(|| PathBuf::from(TEMP), PathBuf::from),
        otlp_endpoint: settings.otlp.endpoint.clone(),
        look: look(environment, terminal, width),
    }
}

/// Colours and a progress line only on a terminal that can show them, and no colours where NO_COLOR
/// is set (no-color.org).
fn look(environment: &Environment, terminal: bool, width: usize) -> Look {
    let capable = terminal && environment.get("TERM") != Some("dumb");
    let colour = capable && environment.get("NO_COLOR").is_none();
    Look { colour, rewrites: capable, width }
}

/// The node is the demo's. The user's settings and variables apply to a collector that the user
/// named, and to nothing else.
fn agent_run(settings: Settings, environment: &Environment, plan: AgentPlan) -> AgentRun {
    let (otlp, environment) = export(plan.collector, settings.otlp, environment);
    let settings = Settings {
        roots: vec![plan.root],
        node: Some(plan.node),
        clock: clock(plan.ntp, Delta::from_std(plan.clock_interval)),
        otlp,
        // The port may belong to the node's own agent.
        http: Http { enabled: false, ..Http::default() },
        log: settings.log,
        ..Settings::default()
    };
    AgentRun { settings, environment, stop: plan.stop }
}

/// Export to the demo's own collector or to the user's, with the variables that apply to it.
fn export(collector: Collector, otlp: Otlp, environment: &Environment) -> (Otlp, Environment) {
    match collector {
        Collector::BuiltIn(endpoint) => (built_in(endpoint), Environment::default()),
        Collector::Given(endpoint) => (given(endpoint, otlp), environment.clone()),
    }
}

/// The receiver's port is not the usual one of gRPC: the protocol has to be given.
fn built_in(endpoint: String) -> Otlp {
    given(endpoint, Otlp { protocol: Some(Protocol::Grpc), ..Otlp::default() })
}

fn given(endpoint: String, otlp: Otlp) -> Otlp {
    let metrics_interval = otlp.metrics_interval.or(Some(METRICS_INTERVAL));
    Otlp { endpoint: Some(endpoint), metrics_interval, ..otlp }
}

fn clock(servers: Vec<SocketAddr>, interval: Delta) -> Clock {
    let name = |address: SocketAddr| ServerName {
        host: address.ip().to_string(),
        port: address.port(),
        address: None,
        pool: None,
    };
    let servers = servers.into_iter().map(name).collect();
    Clock { servers, interval, discover: false, ..Clock::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plan(collector: fn(String) -> Collector) -> AgentPlan {
        AgentPlan {
            node: "demo-node".into(),
            root: "/tmp/x/kubelet".into(),
            ntp: vec!["127.0.0.1:30001".parse().unwrap()],
            clock_interval: Duration::from_secs(2),
            collector: collector("http://127.0.0.1:4317".into()),
            stop: oneshot::channel().1,
        }
    }

    fn settings() -> Settings {
        let otlp = Otlp {
            endpoint: Some("http://else:4317".into()),
            timeout: Some(Delta::from_secs(3)),
            ..Otlp::default()
        };
        Settings { otlp, roots: vec!["/var/lib/kubelet".into()], ..Settings::default() }
    }

    #[test]
    fn the_agent_watches_the_demos_node_and_nothing_else() {
        let environment = Environment::of([("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]);
        let run = agent_run(settings(), &environment, plan(Collector::BuiltIn));
        assert_eq!(run.settings.roots, [PathBuf::from("/tmp/x/kubelet")]);
        assert_eq!((run.settings.clock.servers.len(), run.settings.clock.discover), (1, false));
        assert_eq!(
            (run.settings.otlp.endpoint.as_deref(), run.settings.otlp.timeout),
            (Some("http://127.0.0.1:4317"), None)
        );
        assert_eq!(
            run.settings.otlp.protocol,
            Some(Protocol::Grpc),
            "its port is not the usual one of gRPC"
        );
        assert_eq!(run.environment.get("OTEL_EXPORTER_OTLP_HEADERS"), None);
    }

    #[test]
    fn a_collector_that_the_user_named_is_used_as_configured() {
        let environment = Environment::of([("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]);
        let run = agent_run(settings(), &environment, plan(Collector::Given));
        assert_eq!(run.settings.otlp.timeout, Some(Delta::from_secs(3)));
        assert_eq!(run.environment.get("OTEL_EXPORTER_OTLP_HEADERS"), Some("a=b"));
    }

    #[test]
    fn colours_are_for_terminals_and_never_against_no_color() {
        let look = |variables: &[(&'static str, &'static str)], terminal| {
            options(&settings(), &Environment::of(variables.iter().copied()), terminal, 80).look
        };
        assert_eq!(look(&[], true), Look { colour: true, rewrites: true, width: 80 });
        assert_eq!(
            look(&[("NO_COLOR", "1")], true),
            Look { colour: false, rewrites: true, width: 80 }
        );
        assert_eq!(
            look(&[("TERM", "dumb")], true),
            Look { colour: false, rewrites: false, width: 80 }
        );
        assert_eq!(look(&[], false), Look { colour: false, rewrites: false, width: 80 });
    }

    #[test]
    fn temporary_directories_are_made_where_tmpdir_points() {
        assert_eq!(
            options(&settings(), &Environment::of([("TMPDIR", "/var/tmp")]), false, 80).temp,
            PathBuf::from("/var/tmp")
        );
        assert_eq!(
            options(&settings(), &Environment::of([]), false, 80).temp,
            PathBuf::from("/tmp")
        );
    }
}
