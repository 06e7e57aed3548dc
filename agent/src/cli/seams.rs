//! Where the commands meet the parts of the agent that do the work.

use crate::config::Settings;
use crate::environment::Environment;

use super::output::{TextOrJson, complain};

/// The agent, until it is asked to stop.
pub(super) async fn run(_settings: Settings, _environment: &Environment) -> u8 {
    complain("this build has no agent");
    1
}

/// The clock, measured now.
pub(super) async fn clock(_settings: Settings, _output: TextOrJson) -> u8 {
    complain("this build cannot measure");
    2
}

/// A node in one process.
pub(super) async fn demo(_settings: Settings, _environment: &Environment) -> u8 {
    complain("this build has no demo");
    1
}
