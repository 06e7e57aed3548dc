//! The command line: one file per command. Here each command gets its settings and runs.

mod arguments;
mod check;
mod clock;
mod completion;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod findings;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod input;
mod log;
mod man;
mod output;
mod readers;
mod record;
mod replay;
mod report;
mod review;
mod run;
mod settings;
mod signature;
mod telemetry;
#[cfg(test)]
mod tests;
mod usage;
mod version;

use std::ffi::OsString;
use std::pin::Pin;

use clap::Parser as _;
use tokenwatch_core::base::secrecy::redacted_input;

use crate::environment::Environment;
use crate::limits::Needs;
use arguments::{Arguments, Command, Report};
use output::print_error;
use settings::Sources;

/// Exit status of wrong usage and wrong configuration.
const BAD_USAGE: u8 = 2;

/// The work of a command once its settings are known; the exit status.
pub type Work<'a> = Pin<Box<dyn Future<Output = u8> + 'a>>;

/// Runs the command that the arguments name; the exit status. Work that needs threads is handed to
/// `on_threads`.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    on_threads: &dyn Fn(Needs, Work<'_>) -> u8,
) -> u8 {
    let given: Vec<OsString> = arguments.into_iter().collect();
    match Arguments::try_parse_from(&given) {
        Ok(arguments) => run_command(arguments, environment, on_threads).unwrap_or(BAD_USAGE),
        Err(message) => print_message(&message, &given),
    }
}

/// Prints help, the version or a usage error; the exit status. An argument that looks like a token
/// is not repeated, and neither is one that may be part of a header.
fn print_message(message: &clap::Error, given: &[OsString]) -> u8 {
    match without_secrets(message, given) {
        Some(safe) => print_error(&safe),
        None => drop(message.print()), // fails only on a closed pipe
    }
    if message.use_stderr() { BAD_USAGE } else { 0 }
}

/// A usage error without what may be secret in it; none where nothing is.
fn without_secrets(message: &clap::Error, given: &[OsString]) -> Option<String> {
    let text = message.to_string();
    let safe = usage::without_values(&text, given);
    let has_secrets = safe != text || redacted_input(&text) != text;
    (message.use_stderr() && has_secrets).then_some(safe)
}

/// Nothing if the settings are wrong: the mistakes have been printed.
fn run_command(
    arguments: Arguments,
    environment: &Environment,
    on_threads: &dyn Fn(Needs, Work<'_>) -> u8,
) -> Option<u8> {
    let sources = Sources { file: arguments.config.as_deref(), environment };
    Some(match arguments.command {
        Command::Run(it) => {
            let settings = sources.with_export(it.settings.given())?.settings;
            let record = it.recording.target(environment);
            let record = record.map_err(|error| print_error(&error.to_string())).ok()?;
            let fanotify = run::confine(&settings, environment);
            on_threads(
                Needs::Agent,
                Box::pin(run::report(&settings, environment, record, fanotify)),
            )
        }
        Command::Check(it) => {
            let (options, output, watch) = (it.options(), it.output, it.watch);
            let settings = sources.as_for_run(it.settings.given())?.settings;
            let inspection = check::Inspection { settings: &settings, environment, options };
            match watch {
                Some(every) => {
                    on_threads(Needs::Command, Box::pin(check::watch(inspection, output, every)))
                }
                None => on_threads(Needs::Command, Box::pin(check::report(inspection, output))),
            }
        }
        Command::Readers(it) => {
            let settings = sources.as_for_run(it.settings.given())?.settings;
            let asked = readers::Asked { pod: it.pod, span: it.look.span };
            on_threads(
                Needs::Command,
                Box::pin(readers::report(&settings, environment, it.output, asked)),
            )
        }
        Command::Report { report: Report::Upgrade(it) } => {
            let settings = sources.as_for_run(it.settings.given())?.settings;
            let (output, span) = (it.output, it.look.span);
            on_threads(
                Needs::Command,
                Box::pin(report::upgrade(&settings, environment, output, span)),
            )
        }
        Command::Report { report: Report::Posture(it) } => {
            let settings = sources.as_for_run(it.settings.given())?.settings;
            let (output, span) = (it.output, it.look.span);
            on_threads(
                Needs::Command,
                Box::pin(report::posture(&settings, environment, output, span)),
            )
        }
        Command::Explain(it) => {
            let settings = sources.with_quiet_log(it.settings.given())?.settings;
            let file = it.file.as_deref();
            if it.why {
                return Some(on_threads(
                    Needs::Command,
                    Box::pin(explain::why(&settings, environment, file, it.output)),
                ));
            }
            let (output, token_review) = (it.output, it.token_review);
            let wanted = explain::Wanted { settings: &settings, environment, output, token_review };
            on_threads(Needs::Command, Box::pin(explain::report(wanted, file)))
        }
        Command::Clock(it) => {
            let settings = sources.without_export(it.settings.given())?.settings;
            on_threads(Needs::Command, Box::pin(clock::report(&settings, environment, it.output)))
        }
        #[cfg(feature = "demo")]
        Command::Demo(it) => {
            let settings = sources.with_quiet_log(it.settings.given())?.settings;
            on_threads(Needs::Agent, Box::pin(run::demo(&settings, environment)))
        }
        Command::Replay(it) => replay::report(&it, environment),
        Command::Config(it) => {
            config::report(sources.with_export(it.settings.given())?, environment)
        }
        Command::Findings { code, output } => {
            findings::report(code.as_deref(), output, environment)
        }
        Command::Telemetry { output } => telemetry::report(output),
        Command::Completion { shell } => completion::report(shell),
        Command::Man { command } => man::report(&command),
        Command::Version { output } => version::report(output),
    })
}
