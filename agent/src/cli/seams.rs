//! Where the commands meet the parts of the agent that do the work.

use super::clock::ClockReport;
use super::output::{Page, TextOrJson, complain, say, say_json};
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::recorder::Target;
use crate::setup::{self, Failure, engine_config, node_name, ntp};
use crate::sources::{kernel, ntp as servers};

/// Gives up what the agent does not need, before there is a second thread.
pub(super) fn confine(settings: &Settings, environment: &Environment) {
    match setup::confine(settings, environment) {
        Ok(confinement) => tracing::info!("{confinement}"),
        Err(why) => tracing::warn!("{why}: going on"),
    }
}

/// The agent, until it is asked to stop.
pub(super) async fn run(
    settings: &Settings,
    environment: &Environment,
    record: Option<Target>,
) -> u8 {
    match setup::run(settings, environment, record).await {
        Ok(()) => 0,
        Err(failure) => failed(&failure),
    }
}

/// Says why; the exit status.
fn failed(failure: &Failure) -> u8 {
    match failure {
        Failure::Configuration(mistakes) => {
            for mistake in mistakes {
                complain(mistake);
            }
            2
        }
        Failure::Other(message) => {
            complain(message);
            1
        }
    }
}

/// The clock, measured now.
pub(super) async fn clock(
    settings: &Settings,
    environment: &Environment,
    output: TextOrJson,
) -> u8 {
    let asked = ntp(settings);
    let limits =
        engine_config(settings, &node_name(settings, environment), !asked.servers.is_empty()).clock;
    let round = servers::measure(&asked).await;
    let report = ClockReport::new(
        &round,
        kernel::read().map_err(|error| error.to_string()),
        &limits,
        clocks::now(),
    );
    match output {
        TextOrJson::Text => say(&report.text(Page::for_stdout(environment)), report.exit_code()),
        TextOrJson::Json => say_json(&report.json(), report.exit_code()),
    }
}

/// A whole node in one process, with the very agent that `run` runs.
pub(super) async fn demo(settings: &Settings, environment: &Environment) -> u8 {
    super::demo::run(settings.clone(), environment, setup::asked_to_stop(), |agent| async move {
        let stop = async move {
            let _ = agent.stop.await; // a demo that is gone has stopped, too
        };
        let report = setup::run_until(&agent.settings, &agent.environment, None, stop)
            .await
            .map_err(|failure| failure.to_string())?;
        if report.is_clean() { Ok(()) } else { Err(report.to_string()) }
    })
    .await
}
