//! `tokenwatch demo`: a whole node in one process, and the real agent on it.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;
use tokenwatch_otlp::protocol::Protocol;
use tokio::sync::oneshot;

use super::output;
use crate::config::{Clock, Http, Otlp, Settings};
use crate::demo::Look;
use crate::demo::{self, AgentPlan, Options};
use crate::environment::Environment;

/// Where temporary folders go when TMPDIR does not say (POSIX).
const TEMP: &str = "/tmp";
/// Metrics come often enough for some to be seen in 80 s.
const METRICS_INTERVAL: Delta = Delta::from_secs(10);

/// What the agent is to run with.
#[derive(Debug)]
pub(super) struct AgentRun {
    /// The demo's node and nothing else.
    pub(super) settings: Settings,
    /// Empty when the demo's own collector listens: what OTEL_… variables say is about somebody
    /// else's.
    pub(super) environment: Environment,
    /// Ends when the agent is to stop.
    pub(super) stop: oneshot::Receiver<()>,
}

/// Runs the demo on standard output until its end or until `interrupted`; the exit status. `agent`
/// is the real one.
pub(super) async fn run<Agent>(
    settings: Settings,
    environment: &Environment,
    interrupted: impl Future<Output = ()>,
    agent: impl FnOnce(AgentRun) -> Agent,
) -> u8
where
    Agent: Future<Output = Result<(), String>>,
{
    let options = options(&settings, environment, io::stdout().is_terminal(), output::text_width());
    match demo::demo(options, io::stdout(), interrupted, |plan| {
        agent(agent_run(settings, environment, plan))
    })
    .await
    {
        Ok(outcome) => outcome.exit_status(),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0, // `| head` had enough: no error
        Err(error) => {
            let _ = writeln!(io::stderr(), "tokenwatch: demo: {error}"); // where that is closed too, nobody wants to know
            1
        }
    }
}

/// Colours and a moving line only on a terminal that can do them, and no colours where NO_COLOR
/// says so (no-color.org).
fn options(
    settings: &Settings,
    environment: &Environment,
    terminal: bool,
    width: usize,
) -> Options {
    let capable = terminal && environment.get("TERM") != Some("dumb");
    Options {
        temp: environment.get("TMPDIR").map_or_else(|| PathBuf::from(TEMP), PathBuf::from),
        otlp_endpoint: settings.otlp.endpoint.clone(),
        look: Look {
            colour: capable && environment.get("NO_COLOR").is_none(),
            rewrites: capable,
            width,
        },
    }
}

/// The person's own settings count for their own collector only; the node is the demo's.
fn agent_run(settings: Settings, environment: &Environment, plan: AgentPlan) -> AgentRun {
    let built_in = Otlp { protocol: Some(Protocol::Grpc), ..Otlp::default() };
    let own = if plan.otlp_built_in { built_in } else { settings.otlp };
    let otlp = Otlp {
        endpoint: Some(plan.otlp_endpoint),
        metrics_interval: own.metrics_interval.or(Some(METRICS_INTERVAL)),
        ..own
    };
    let server = |address: std::net::SocketAddr| ServerName {
        host: address.ip().to_string(),
        port: address.port(),
        address: None,
    };
    let clock = Clock {
        servers: plan.ntp.into_iter().map(server).collect(),
        interval: Delta::from_std(plan.clock_interval),
        discover: false,
        ..Clock::default()
    };
    let http = Http { enabled: false, ..Http::default() }; // the node's own agent may be listening there
    AgentRun {
        settings: Settings {
            roots: vec![plan.root],
            node: Some(plan.node),
            clock,
            otlp,
            http,
            log: settings.log,
            ..Settings::default()
        },
        environment: if plan.otlp_built_in { Environment::default() } else { environment.clone() },
        stop: plan.stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plan(otlp_built_in: bool) -> AgentPlan {
        AgentPlan {
            node: "demo-node".into(),
            root: "/tmp/x/kubelet".into(),
            ntp: vec!["127.0.0.1:30001".parse().unwrap()],
            clock_interval: Duration::from_secs(2),
            otlp_endpoint: "http://127.0.0.1:4317".into(),
            otlp_built_in,
            stop: oneshot::channel().1,
        }
    }

    fn given() -> Settings {
        let otlp = Otlp {
            endpoint: Some("http://else:4317".into()),
            timeout: Some(Delta::from_secs(3)),
            ..Otlp::default()
        };
        Settings { otlp, roots: vec!["/var/lib/kubelet".into()], ..Settings::default() }
    }

    #[test]
    fn the_agent_sees_the_demos_node_and_nothing_else() {
        let environment = Environment::of([("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]);
        let run = agent_run(given(), &environment, plan(true));
        assert_eq!(run.settings.roots, [PathBuf::from("/tmp/x/kubelet")]);
        assert_eq!((run.settings.clock.servers.len(), run.settings.clock.discover), (1, false));
        assert_eq!(
            (run.settings.otlp.endpoint.as_deref(), run.settings.otlp.timeout),
            (Some("http://127.0.0.1:4317"), None)
        );
        assert_eq!(
            run.settings.otlp.protocol,
            Some(Protocol::Grpc),
            "its port is not gRPC's customary one"
        );
        assert_eq!(run.environment.get("OTEL_EXPORTER_OTLP_HEADERS"), None);
    }

    #[test]
    fn a_collector_of_ones_own_is_spoken_to_as_configured() {
        let environment = Environment::of([("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]);
        let run = agent_run(given(), &environment, plan(false));
        assert_eq!(run.settings.otlp.timeout, Some(Delta::from_secs(3)));
        assert_eq!(run.environment.get("OTEL_EXPORTER_OTLP_HEADERS"), Some("a=b"));
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        let look = |variables: &[(&'static str, &'static str)], terminal| {
            options(&given(), &Environment::of(variables.iter().copied()), terminal, 80).look
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
    fn temporary_folders_go_where_the_environment_says() {
        assert_eq!(
            options(&given(), &Environment::of([("TMPDIR", "/var/tmp")]), false, 80).temp,
            PathBuf::from("/var/tmp")
        );
        assert_eq!(options(&given(), &Environment::of([]), false, 80).temp, PathBuf::from("/tmp"));
    }
}
