//! `tokenwatch run`: the agent, until a signal stops it.

use tracing::{info, warn};

#[cfg(feature = "demo")]
use super::demo::AgentRun;
use super::output::print_error;
use crate::config::Settings;
#[cfg(feature = "demo")]
use crate::demo::AgentFault;
use crate::environment::Environment;
use crate::recorder::Target;
use crate::setup::{self, Failure};
use crate::sources::readers::fanotify::Access;
use crate::streams;

/// Gives up the rights that the agent does not need. Call it before there is a second thread.
/// Returns what it made of one of them.
pub(super) fn confine(settings: &Settings, environment: &Environment) -> Access {
    streams::hold_stderr(); // until there may be a second thread
    let (fanotify, given_up) = setup::take_fanotify();
    if let Err(error) = given_up {
        warn!(%error, "running with a capability that is not needed");
    }
    match setup::confine(settings, environment) {
        Ok(confinement) => info!("{confinement}"),
        Err(error) => warn!(%error, "running without confinement"),
    }
    fanotify
}

/// Runs the agent until SIGTERM or SIGINT; the exit status.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    record: Option<Target>,
    fanotify: Access,
) -> u8 {
    if let Err(error) = streams::write_stderr_apart() {
        warn!(%error, "the log has no thread of its own: it may hold up the agent");
    }
    match setup::run(settings, environment, record, fanotify).await {
        Ok(()) => 0,
        Err(failure) => failed(&failure),
    }
}

/// Prints every mistake; the exit status.
fn failed(failure: &Failure) -> u8 {
    failure.messages().iter().for_each(|message| print_error(message));
    if failure.is_configuration() { 2 } else { 1 }
}

/// `tokenwatch demo`, with the same agent as `run`; the exit status.
#[cfg(feature = "demo")]
pub(super) async fn demo(settings: &Settings, environment: &Environment) -> u8 {
    let agent = |run: AgentRun| async move {
        let stop = async {
            let _ = run.stop.await; // fails when the demo is gone: the agent stops then, too
        };
        let left =
            setup::run_until(&run.settings, &run.environment, (None, Access::default()), stop)
                .await
                .map_err(|failure| AgentFault::Failed(failure.to_string()))?;
        if left.is_clean() { Ok(()) } else { Err(AgentFault::Unsent(left.to_string())) }
    };
    super::demo::run(settings.clone(), environment, setup::stop_signal(), agent).await
}
