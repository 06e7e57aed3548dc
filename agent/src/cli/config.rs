//! `tokenwatch config`: the effective configuration, or every mistake in it.

use crate::config::{Loaded, effective};
use crate::environment::Environment;
use crate::run::{node_name, own_otlp};
use crate::sinks::otlp;

use super::output::{complain, say};

/// Exit status: there are mistakes.
const MISTAKES: u8 = 2;

/// Shows it. Own settings have been read without a mistake; the standard variables, which only the sink understands, may hold some.
pub(super) fn report(mut loaded: Loaded, environment: &Environment) -> u8 {
    loaded.settings.node = Some(node_name(&loaded.settings, environment));
    let shown = effective(&loaded, environment);
    match otlp::Settings::resolve(&own_otlp(&loaded.settings.otlp), environment) {
        Ok(resolved) => say(&(shown + &targets(resolved.as_ref())), 0),
        Err(mistakes) => {
            let status = say(&shown, MISTAKES);
            for mistake in &mistakes {
                complain(mistake);
            }
            status
        }
    }
}

/// What all of it comes to, signal by signal: standard variables may send each elsewhere.
fn targets(resolved: Option<&otlp::Settings>) -> String {
    let Some(settings) = resolved else { return "\n# No endpoint: `run` prints what it would send.\n".to_owned() };
    let lines: Vec<String> = settings.targets().map(|target| format!("#   {}: {target}\n", target.signal.name())).collect();
    format!("\n# Sent to:\n{}", lines.concat())
}
