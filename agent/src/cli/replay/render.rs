//! What a replay gave: lines as `run` prints them and a summary for people, JSON for scripts.

use std::io::{ErrorKind, Write as _};

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Reading, Wall};
use tokenwatch_core::engine::Report;
use tokenwatch_core::ledger::Alert;
use tokenwatch_core::replay::{Content, Summary};

use super::Replayed;
use crate::cli::check::{finding_json, paragraph};
use crate::cli::output::{Layout, print_error};
use crate::sinks::console::Lines;
use crate::streams;

/// Prints as it goes: a recording may have a million lines.
#[derive(Debug)]
pub(super) struct Text {
    lines: Lines,
    /// Whether nobody reads any more. The exit status is still wanted.
    closed: bool,
}

impl Text {
    pub(super) fn new(colour: bool) -> Self {
        Self { lines: Lines::new(colour), closed: false }
    }

    pub(super) fn take(&mut self, content: &Content, reports: Vec<Report>) {
        if let Content::Lost(count) = content {
            self.print(&format!("({})\n", missing(*count)));
        }
        for report in reports {
            if let Some(text) = self.lines.of(&report) {
                self.print(&text);
            }
        }
    }

    fn print(&mut self, text: &str) {
        let printed = if self.closed { Ok(()) } else { streams::out().write_all(text.as_bytes()) };
        if let Err(why) = printed {
            self.closed = true;
            if why.kind() != ErrorKind::BrokenPipe {
                print_error(&format!("standard output: {why}"));
            }
        }
    }
}

fn missing(count: u64) -> String {
    let entries = if count == 1 { "1 entry is".to_owned() } else { format!("{count} entries are") };
    format!("{entries} missing here: the recorder could not write in time")
}

/// What was replayed, and what is active at the end.
pub(super) fn summary(replayed: &Replayed, layout: Layout) -> String {
    let (summary, active) = (replayed.player.summary(), replayed.player.active());
    let now = summary.last.unwrap_or_default().wall;
    let notes: String = notes(replayed).iter().map(|note| layout.wrap(note, "")).collect();
    let count = if active.is_empty() { "none".to_owned() } else { active.len().to_string() };
    let active: String =
        active.iter().map(|(finding, _)| paragraph(finding, now, layout)).collect();
    let head = layout.wrap(&origin(replayed, summary), "");
    format!("\n{head}{notes}active at the end: {count}\n{active}")
}

fn origin(replayed: &Replayed, summary: &Summary) -> String {
    let header = &replayed.header;
    let by = format!(
        "recorded on node {} by tokenwatch {}",
        shown(&header.config.node),
        shown(&header.tokenwatch)
    );
    match (summary.first, summary.last) {
        (Some(first), Some(last)) => format!(
            "{by} from {} to {} ({}): {} observations",
            first.wall.rfc3339(),
            last.wall.rfc3339(),
            last.monotonic - first.monotonic,
            summary.observations
        ),
        (None, _) | (_, None) => format!("{by}: no entries"),
    }
}

/// What is missing in a recording.
fn notes(replayed: &Replayed) -> Vec<String> {
    let summary = replayed.player.summary();
    let lost = (summary.lost > 0).then(|| {
        format!("{} entries are missing in all: findings may differ from the agent's", summary.lost)
    });
    let end = match (replayed.cut_off, summary.stopped) {
        (true, _) => Some(
            "the last line is cut off and was left out: the agent was killed, or the file was \
             copied while it ran",
        ),
        (false, false) => Some("the recording ends before the agent stopped"),
        (false, true) => None,
    };
    lost.into_iter().chain(end.map(ToOwned::to_owned)).collect()
}

/// Collects what is shown at the end.
#[derive(Debug, Default)]
pub(super) struct Json {
    alerts: Vec<Value>,
}

impl Json {
    pub(super) fn take(&mut self, reports: Vec<Report>) {
        self.alerts.extend(reports.into_iter().filter_map(|report| match report {
            Report::Alert(alert) => Some(alert_json(&alert)),
            Report::Span(_) | Report::Rotation { .. } => None,
        }));
    }

    pub(super) fn finish(self, replayed: &Replayed) -> Value {
        let active = replayed.player.active();
        let active = active.iter().map(|(finding, raised_at)| {
            with(finding_json(finding), json!({"raised_at": raised_at.rfc3339()}))
        });
        json!({
            "recording": recording_json(replayed),
            "alerts": self.alerts,
            "findings": active.collect::<Vec<_>>(),
        })
    }
}

fn alert_json(alert: &Alert) -> Value {
    let event = json!({
        "at": alert.at.rfc3339(),
        "event": alert.event,
        "id": alert.id,
        "raised_at": alert.raised_at.rfc3339(),
    });
    with(finding_json(&alert.finding), event)
}

fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(keys), Value::Object(more)) = (&mut value, more) {
        keys.extend(more);
    }
    value
}

fn recording_json(replayed: &Replayed) -> Value {
    let (header, summary) = (&replayed.header, replayed.player.summary());
    let time = |reading: Option<Reading>| reading.map(|reading| reading.wall).map(Wall::rfc3339);
    json!({
        "tokenwatch": shown(&header.tokenwatch),
        "node": shown(&header.config.node),
        "pseudonyms": header.pseudonyms,
        "from": time(summary.first),
        "to": time(summary.last),
        "observations": summary.observations,
        "lost": summary.lost,
        "cut_off": replayed.cut_off,
        "stopped": summary.stopped,
    })
}
