//! `tokenwatch demo`: a whole node in one process, and the real agent on it.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::demo::Options;
use crate::demo::screen::Look;
use crate::environment::Environment;

/// Where temporary folders go when TMPDIR does not say (POSIX).
const TEMP: &str = "/tmp";

/// Show what tokenwatch does: a whole node in one process, for 80 seconds.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(after_help = "Examples:
  tokenwatch demo                                        watch it here
  tokenwatch demo --otlp-endpoint http://localhost:4317  watch it in a tracing backend of your own

Exit status: 0 everything was shown, 1 something did not arrive, 130 interrupted.
It needs no cluster, no network and no privilege, and leaves nothing behind.")]
pub struct DemoArgs {
    /// Send to this collector instead of drawing what arrives.
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

impl DemoArgs {
    /// The demo's options here: colours and a moving line only on a terminal, and no colours where NO_COLOR says so (no-color.org).
    pub fn options(self, environment: &Environment) -> Options {
        let terminal = std::io::stdout().is_terminal() && environment.get("TERM") != Some("dumb");
        Options {
            temp: environment.get("TMPDIR").map_or_else(|| PathBuf::from(TEMP), PathBuf::from),
            otlp_endpoint: self.otlp_endpoint,
            look: look(terminal, environment.get("NO_COLOR").is_some()),
        }
    }
}

fn look(terminal: bool, no_colour: bool) -> Look {
    Look { colour: terminal && !no_colour, rewrites: terminal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        demo: DemoArgs,
    }

    #[test]
    fn flags_and_environment_become_options() {
        let args = Command::parse_from(["demo", "--otlp-endpoint", "http://localhost:4317"]).demo;
        let options = args.options(&Environment::of([("TMPDIR", "/var/tmp")]));
        assert_eq!(options.otlp_endpoint.as_deref(), Some("http://localhost:4317"));
        assert_eq!(options.temp, PathBuf::from("/var/tmp"));
        assert_eq!(DemoArgs::default().options(&Environment::of([])).temp, PathBuf::from("/tmp"));
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        assert_eq!(look(true, false), Look { colour: true, rewrites: true });
        assert_eq!(look(true, true), Look { colour: false, rewrites: true });
        assert_eq!(look(false, false), Look { colour: false, rewrites: false });
    }
}
