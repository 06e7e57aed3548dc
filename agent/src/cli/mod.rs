//! The commands: one file each. Here: how they are called, and which settings each takes.

mod check;
mod clock;
mod config;
mod demo;
mod diary;
mod explain;
mod findings;
mod flags;
mod output;
mod record;
mod replay;
mod seams;
mod secrecy;
mod telemetry;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use clap::{Args, Parser, Subcommand};

use crate::config::{Flag, Given, Loaded, Mistakes, Origin, read};
use crate::environment::Environment;
use crate::setup::{api_mistake, export_mistakes};
use flags::{ClockOnly, Everything, Exporting, Flags, OnePass, OneToken, Scope};
use output::{TableOrJson, TextOrJson, TextOrMarkdown, complain};
use record::Recording;
use replay::Replaying;
use secrecy::without_tokens;

/// Bad usage and bad configuration.
const BAD_USAGE: u8 = 2;
/// A configuration longer than this is refused by its reader; one byte more is enough to know.
const CONFIG_READ_LIMIT: u64 = 1024 * 1024;

/// Names the Kubernetes service-account token that is going to fail, before the first 401, with a
/// clock it can prove.
#[derive(Debug, Parser)]
#[command(
    name = "tokenwatch",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Every setting can be given in a YAML file, as an environment variable \
                        TOKENWATCH_… or as a flag.
A flag overrules a variable, a variable the file. `tokenwatch config` shows the result.")]
struct Cli {
    /// Configuration file (YAML) [TOKENWATCH_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this node's tokens and clock, and send traces, alerts and metrics
    ///
    /// Runs until it is told to stop (SIGTERM or SIGINT). Without an OTLP endpoint it prints what
    /// it would send.
    #[command(after_help = "Examples:
  tokenwatch run                                         print \
                            what would be sent
  tokenwatch run --otlp-endpoint http://collector:4317   \
                            send it
  tokenwatch run --config /etc/tokenwatch.yaml
  tokenwatch run --clock-server ntp1.example --clock-server '[2001:db8::1]:123'
  tokenwatch run --record incident.jsonl --pseudonyms    \
                            what to attach to a report

Exit status: 0 asked to stop; 2 bad configuration; 1 anything else.")]
    Run(Running),

    /// Look once at every token on this node and say what is wrong
    #[command(after_help = "Examples:
  tokenwatch check                                       this node
  tokenwatch check --root /var/lib/kubelet               a kubelet root, or a copy of one
  tokenwatch check --output json | jq '.findings[].code'

Exit status: 0 nothing at warning or above; 1 findings; 2 could not look.")]
    Check(OneLook),

    /// Decode one token and tell all its deadlines
    ///
    /// Not a byte of the signature is shown, and nothing is sent anywhere.
    #[command(after_help = "Examples:
  tokenwatch explain /var/run/secrets/kubernetes.io/serviceaccount/token
  kubectl create token default | tokenwatch explain -
  kubectl create token default | tokenwatch explain --output json - | jq .state

Exit status: 0 live; 1 dead, stale or uncertain; 2 not a token.")]
    Explain(Explaining),

    /// Measure this node's clock now, server by server
    #[command(after_help = "Examples:
  tokenwatch clock                       the servers that this host's own time daemon uses
  tokenwatch clock --server ntp1.example --server ntp2.example --server ntp3.example
  tokenwatch clock --server '[2001:db8::1]:123' --output json

Exit status: 0 agreed and within limits; 1 off; 2 unknown.")]
    Clock(Measuring),

    /// Show the agent at work against a node made in a temporary folder
    #[command(after_help = "Examples:
  tokenwatch demo                                        80 seconds, \
                            off line, as any user
  tokenwatch demo --otlp-endpoint http://localhost:4317  \
                            send the same to a real backend

Exit status: 0 all was shown; 1 something promised did not arrive; 130 interrupted.")]
    Demo(Watching<Exporting>),

    /// Run a recording through the engine and print what the agent would have reported
    ///
    /// A recording is made by `tokenwatch run --record FILE`. It holds no byte of a token.
    #[command(after_help = "Examples:
  tokenwatch replay incident.jsonl
  tokenwatch replay incident.jsonl --output json | jq '.alerts[] | [.at, .event, .code]'
  tokenwatch replay incident.jsonl --pseudonyms --write to-send.jsonl

Exit status: 0 nothing at warning or above is active at the end; 1 findings are;
2 not a recording, or not readable.")]
    Replay(Replaying),

    /// Show the effective configuration and where each value came from
    #[command(after_help = "Examples:
  tokenwatch config --config /etc/tokenwatch.yaml
  TOKENWATCH_CLOCK_SERVERS=ntp1.example tokenwatch config

Exit status: 0; 2 if there are mistakes: all of them are told, each with its place.")]
    Config(Watching<Everything>),

    /// Say what each finding means, how it is found, and what to do
    #[command(after_help = "Examples:
  tokenwatch findings                                    the list
  tokenwatch findings token.rotation_stalled             one of them
  tokenwatch findings token.expired --output markdown    its page in docs/runbooks

Exit status: 0; 2 unknown code.")]
    Findings {
        /// A finding's code
        code: Option<String>,

        /// How the output looks
        #[arg(long, value_enum, default_value_t = TextOrMarkdown::Text)]
        output: TextOrMarkdown,
    },

    /// Print every span, attribute, log event and metric, as Markdown
    #[command(after_help = "Example:
  tokenwatch telemetry > telemetry.md

Exit status: 0.")]
    Telemetry,
}

