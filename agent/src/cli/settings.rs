//! The settings of one invocation, from its flags, the environment and the configuration file.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use tokenwatch_core::base::text::{count_of, shown};

use super::output::print_error;
use super::{input, log};
use crate::config::{Flag, Given, Loaded, Mistakes, Origin, read};
use crate::environment::Environment;
use crate::setup::{api_server_mistake, export_mistakes};

/// Longest text read from a configuration file, in bytes. The parser refuses less than this.
const READ_LIMIT: u64 = 1024 * 1024;

/// Where settings come from, apart from flags.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The value of `--config`.
    pub(super) file: Option<&'a Path>,
    pub(super) environment: &'a Environment,
}

impl Sources<'_> {
    /// For commands that export telemetry: the standard variables must be right, too. Nothing if
    /// there is any mistake; the mistakes are printed.
    pub(super) fn with_export(self, flags: Vec<Flag>) -> Option<Loaded> {
        self.load(flags, true).inspect(|loaded| log::start(&loaded.settings.log))
    }

    /// For commands that export nothing.
    pub(super) fn without_export(self, flags: Vec<Flag>) -> Option<Loaded> {
        self.load(flags, false).inspect(|loaded| log::start(&loaded.settings.log))
    }

    /// For commands whose answer is on the same terminal as the log: it has warnings only, unless a
    /// level is configured. Findings are left out, because the demo shows them itself.
    pub(super) fn with_quiet_log(self, flags: Vec<Flag>) -> Option<Loaded> {
        Some(quiet(self.load(flags, false)?, "warn,tokenwatch::sinks::findings_log=off"))
    }

    /// The same, for a command that looks at the node as `run` does: what `run` would refuse, it
    /// refuses too, although it exports nothing.
    pub(super) fn as_for_run(self, flags: Vec<Flag>) -> Option<Loaded> {
        Some(quiet(self.load(flags, true)?, "warn"))
    }

    fn load(self, flags: Vec<Flag>, exports: bool) -> Option<Loaded> {
        let (loaded, mistakes) = self.read(flags, exports);
        if mistakes.0.is_empty() {
            return Some(loaded);
        }
        let count = count_of(mistakes.0.len(), "mistake");
        print_error(&format!("{count} in the configuration\n{mistakes}"));
        None
    }

    fn read(self, flags: Vec<Flag>, exports: bool) -> (Loaded, Mistakes) {
        let mut mistakes = Mistakes::default();
        let file = self.path().and_then(|path| read_file(path, &mut mistakes));
        let (loaded, more) = read(&Given { file, environment: self.environment, flags });
        mistakes.0.extend(more.0);
        if exports {
            mistakes.0.extend(export_mistakes(&loaded, self.environment));
            mistakes.0.extend(api_server_mistake(&loaded, self.environment));
        }
        (loaded, mistakes)
    }

    fn path(&self) -> Option<&Path> {
        self.file.or_else(|| self.environment.get("TOKENWATCH_CONFIG").map(Path::new))
    }
}

/// Starts the log at `level`, unless one is configured.
fn quiet(mut loaded: Loaded, level: &str) -> Loaded {
    if loaded.origin("log.level") == Origin::Default {
        level.clone_into(&mut loaded.settings.log.level);
    }
    log::start(&loaded.settings.log);
    loaded
}

/// Path and text of the configuration file, or a mistake more.
fn read_file(path: &Path, mistakes: &mut Mistakes) -> Option<(String, String)> {
    let name = shown(&path.to_string_lossy()).into_owned();
    match read_limited(path) {
        Ok(text) => Some((name, text)),
        Err(error) => {
            mistakes.add(Origin::File { name, place: None }, unreadable(&error));
            None
        }
    }
}

fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    input::open(path)?.take(READ_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::InvalidData => "the configuration file is not UTF-8 text".to_owned(),
        _ => format!("cannot read the configuration file: {error}"),
    }
}
