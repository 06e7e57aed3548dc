//! `tokenwatch check`: reads every token on this node once, and measures the clock meanwhile. The
//! same engine as in `run` judges them, with the same answers of the API server.

mod cluster;
mod metrics;
mod namespace;
mod render;
mod reviews;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::path::PathBuf;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::engine::{Config, Engine, TokenView};
use tokenwatch_core::findings::{Finding, Severity};
use tokenwatch_core::world::clocks::{KernelClock, Limits, Round};
use tokenwatch_core::world::observation::Observation;

pub(super) use render::{finding_json, paragraph};

use super::clock::{ClockReport, KernelError};
use super::output::{Layout, TableOrJson, print, print_error, print_json};
use super::readers::{self, Found};
use super::review::Reviewed;
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::{
    ApiServerError, Failure, api_server, api_server_urls, copies_config, engine_config,
    kubelet_client, kubelet_log_config, kubelet_roots, node_name, ntp_config, time_servers,
};
use crate::sources::api_once::ApiOnce;
use crate::sources::copies::{self, CopiesConfig};
use crate::sources::kubelet_metrics::Once;
use crate::sources::ntp::NtpConfig;
use crate::sources::{kernel, kubelet_log, ntp, volumes};
pub(super) use cluster::Missing;
use cluster::{Cluster, Scanners};
pub(super) use namespace::Namespace;
use namespace::Part;
pub(super) use watch::report as watch;

/// Exit status: no kubelet root could be read, or some could not and the others have no findings.
const INCOMPLETE: u8 = 2;

/// How long a look at the node may take. A volume that looks hidden takes 10 s, the time servers
/// take up to 10 s meanwhile, and the API server has 30 s for its answers.
pub(super) const LIMIT: Delta = Delta::from_secs(60);

/// Time from the observations to the evaluation, on the engine's clock.
const MOMENT: Delta = Delta::from_nanos(1);

/// The result of the check.
#[derive(Debug)]
pub(super) struct Checked {
    /// The moment of the evaluation.
    pub(super) at: Reading,
    /// The kubelet roots.
    pub(super) roots: Vec<PathBuf>,
    /// What could not be read.
    pub(super) problems: Vec<String>,
    pub(super) clock: ClockReport,
    pub(super) tokens: Vec<TokenView>,
    /// Worst first.
    pub(super) findings: Vec<Finding>,
    /// What the API server answered.
    cluster: Cluster,
    /// Who reads the tokens, if somebody asked.
    readers: Option<Found>,
    /// What the API server answered about each token, if somebody asked.
    reviews: Option<Vec<Reviewed>>,
    /// What the tokens are a part of, if somebody asked for one namespace.
    part: Option<Part>,
    /// The answers of the time servers.
    round: Round,
}

/// What is asked for beside the look itself.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// How long to look at readers, if they are asked for.
    pub(super) looking: Option<Delta>,
    /// Whether to ask the API server about each token.
    pub(super) token_review: bool,
    /// How long the look at the node may take.
    pub(super) limit: Delta,
    /// Only this namespace.
    pub(super) namespace: Option<Namespace>,
}

/// A look at the node, with what it depends on.
#[derive(Clone, Debug)]
pub(super) struct Inspection<'a> {
    pub(super) settings: &'a Settings,
    pub(super) environment: &'a Environment,
    pub(super) options: Options,
}

/// Checks the node and prints the result; the exit status.
pub(super) async fn report(inspection: Inspection<'_>, output: TableOrJson) -> u8 {
    match inspection.check_all(None).await {
        Ok(checked) => {
            let status = checked.exit_code();
            let layout = Layout::for_stdout(inspection.environment);
            match output {
                TableOrJson::Table => print(&render::table(&checked, layout), status),
                TableOrJson::Json => print_json(&render::json(&checked), status),
            }
        }
        Err(error) => {
            print_error(&error.to_string());
            INCOMPLETE
        }
    }
}

