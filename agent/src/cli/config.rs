//! `tokenwatch config`: the effective configuration, or every mistake in it.

use crate::config::{Loaded, effective, otlp};
use crate::environment::Environment;
use crate::setup::{node_name, own_otlp};

use super::output::say;

/// Shows it. Whoever loaded it has told every mistake there is, those in the standard variables
/// included.
pub(super) fn report(mut loaded: Loaded, environment: &Environment) -> u8 {
    loaded.settings.node = Some(node_name(&loaded.settings, environment));
    let resolved = otlp::Settings::resolve(&own_otlp(&loaded.settings), environment);
    say(&(effective(&loaded, environment) + &targets(resolved.ok().flatten().as_ref())), 0)
}

/// What all of it comes to, signal by signal: standard variables may send each elsewhere.
fn targets(resolved: Option<&otlp::Settings>) -> String {
    let Some(settings) = resolved else {
        return "\n# No endpoint: `run` prints what it would send.\n".to_owned();
    };
    let lines: Vec<String> = settings
        .targets()
        .map(|target| format!("#   {}: {target}\n", target.signal.name()))
        .collect();
    format!("\n# Sent to:\n{}", lines.concat())
}
