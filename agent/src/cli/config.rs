//! `tokenwatch config`: the effective configuration.

use crate::config::{Loaded, effective, otlp};
use crate::environment::Environment;
use crate::setup::{node_name, own_otlp};

use super::output::print;

/// Prints it; the exit status. The caller has already reported every mistake, those in the standard
/// variables included.
pub(super) fn report(mut loaded: Loaded, environment: &Environment) -> u8 {
    loaded.settings.node = Some(node_name(&loaded.settings, environment));
    let resolved = otlp::Settings::resolve(&own_otlp(&loaded.settings), environment);
    print(&(effective(&loaded, environment) + &targets(resolved.ok().flatten().as_ref())), 0)
}

/// The target of each signal. Standard variables may send each signal elsewhere.
fn targets(resolved: Option<&otlp::Settings>) -> String {
    let Some(settings) = resolved else {
        return "\n# No endpoint: `run` prints alerts and traces.\n".to_owned();
    };
    let lines: Vec<String> = settings
        .targets()
        .map(|target| format!("#   {}: {target}\n", target.signal.name()))
        .collect();
    format!("\n# Export to:\n{}", lines.concat())
}