/// Why `check` has no result.
#[derive(Debug)]
pub(super) enum CheckError {
    /// The API server is configured, and nothing describes how to reach it.
    ApiServer(ApiServerError),
    /// No kubelet root is configured, and none was found.
    Setup(Failure),
    /// No kubelet root could be read: the roots, and why.
    Unreadable(Vec<PathBuf>, Vec<String>),
    /// The thread that scans panicked.
    Scan(tokio::task::JoinError),
    /// It took longer than this.
    TooLong(Delta),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiServer(error) => error.fmt(f),
            Self::Setup(error) => error.fmt(f),
            Self::Unreadable(roots, problems) => {
                let roots: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
                write!(
                    f,
                    "cannot read any kubelet root of {}:\n  {}\nUse --root to name kubelet's \
                     --root-dir, or a readable copy of it. Reading kubelet's own directory needs \
                     root or CAP_DAC_READ_SEARCH.",
                    roots.join(", "),
                    problems.join("\n  ")
                )
            }
            Self::Scan(error) => write!(f, "the scan of the token files failed: {error}"),
            Self::TooLong(limit) => write!(
                f,
                "the look at the node took longer than {limit}, and so nothing is known of its \
                 tokens: a file system may hang (processes in state D show that), or an answer \
                 takes long. To wait longer, run `tokenwatch check --time-limit 5m`."
            ),
        }
    }
}

/// What this node shows at one moment.
struct Sample {
    roots: Vec<PathBuf>,
    problems: Vec<String>,
    /// The pods of this node, listed before the scan.
    pods: Option<Observation>,
    files: Vec<Observation>,
    round: Round,
    kernel: Result<KernelClock, KernelError>,
    at: Reading,
}

/// What a scan of the node gave.
struct Scanned {
    files: Vec<Observation>,
    problems: Vec<String>,
    /// They can read the tokens again.
    scanners: Scanners,
    round: Round,
}

impl Inspection<'_> {
    /// Everything that is asked for. `round` has answers of the time servers that are new enough.
    async fn check_all(&self, round: Option<Round>) -> Result<Checked, CheckError> {
        let (settings, environment, options) = (self.settings, self.environment, &self.options);
        let (engine, mut checked) =
            looked_with(round, (settings, environment), options.limit).await?;
        if let Some(namespace) = &options.namespace {
            checked.keep(namespace);
        }
        if options.token_review {
            checked.reviews = Some(reviews::of(settings, environment, &engine, &checked).await);
        }
        if let Some(span) = options.looking {
            self.add_readers(&mut checked, span).await;
        }
        Ok(checked)
    }

    async fn add_readers(&self, checked: &mut Checked, span: Delta) {
        let wanted = readers::Asked { pod: None, span };
        match readers::find(self.settings, self.environment, wanted).await {
            Ok(found) => checked.readers = Some(self.options.of_namespace(found)),
            Err(error) => checked.problems.push(format!("readers: {error}")),
        }
    }
}

/// Looks at the node once, within `limit`: the engine, and what it found.
pub(super) async fn looked(
    settings: &Settings,
    environment: &Environment,
    limit: Delta,
) -> Result<(Engine, Checked), CheckError> {
    looked_with(None, (settings, environment), limit).await
}

/// What waits for a file system that hangs is left behind on its thread.
async fn looked_with(
    round: Option<Round>,
    (settings, environment): (&Settings, &Environment),
    limit: Delta,
) -> Result<(Engine, Checked), CheckError> {
    let look = tokio::spawn(look(settings.clone(), environment.clone(), round));
    match tokio::time::timeout(limit.to_std(), look).await {
        Ok(done) => done.map_err(CheckError::Scan)?,
        Err(_) => Err(CheckError::TooLong(limit)),
    }
}

async fn look(
    settings: Settings,
    environment: Environment,
    round: Option<Round>,
) -> Result<(Engine, Checked), CheckError> {
    let (settings, environment) = (&settings, &environment);
    let api = api_server(settings, environment).map_err(CheckError::ApiServer)?;
    let roots = kubelet_roots(settings).map_err(CheckError::Setup)?;
    let ntp = ntp_config(settings, time_servers(settings));
    let node = node_name(settings, environment);
    let config = engine_config(settings, &node, !ntp.servers.is_empty());
    // The pods go first: the volumes of a pod that is listed as running exist before the scan.
    let (mut cluster, pods) = Cluster::list(api.map(ApiOnce::new), &node).await;
    let copies = copies_config(settings, api_server_urls(settings, environment));
    let scanned = read_node((&roots, copies), settings, round_of(round, &ntp)).await?;
    let Scanned { files, problems, scanners, round } = scanned;
    let sample = Sample {
        roots,
        problems,
        pods,
        files,
        round,
        kernel: kernel::read().map_err(KernelError::from),
        at: clocks::now(),
    };
    let mut engine = observed(without_waiting(config.clone()), &sample);
    let at = cluster.answers(&mut engine, sample.at).await;
    cluster.look_again(scanners, &mut engine, &at).await;
    let kubelet = kubelet_client(settings, environment, &node).map_err(CheckError::ApiServer)?;
    let (at, unread) = metrics::look(kubelet.map(Once::new), &mut engine, at).await;
    let mut checked = evaluate(&config, &mut engine, Sample { at, ..sample });
    checked.problems.extend(unread);
    Ok((engine, Checked { cluster, ..checked }))
}