#[derive(Debug, Args)]
struct Watching<S: Scope> {
    #[command(flatten)]
    settings: Flags<S>,
}

#[derive(Debug, Args)]
struct Running {
    #[command(flatten)]
    recording: Recording,
    #[command(flatten)]
    settings: Flags<Everything>,
}

#[derive(Debug, Args)]
struct OneLook {
    /// How to show it
    #[arg(long, value_enum, default_value = "table")]
    output: TableOrJson,
    #[command(flatten)]
    settings: Flags<OnePass>,
}

#[derive(Debug, Args)]
struct Explaining {
    /// The file that holds the token; - or nothing for standard input
    #[arg(value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// How to show it
    #[arg(long, value_enum, default_value = "text")]
    output: TextOrJson,
    #[command(flatten)]
    settings: Flags<OneToken>,
}

#[derive(Debug, Args)]
struct Measuring {
    /// How to show it
    #[arg(long, value_enum, default_value = "text")]
    output: TextOrJson,
    #[command(flatten)]
    settings: Flags<ClockOnly>,
}

/// What a command does once its settings are known; the exit status.
pub type Work<'a> = Pin<Box<dyn Future<Output = u8> + 'a>>;

/// Does what the arguments say, with `on_threads` as soon as there is more than settings to read;
/// the exit status.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    on_threads: &dyn Fn(Work<'_>) -> u8,
) -> u8 {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.dispatch(environment, on_threads).unwrap_or(BAD_USAGE),
        Err(told) if told.use_stderr() && has_token(&told) => {
            complain(&without_tokens(&told.to_string()));
            BAD_USAGE
        }
        Err(told) => {
            let _ = told.print(); // help, version or a usage error; to a closed pipe it matters to nobody
            if told.use_stderr() { BAD_USAGE } else { 0 }
        }
    }
}

fn has_token(error: &clap::Error) -> bool {
    let text = error.to_string();
    without_tokens(&text) != text
}

impl Cli {
    /// Nothing when the settings are wrong: that has been said.
    fn dispatch(
        self,
        environment: &Environment,
        on_threads: &dyn Fn(Work<'_>) -> u8,
    ) -> Option<u8> {
        let file = self.config;
        let read = |flags, exports| settings(file.as_deref(), environment, flags, exports);
        let settings = |flags, exports| {
            read(flags, exports).inspect(|loaded| diary::start(&loaded.settings.log))
        };
        let quietly = |flags| read(flags, false).map(only_warnings);
        Some(match self.command {
            Command::Run(it) => {
                let settings = settings(it.settings.given(), true)?.settings;
                let record = it
                    .recording
                    .target(environment)
                    .map_err(|why| complain(&why.to_string()))
                    .ok()?;
                seams::confine(&settings, environment);
                on_threads(Box::pin(seams::run(&settings, environment, record)))
            }
            Command::Check(it) => on_threads(Box::pin(check::report(
                &quietly(it.settings.given())?.settings,
                environment,
                it.output,
            ))),
            Command::Explain(it) => explain::report(
                &settings(it.settings.given(), false)?.settings,
                environment,
                it.file.as_deref(),
                it.output,
            ),
            Command::Clock(it) => on_threads(Box::pin(seams::clock(
                &settings(it.settings.given(), false)?.settings,
                environment,
                it.output,
            ))),
            Command::Demo(it) => on_threads(Box::pin(seams::demo(
                &quietly(it.settings.given())?.settings,
                environment,
            ))),
            Command::Replay(it) => replay::report(&it, environment),
            Command::Config(it) => {
                config::report(settings(it.settings.given(), true)?, environment)
            }
            Command::Findings { code, output } => {
                findings::report(code.as_deref(), output, environment)
            }
            Command::Telemetry => telemetry::report(),
        })
    }
}

/// For commands whose answer is on the same terminal as the diary: unless somebody asked for more,
/// only what went wrong is told there.
fn only_warnings(mut loaded: Loaded) -> Loaded {
    if loaded.origin("log.level") == Origin::Default {
        "warn".clone_into(&mut loaded.settings.log.level);
    }
    diary::start(&loaded.settings.log);
    loaded
}

/// From file, environment and flags; every mistake is told, and then there is nothing. For a
/// command that `exports` the standard variables count, too.
fn settings(
    file: Option<&Path>,
    environment: &Environment,
    flags: Vec<Flag>,
    exports: bool,
) -> Option<Loaded> {
    let path = file.or_else(|| environment.get("TOKENWATCH_CONFIG").map(Path::new));
    let mut mistakes = Mistakes::default();
    let file = path.and_then(|path| {
        read_config(path)
            .map_err(|(name, why)| mistakes.add(Origin::File { name, place: None }, why))
            .ok()
    });
    let (loaded, more) = read(&Given { file, environment, flags });
    mistakes.0.extend(more.0);
    if exports {
        mistakes.0.extend(export_mistakes(&loaded, environment));
        mistakes.0.extend(api_mistake(&loaded, environment));
    }
    if mistakes.0.is_empty() {
        return Some(loaded);
    }
    complain(&format!("{} in the configuration\n{mistakes}", counted(mistakes.0.len())));
    None
}

fn counted(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

/// Its name and text. Never more of it than any configuration has.
fn read_config(path: &Path) -> Result<(String, String), (String, String)> {
    let name = tokenwatch_core::base::text::shown(&path.to_string_lossy()).into_owned();
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_READ_LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) => Ok((name, text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err((name, "the configuration file is not UTF-8 text".to_owned()))
        }
        Err(error) => Err((name, format!("the configuration file cannot be read: {error}"))),
    }
}
