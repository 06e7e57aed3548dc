//! The errors that kubelet logs about tokens and their volumes: in a log file, in the journal of
//! systemd, and in Events of the pods. All of it is off unless the settings name it.
//!
//! - `line`: the parts of a line, with `quoted`;
//! - `found`: which lines are about a token, and about whose;
//! - `causes`: which cause the text of an error names, from the table `causes.txt`;
//! - `gather`: what a report has;
//! - `files`: log files, with the means of `sources/logs`;
//! - `journal`: its messages in the journal of systemd;
//! - `events`: Events `FailedMount`, from the API server.

mod causes;
mod events;
mod files;
mod found;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod gather;
mod journal;
#[cfg(test)]
mod journal_tests;
mod line;
mod quoted;
#[cfg(test)]
mod tests;

pub use events::run as run_events;
pub use files::run as run_files;
pub use journal::run as run_journal;
use tokenwatch_core::world::observation::Observation;

use crate::sources::journal::JournalConfig;
use crate::sources::logs::LogFiles;

/// Where kubelet's errors are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeletLogConfig {
    /// Its log files, if the settings name any.
    pub files: Option<LogFiles>,
    /// The journal, if the settings ask for it.
    pub journal: Option<JournalConfig>,
    /// Whether to watch Events of pods.
    pub events: bool,
}

/// What the log files and the journal show now, and what does not work. It blocks.
pub fn once(config: KubeletLogConfig) -> (Vec<Observation>, Vec<String>) {
    let files = config.files.map(files::once);
    let journal = config.journal.map(|config| journal::once(&config));
    let (seen, trouble): (Vec<_>, Vec<_>) = files.into_iter().chain(journal).unzip();
    (seen.into_iter().flatten().collect(), trouble.into_iter().flatten().collect())
}
