//! `tokenwatch report`: what is not wrong yet, and will be.
//!
//! - `upgrade`: who fails the day the API server no longer extends the expiry of tokens;
//! - `posture`: tokens that live too long, that nobody needs, or that many share.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod posture;
#[cfg(test)]
mod posture_tests;
mod render;
mod render_posture;
#[cfg(test)]
mod tests;
mod upgrade;
mod workload;

use tokenwatch_core::base::time::Delta;

use super::output::{Layout, TableJsonOrMarkdown, print, print_error, print_json};
use super::readers::{self, Asked, Found};
use crate::config::Settings;
use crate::environment::Environment;
use posture::Posture;
use upgrade::Upgrade;

/// Exit status: nothing could be seen.
const UNSEEN: u8 = 2;

/// Reports who is not ready for an upgrade; the exit status. Asks the agent, or looks for `span`.
pub(super) async fn upgrade(
    settings: &Settings,
    environment: &Environment,
    output: TableJsonOrMarkdown,
    span: Delta,
) -> u8 {
    match readers::find(settings, environment, Asked { pod: None, span }).await {
        Ok(found) => print_upgrade(&found, output, Layout::for_stdout(environment)),
        Err(error) => {
            print_error(&error.to_string());
            UNSEEN
        }
    }
}

fn print_upgrade(found: &Found, output: TableJsonOrMarkdown, layout: Layout) -> u8 {
    let upgrade = Upgrade::of(found.list());
    let status = upgrade.exit_code();
    match output {
        TableJsonOrMarkdown::Table => print(&render::table(&upgrade, found, layout), status),
        TableJsonOrMarkdown::Json => print_json(&render::json(&upgrade, found), status),
        TableJsonOrMarkdown::Markdown => print(&render::markdown(&upgrade, found), status),
    }
}

/// Reports tokens that should not be relied on; the exit status. Asks the agent, or looks for
/// `span`.
pub(super) async fn posture(
    settings: &Settings,
    environment: &Environment,
    output: TableJsonOrMarkdown,
    span: Delta,
) -> u8 {
    let found = match readers::find(settings, environment, Asked { pod: None, span }).await {
        Ok(found) => found,
        Err(error) => {
            print_error(&error.to_string());
            return UNSEEN;
        }
    };
    match Posture::of(found.list()) {
        Ok(posture) => print_posture(&posture, &found, output, Layout::for_stdout(environment)),
        Err(error) => {
            print_error(&error.to_string());
            UNSEEN
        }
    }
}

fn print_posture(
    posture: &Posture,
    found: &Found,
    output: TableJsonOrMarkdown,
    layout: Layout,
) -> u8 {
    let status = posture.exit_code();
    match output {
        TableJsonOrMarkdown::Table => print(&render_posture::table(posture, found, layout), status),
        TableJsonOrMarkdown::Json => print_json(&render_posture::json(posture, found), status),
        TableJsonOrMarkdown::Markdown => print(&render_posture::markdown(posture, found), status),
    }
}
