//! Where `run` records.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use crate::environment::Environment;
use crate::recorder::{CreateError, Target};

/// Not settings: a recording is made for one run, and never twice in one file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recording")]
pub(super) struct Recording {
    /// New file for all observations, or a directory for it. `tokenwatch replay` reads the file. It
    /// contains no byte of a token, and ends at 1 GiB. Default: none. [TOKENWATCH_RECORD]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Whether the file contains pseudonyms instead of the names of the cluster.
    /// [TOKENWATCH_PSEUDONYMS]
    #[arg(long)]
    pseudonyms: bool,
}

impl Recording {
    /// Where to record, if anywhere.
    pub(super) fn target(self, environment: &Environment) -> Result<Option<Target>, Refused> {
        let file = self.record.or_else(|| environment.get("TOKENWATCH_RECORD").map(PathBuf::from));
        let pseudonyms = match environment.get("TOKENWATCH_PSEUDONYMS") {
            _ if self.pseudonyms => true,
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Refused::Variable),
        };
        match file {
            Some(file) => Target::create(&file, pseudonyms).map(Some).map_err(Refused::File),
            None if pseudonyms => Err(Refused::NoFile),
            None => Ok(None),
        }
    }
}

/// Why nothing can be recorded.
#[derive(Debug)]
pub(super) enum Refused {
    /// The variable for pseudonyms is neither true nor false.
    Variable,
    /// Pseudonyms without a recording.
    NoFile,
    /// The file.
    File(CreateError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("TOKENWATCH_PSEUDONYMS is neither true nor false"),
            Self::NoFile => f.write_str("--pseudonyms needs a recording: add --record FILE"),
            Self::File(why) => write!(f, "--record: {why}"),
        }
    }
}
