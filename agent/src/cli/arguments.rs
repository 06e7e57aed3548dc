//! The arguments of each command, with their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tokenwatch_core::base::time::Delta;

use super::check::{Namespace, Options};
#[cfg(feature = "demo")]
use super::flags::Exporting;
use super::flags::{ClockOnly, Everything, Flags, OneToken, ReadersOnly, Scope, SingleScan};
use super::output::{
    MarkdownOrJson, TableJsonOrMarkdown, TableOrJson, TextMarkdownOrJson, TextOrJson,
};
use super::record::Recording;
use super::replay::Replaying;
use crate::config::duration;
use crate::reader_list::PodName;

/// Reports Kubernetes service-account tokens that are about to fail, before the first 401, with a
/// measured clock error.
#[derive(Debug, Parser)]
#[command(
    name = "tokenwatch",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Every setting can be a key in a YAML file, an environment variable \
                        TOKENWATCH_… or a flag.
A flag overrides a variable, and a variable overrides the file. `tokenwatch config` shows the \
                        result.")]
pub(super) struct Arguments {
    /// Configuration file (YAML). Default: none. [TOKENWATCH_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch this node's tokens and clock, and send traces, alerts and metrics
    ///
    /// Runs until SIGTERM or SIGINT. Without an OTLP endpoint it prints alerts and traces.
    #[command(after_help = "Examples:
  tokenwatch run                                         print \
                            alerts and traces
  tokenwatch run --otlp-endpoint http://collector:4317   send \
                            them
  tokenwatch run --config /etc/tokenwatch.yaml
  tokenwatch run --clock-server ntp1.example --clock-server '[2001:db8::1]:123'
  tokenwatch run --record incident.jsonl --pseudonyms    \
                            record for a bug report

Exit status: 0 stopped by a signal; 2 wrong configuration; 1 any other failure.")]
    Run(RunArguments),

    /// Read every token on this node once and report what is wrong
    #[command(after_help = "Examples:
  tokenwatch check                                       this node
  tokenwatch check --root /var/lib/kubelet               a kubelet root, or a copy of one
  tokenwatch check --namespace shop --watch=1m           one \
                            namespace, every minute
  tokenwatch check --readers                             also who \
                            reads the tokens
  tokenwatch check --output json | jq '.findings[].code'

Exit status: 0 no finding at warning or above; 1 findings, or a stale reader;
  2 something could not be read, or every reader is unknown, and no finding at warning or above
  in the rest.")]
    Check(CheckArguments),

    /// Show who reads which token, and who keeps one that kubelet has replaced
    ///
    /// Asks the agent that runs on this node. If there is none, it looks itself for a moment: then
    /// habits, and reads before that moment, are not known.
    #[command(after_help = "Examples:
  tokenwatch readers                                     every pod \
                            of this node
  tokenwatch readers shop/cart-0                         one pod: by \
                            name, namespace/name or UID
  tokenwatch readers --root /var/lib/kubelet --for 1m    look for a \
                            minute, if no agent watches this root
  tokenwatch readers --output json | jq '.readers[] | select(.verdict == \"stale\")'

Exit status: 0 no reader is stale; 1 one is stale; 2 something could not be seen, or every
  reader is unknown, and none is stale.")]
    Readers(ReadersArguments),

    /// Report what works today and will fail later
    #[command(after_help = "Examples:
  tokenwatch report upgrade   who fails when the API server no longer extends the expiry of \
                            tokens
  tokenwatch report posture   which tokens live too long, are never read, or are shared

Exit status: 0, 1 or 2, as each report says.")]
    Report {
        #[command(subcommand)]
        report: Report,
    },

    /// Decode one token and show all its deadlines
    ///
    /// Finds the token in what people paste: a header, a kubeconfig, a Secret, base64. Shows no
    /// byte of the signature. Measures the clock as `check` does. With kubernetes.enabled, requests
    /// the public keys of the API server and checks the signature. Sends nothing of the token,
    /// except with --token-review.
    #[command(after_help = "Examples:
  tokenwatch explain /var/run/secrets/kubernetes.io/serviceaccount/token
  tokenwatch explain /etc/cni/net.d/calico-kubeconfig
  kubectl create token default | tokenwatch explain -
  kubectl create token default | tokenwatch explain --output json - | jq .state
  tokenwatch explain --why shop/cart-0                   eight questions \
                            about a pod of this node

Exit status: 0 live; 1 dead, stale or uncertain, or the signature is wrong; 2 not a token.")]
    Explain(ExplainArguments),

    /// Measure this node's clock now, server by server
    #[command(after_help = "Examples:
  tokenwatch clock                       the servers of this host's own time daemon
  tokenwatch clock --server ntp1.example --server ntp2.example --server ntp3.example
  tokenwatch clock --server '[2001:db8::1]:123' --output json

Exit status: 0 agreed and within limits; 1 off; 2 unknown.")]
    Clock(ClockArguments),