/// The answers of the time servers that are known, or new ones.
async fn round_of(known: Option<Round>, ntp: &NtpConfig) -> Round {
    match known {
        Some(round) => round,
        None => ntp::measure(ntp).await,
    }
}

/// Scans the token files, the copies on the host and kubelet's log, while the time servers answer.
async fn read_node(
    (roots, copies): (&[PathBuf], Option<CopiesConfig>),
    settings: &Settings,
    round: impl Future<Output = Round>,
) -> Result<Scanned, CheckError> {
    let owned = roots.to_vec();
    let log = kubelet_log_config(settings);
    let scan = tokio::task::spawn_blocking(move || {
        let copies = copies.map(copies::check);
        (volumes::check(owned), copies, kubelet_log::once(log))
    });
    let round = round.await;
    let ((files, summary, volumes), copies, (errors, unread)) =
        scan.await.map_err(CheckError::Scan)?;
    if summary.problems.len() >= roots.len() && files.is_empty() {
        return Err(CheckError::Unreadable(roots.to_vec(), summary.problems));
    }
    let (copies, more, of_copies) =
        copies.map_or_else(Default::default, |(seen, more, scanner)| (seen, more, Some(scanner)));
    let files = files.into_iter().chain(copies).chain(errors).collect();
    let problems = summary.problems.into_iter().chain(more).chain(unread).collect();
    let scanners = Scanners { volumes, copies: of_copies };
    Ok(Scanned { files, problems, scanners, round })
}

/// A single scan has nothing to wait for, but all of it counts before anything is judged.
fn without_waiting(config: Config) -> Config {
    let clock = Limits { grace: Delta::ZERO, ..config.clock };
    Config { settle: Delta::ZERO, grace: MOMENT + MOMENT, scan_expected: true, clock, ..config }
}

/// An engine that has taken one sample. The clock goes first, because it decides on the tokens.
fn observed(config: Config, sample: &Sample) -> Engine {
    let mut engine = Engine::new(config);
    let kernel = sample.kernel.as_ref().ok().copied().map(Observation::Kernel);
    let clock = kernel.into_iter().chain([Observation::NtpRound(sample.round.clone())]);
    let (listed, scanned) =
        (sample.at.after(Delta::ZERO - MOMENT - MOMENT), sample.at.after(Delta::ZERO - MOMENT));
    // The reports of these steps are for `run`.
    for observation in clock.chain(sample.pods.clone()) {
        drop(engine.step(&listed, observation));
    }
    for observation in sample.files.iter().cloned() {
        drop(engine.step(&scanned, observation));
    }
    engine
}

/// The verdicts of this engine at the time of the sample.
fn evaluate(config: &Config, engine: &mut Engine, sample: Sample) -> Checked {
    let Sample { roots, problems, pods: _, files: _, round, kernel, at } = sample;
    let clock = ClockReport::new(&round, kernel, &config.clock, at);
    drop(engine.step(&at, Observation::Tick));
    let (tokens, findings) = (engine.tokens(&at), engine.findings());
    let (cluster, readers, reviews) = (Cluster::default(), None, None);
    let part = None;
    Checked { at, roots, problems, clock, tokens, findings, cluster, readers, reviews, part, round }
}

impl Checked {
    /// Why answers of the API server are missing.
    pub(super) fn missing(&self) -> Missing {
        self.cluster.missing()
    }

    fn has_stale_reader(&self) -> bool {
        self.readers.as_ref().is_some_and(Found::has_stale)
    }

    /// What was not read cannot count as healthy.
    fn exit_code(&self) -> u8 {
        let is_wrong = self.findings.iter().any(|finding| finding.severity >= Severity::Warning);
        let readers = self.readers.as_ref().map_or(0, Found::exit_code);
        match (is_wrong, self.problems.as_slice()) {
            (true, _) => 1,
            (false, []) => readers,
            (false, _) if readers == 1 => 1,
            (false, _) => INCOMPLETE,
        }
    }
}
