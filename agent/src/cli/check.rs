//! `tokenwatch check`: one pass over every token on this node, with the clock measured beside it.

mod render;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::engine::{Config, Engine, TokenView};
use tokenwatch_core::findings::{Finding, Severity};
use tokenwatch_core::world::clocks::{KernelClock, Limits, Round};
use tokenwatch_core::world::cluster::ClusterSeen;
use tokenwatch_core::world::observation::Observation;

pub(super) use render::{finding_json, paragraph};

use super::clock::ClockReport;
use super::output::{Page, TableOrJson, complain, say, say_json};
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::{apiserver, engine_config, kubelet_roots, node_name, ntp};
use crate::sources::{self, kernel, ntp as servers, volumes};

/// Exit status: no kubelet root could be read, or not everything was looked at and the rest is
/// well.
const COULD_NOT_LOOK: u8 = 2;

/// Without the API server the same is told with fewer names: nobody at a shell waits longer than
/// this for it.
const API_PATIENCE: Duration = Duration::from_secs(3);

/// What one pass found.
#[derive(Debug)]
pub(super) struct Checked {
    /// When it was judged.
    pub(super) at: Reading,
    /// Kubelet roots looked at.
    pub(super) roots: Vec<PathBuf>,
    /// What could not be looked at.
    pub(super) problems: Vec<String>,
    pub(super) clock: ClockReport,
    pub(super) tokens: Vec<TokenView>,
    /// Worst first.
    pub(super) findings: Vec<Finding>,
}

/// Looks, shows it, and says by its exit status how it is.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    output: TableOrJson,
) -> u8 {
    match look(settings, environment).await {
        Ok(checked) => match output {
            TableOrJson::Table => {
                say(&render::table(&checked, Page::for_stdout(environment)), checked.exit_code())
            }
            TableOrJson::Json => say_json(&render::json(&checked), checked.exit_code()),
        },
        Err(message) => {
            complain(&message);
            COULD_NOT_LOOK
        }
    }
}

async fn look(settings: &Settings, environment: &Environment) -> Result<Checked, String> {
    let roots = kubelet_roots(settings).map_err(|failure| failure.to_string())?;
    let asked = ntp(settings);
    let scanned = tokio::task::spawn_blocking({
        let roots = roots.clone();
        move || volumes::check(roots)
    });
    let round = servers::measure(&asked).await;
    let (seen, summary) = scanned.await.map_err(|error| format!("the scan ended: {error}"))?;
    if summary.problems.len() >= roots.len() && seen.is_empty() {
        return Err(unreadable(&roots, &summary.problems));
    }
    let node = node_name(settings, environment);
    let known = cluster(settings, environment, &node).await;
    let config = engine_config(settings, &node, !asked.servers.is_empty());
    let kernel = kernel::read().map_err(|error| error.to_string());
    Ok(judge(
        at_once(config),
        known.into_iter().chain(seen),
        &round,
        kernel,
        clocks::now(),
        roots,
        summary.problems,
    ))
}

/// What the cluster knows of this node's pods, if it is to be asked. That it cannot be is said, and
/// changes nothing else.
async fn cluster(
    settings: &Settings,
    environment: &Environment,
    node: &str,
) -> Option<Observation> {
    let server = apiserver(settings, environment).unwrap_or_else(|why| {
        tracing::warn!("{why}");
        None
    })?;
    let place = server.place();
    let seen = sources::pods::first(server, node.to_owned(), API_PATIENCE).await;
    match &seen {
        Some(Observation::Cluster(ClusterSeen::Unreachable { reason })) => {
            tracing::warn!("pods are named by their tokens alone: {}", shown(reason));
        }
        Some(_) => {}
        None => tracing::warn!(
            "pods are named by their tokens alone: no answer from {place} within {} s",
            API_PATIENCE.as_secs()
        ),
    }
    seen
}

fn unreadable(roots: &[PathBuf], problems: &[String]) -> String {
    let looked: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    format!(
        "no kubelet root could be read. Looked at {}:\n  {}\nName the directory that kubelet was \
         given as --root-dir with --root, or a readable copy of it; reading kubelet's own takes \
         root or CAP_DAC_READ_SEARCH.",
        looked.join(", "),
        problems.join("\n  ")
    )
}

/// One look has nothing to wait for.
fn at_once(config: Config) -> Config {
    let clock = Limits { grace: Delta::ZERO, ..config.clock };
    Config { settle: Delta::ZERO, grace: Delta::ZERO, clock, ..config }
}

/// Everything into the engine, the clock first: tokens are judged by it.
fn judge(
    config: Config,
    seen: impl IntoIterator<Item = Observation>,
    round: &Round,
    kernel: Result<KernelClock, String>,
    at: Reading,
    roots: Vec<PathBuf>,
    problems: Vec<String>,
) -> Checked {
    let clock = ClockReport::new(round, kernel.clone(), &config.clock, at);
    let mut engine = Engine::new(config);
    let clock_first = kernel
        .ok()
        .map(Observation::Kernel)
        .into_iter()
        .chain([Observation::NtpRound(round.clone())]);
    for observation in clock_first.chain(seen).chain([Observation::Tick]) {
        drop(engine.step(&at, observation)); // spans and alerts are for `run`: here only the verdicts count
    }
    Checked { at, roots, problems, clock, tokens: engine.tokens(&at), findings: engine.findings() }
}

impl Checked {
    /// What was not looked at cannot be called well.
    fn exit_code(&self) -> u8 {
        let is_wrong = self.findings.iter().any(|finding| finding.severity >= Severity::Warning);
        match (is_wrong, self.problems.as_slice()) {
            (true, _) => 1,
            (false, []) => 0,
            (false, _) => COULD_NOT_LOOK,
        }
    }
}