    /// Show the agent at work on a simulated node in a temporary directory
    #[command(after_help = "Examples:
  tokenwatch demo                                        80 seconds, \
                            offline, as any user
  tokenwatch demo --otlp-endpoint http://localhost:4317  \
                            send the same to a real backend

Exit status: 0 complete; 1 an expected alert or span did not arrive; 130 interrupted.")]
    #[cfg(feature = "demo")]
    Demo(WithSettings<Exporting>),

    /// Run a recording through the engine and print what the agent would have reported
    ///
    /// `tokenwatch run --record FILE` makes a recording. It contains no byte of a token.
    #[command(after_help = "Examples:
  tokenwatch replay incident.jsonl
  tokenwatch replay incident.jsonl --output json | jq '.alerts[] | [.at, .event, .code]'
  tokenwatch replay incident.jsonl --pseudonyms --write to-send.jsonl

Exit status: 0 no finding at warning or above is active at the end; 1 findings are active;
2 not a recording, or not readable.")]
    Replay(Replaying),

    /// Show the effective configuration and the origin of each value
    #[command(after_help = "Examples:
  tokenwatch config --config /etc/tokenwatch.yaml
  TOKENWATCH_CLOCK_SERVERS=ntp1.example tokenwatch config

Exit status: 0; 2 if there are mistakes. It reports all of them, each with its position.")]
    Config(WithSettings<Everything>),

    /// Explain each finding: its meaning, its detection, and what to do
    #[command(after_help = "Examples:
  tokenwatch findings                                    the list
  tokenwatch findings token.rotation_stalled             one of them
  tokenwatch findings token.expired --output markdown    its page in docs/runbooks
  tokenwatch findings --output json | jq -r '.findings[].code'

Exit status: 0; 2 unknown code.")]
    Findings {
        /// Code of a finding
        code: Option<String>,

        /// Format of the output
        #[arg(short, long, value_enum, default_value = "text")]
        output: TextMarkdownOrJson,
    },

    /// Print every span, attribute, log event and metric
    #[command(after_help = "Examples:
  tokenwatch telemetry > telemetry.md
  tokenwatch telemetry --output json | jq -r '.metrics[].name'

Exit status: 0.")]
    Telemetry {
        /// Format of the output
        #[arg(short, long, value_enum, default_value = "markdown")]
        output: MarkdownOrJson,
    },

    /// Print a script that completes the arguments of tokenwatch in a shell
    #[command(after_help = "Examples:
  source <(tokenwatch completion bash)                   this shell
  tokenwatch completion zsh > ~/.zfunc/_tokenwatch
  tokenwatch completion fish > ~/.config/fish/completions/tokenwatch.fish

Exit status: 0; 2 unknown shell.")]
    Completion {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },

    /// Print the manual page of a command, for man(1)
    #[command(after_help = "Examples:
  tokenwatch man | man -l -                              the program
  tokenwatch man check > tokenwatch-check.1
  tokenwatch man report upgrade > tokenwatch-report-upgrade.1

Exit status: 0; 2 unknown command.")]
    Man {
        /// The command, and the command in it. Default: the program itself
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },

    /// Print the version, the commit it was built from, and the platform
    #[command(after_help = "Examples:
  tokenwatch version
  tokenwatch version --output json | jq -r .commit

Exit status: 0.")]
    Version {
        /// Format of the output
        #[arg(short, long, value_enum, default_value = "text")]
        output: TextOrJson,
    },
}

/// The shells of people who look at nodes. Each other one would make the program larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shell {
    /// GNU Bash, with bash-completion.
    Bash,
    /// fish.
    Fish,
    /// Z shell.
    Zsh,
}

#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// Show which workloads fail when the API server no longer extends the expiry of tokens
    ///
    /// By default it extends a token of 3607 s to a year, so that a client that reads its token
    /// once keeps working. An upgrade, or --service-account-extend-token-expiration=false, ends
    /// that. Asks the agent that runs on this node. If there is none, it looks itself for a moment.
    #[command(after_help = "Examples:
  tokenwatch report upgrade                              a table
  tokenwatch report upgrade --output markdown > node.md
  tokenwatch report upgrade --output json | jq '.workloads[] | select(.result == \"fails\")'

Exit status: 0 no workload fails; 1 one fails; 2 something is not known, and none fails.")]
    Upgrade(ReportArguments),

    /// Show tokens that live too long, that nobody needs, or that many share
    ///
    /// Secret-based tokens, lifetimes of more than two days, mounts by subPath, the default
    /// service account, and tokens that are mounted and never read. Asks the agent that runs on
    /// this node. If there is none, it looks itself for a moment, and cannot tell who never reads.
    #[command(after_help = "Examples:
  tokenwatch report posture                              a table
  tokenwatch report posture --output markdown > node.md
  tokenwatch report posture --output json | jq '.rows[] | select(.concern == \"legacy\")'

Exit status: 0 no concern; 1 one or more; 2 something could not be seen, and none in the rest.")]
    Posture(ReportArguments),
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: TableJsonOrMarkdown,
    #[command(flatten)]
    pub(super) look: Look,
    #[command(flatten)]
    pub(super) settings: Flags<ReadersOnly>,
}

