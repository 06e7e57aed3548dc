//! `tokenwatch config`: the effective configuration.

use crate::config::{Loaded, effective, otlp};
use crate::environment::Environment;
use crate::setup::{api_server_note, node_name, own_otlp};

use super::output::print;

/// Prints it; the exit status. The caller has already reported every mistake, those in the standard
/// variables included.
pub(super) fn report(mut loaded: Loaded, environment: &Environment) -> u8 {
    loaded.settings.node = Some(node_name(&loaded.settings, environment));
    let resolved = otlp::Settings::resolve(&own_otlp(&loaded.settings), environment);
    let targets = targets(resolved.ok().flatten().as_ref());
    let note = api_server_note(&loaded.settings, environment);
    let note = note.map(|note| format!("# No proxy: {note}.\n")).unwrap_or_default();
    print(&(effective(&loaded, environment) + &targets + &note), 0)
}

/// The target of each signal. Standard variables may send each signal elsewhere.
fn targets(resolved: Option<&otlp::Settings>) -> String {
    let Some(settings) = resolved else {
        return "\n# No endpoint: `run` prints alerts and traces.\n".to_owned();
    };
    let targets = settings.targets().map(|target| format!("  {}: {target}", target.signal.name()));
    let exceptions = settings.exceptions().into_iter().map(|why| format!("No proxy: {why}."));
    let doubts = settings.doubts().into_iter().map(|doubt| format!("Probably not meant: {doubt}."));
    let notes = targets.chain(exceptions).chain(doubts);
    let lines: Vec<String> = notes.map(|line| format!("# {line}\n")).collect();
    format!("\n# Export to:\n{}", lines.concat())
}
