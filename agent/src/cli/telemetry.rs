//! `tokenwatch telemetry`: every name that leaves the agent, as Markdown made from the schema.

use std::fmt::Write as _;

use tokenwatch_core::base::schema::{ATTRIBUTES, EVENTS, Entry, METRICS, Metric, SPANS};

/// Prints the page.
pub(super) fn report() -> u8 {
    super::output::say(&page(), 0)
}

fn page() -> String {
    let mut out = String::from(
        "# Telemetry\n\nEverything the agent sends over OTLP. Durations are seconds, sizes bytes, \
         units UCUM.\n",
    );
    names(&mut out, "Spans", SPANS);
    names(&mut out, "Log events", EVENTS);
    names(&mut out, "Attributes", ATTRIBUTES);
    metrics(&mut out);
    out
}

fn names(out: &mut String, title: &str, entries: &[Entry]) {
    let _ = writeln!(out, "\n## {title}\n\n| name | meaning |\n|---|---|"); // writing to a String cannot fail
    for entry in entries {
        let _ = writeln!(out, "| `{}` | {} |", entry.name, cell(entry.meaning));
    }
}

fn metrics(out: &mut String) {
    out.push_str(
        "\n## Metrics\n\n| name | instrument | unit | attributes | meaning \
         |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let Metric { name, instrument, unit, .. } = metric;
        let _ = writeln!(
            out,
            "| `{name}` | {instrument} | `{unit}` | {} | {} |",
            attributes(metric),
            cell(metric.meaning)
        );
    }
}

fn attributes(metric: &Metric) -> String {
    let names = metric.attributes.split(", ").filter(|name| !name.is_empty());
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}