#[derive(Debug, Args)]
pub(super) struct WithSettings<S: Scope> {
    #[command(flatten)]
    pub(super) settings: Flags<S>,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) recording: Recording,
    #[command(flatten)]
    pub(super) settings: Flags<Everything>,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: TableOrJson,
    /// Only pods of this namespace, and what concerns the whole node. Default: all namespaces
    ///
    /// Without access to the Kubernetes API, the namespace is what the token claims. A pod whose
    /// namespace is not known is shown, too. Exit status 2 if the namespace has no token here.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<Namespace>,
    /// Look again and again, until a signal, at an interval of 10s to 1h. Default of the interval:
    /// 30s
    ///
    /// With JSON, each look is one line. Queries time servers that answer at most every 17 minutes.
    /// The exit status is that of the last look.
    #[arg(
        short,
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30s",
        value_parser = watch_interval
    )]
    pub(super) watch: Option<Delta>,
    /// Also show who reads the tokens, as `tokenwatch readers` does
    #[arg(long)]
    pub(super) readers: bool,
    /// Also ask the API server about each token (TokenReview)
    ///
    /// Sends each token to the API server, over TLS. Needs the permission to create tokenreviews.
    /// Moves the API server's counters of stale tokens, and the label with the last use of
    /// Secret-based tokens: those look used then.
    #[arg(long)]
    pub(super) token_review: bool,
    /// Time limit of the look at the node, 1s to 1h. Exit status 2 if it takes longer
    #[arg(long, value_name = "DURATION", value_parser = time_limit, default_value = "1m")]
    pub(super) time_limit: Delta,
    #[command(flatten)]
    pub(super) look: Look,
    #[command(flatten)]
    pub(super) settings: Flags<SingleScan>,
}

impl CheckArguments {
    /// What is asked for beside the look itself.
    pub(super) fn options(&self) -> Options {
        Options {
            looking: self.readers.then_some(self.look.span),
            token_review: self.token_review,
            limit: self.time_limit,
            namespace: self.namespace.clone(),
        }
    }
}

/// For how long a command looks at readers itself.
#[derive(Debug, Args)]
pub(super) struct Look {
    /// Time to look at readers if no agent answers, at most 10m
    #[arg(long = "for", value_name = "DURATION", value_parser = look_span, default_value = "10s")]
    pub(super) span: Delta,
}

/// A file system that hangs for an hour does not come back.
fn time_limit(text: &str) -> Result<Delta, String> {
    let limit = duration(text).map_err(|error| error.to_string())?;
    let bounds = Delta::from_secs(1)..=Delta::from_secs(3_600);
    if bounds.contains(&limit) { Ok(limit) } else { Err("must be 1s to 1h".to_owned()) }
}

/// A look reads every token of the node, and with access to the Kubernetes API lists its pods:
/// more often than every 10 s, the agent itself is the better tool.
fn watch_interval(text: &str) -> Result<Delta, String> {
    let interval = duration(text).map_err(|error| error.to_string())?;
    let bounds = Delta::from_secs(10)..=Delta::from_secs(3_600);
    if bounds.contains(&interval) { Ok(interval) } else { Err("must be 10s to 1h".to_owned()) }
}

/// An agent that takes the place of this one after ten minutes would know more.
fn look_span(text: &str) -> Result<Delta, String> {
    let span = duration(text).map_err(|error| error.to_string())?;
    let bounds = Delta::from_secs(1)..=Delta::from_secs(600);
    if bounds.contains(&span) { Ok(span) } else { Err("must be 1s to 10m".to_owned()) }
}

#[derive(Debug, Args)]
pub(super) struct ReadersArguments {
    /// Only this pod: its name, namespace/name or UID
    #[arg(value_name = "POD")]
    pub(super) pod: Option<PodName>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: TableOrJson,
    #[command(flatten)]
    pub(super) look: Look,
    #[command(flatten)]
    pub(super) settings: Flags<ReadersOnly>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// File that holds the token; - or no argument for standard input. With --why also a pod: its
    /// name, namespace/name or UID
    #[arg(value_name = "FILE|-")]
    pub(super) file: Option<PathBuf>,
    /// Answer eight questions about why the API server refuses the tokens of a pod, or will
    #[arg(long)]
    pub(super) why: bool,
    /// Also ask the API server about the token (TokenReview)
    ///
    /// Sends the token to the API server, over TLS. Needs the permission to create tokenreviews.
    /// Moves the API server's counters of stale tokens, and the label with the last use of a
    /// Secret-based token: it looks used then.
    #[arg(long, conflicts_with = "why")]
    pub(super) token_review: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "text")]
    pub(super) output: TextOrJson,
    #[command(flatten)]
    pub(super) settings: Flags<OneToken>,
}

#[derive(Debug, Args)]
pub(super) struct ClockArguments {
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "text")]
    pub(super) output: TextOrJson,
    #[command(flatten)]
    pub(super) settings: Flags<ClockOnly>,
}
