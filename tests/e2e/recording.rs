//! What an agent records, replayed: the alerts must be those that the collector was sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use crate::bed::{json, tokenwatch};
use crate::telemetry::{Alert, Telemetry};

/// A recording beside the agent's log.
pub struct Recording {
    file: PathBuf,
}

impl Recording {
    /// Has the agent that `command` starts record.
    pub fn of(command: &mut Command, directory: &Path) -> Self {
        let file = directory.join("recording.jsonl");
        command.arg("--record").arg(&file);
        Self { file }
    }

    /// Once the agent has stopped: its recording gives the alerts that it sent.
    pub fn gives_the_same_alerts(&self, telemetry: &Telemetry) {
        let file = self.file.display();
        let (status, replayed) =
            json(tokenwatch().arg("replay").arg(&self.file).args(["--output", "json"]));
        assert!(status < 2, "{replayed:#}");
        assert_eq!(replayed["recording"]["lost"], 0, "nothing is missing in {file}");
        assert_eq!(replayed["recording"]["stopped"], true, "{file}");
        let alerts = replayed["alerts"].as_array().unwrap().iter();
        let of_recording: BTreeSet<String> = alerts.map(replayed_line).collect();
        // A set, because an alert may be delivered twice.
        let of_collector: BTreeSet<String> = telemetry.alerts().iter().map(line).collect();
        assert!(!of_collector.is_empty(), "no alert to compare");
        assert_eq!(of_recording, of_collector, "{file}");
        println!("{} alerts replayed from {file}", of_recording.len());
    }
}

/// What of an alert has to be the same. A finding that is resolved is sent without a remedy.
fn replayed_line(alert: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = ["at", "event", "code", "severity", "raised_at", "summary"].map(|key| &alert[key]);
    let remedy = ["text", "command"].map(|key| &alert["remedy"][key]);
    let remedy = remedy.iter().filter(|_| alert["event"] != "cleared").copied();
    what.into_iter().chain(remedy).map(text).collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

fn line(alert: &Alert) -> String {
    let at = DateTime::from_timestamp_nanos(i64::try_from(alert.at).unwrap());
    let event = alert.event.rsplit('.').next().unwrap_or_default();
    [
        at.to_rfc3339_opts(SecondsFormat::Secs, true),
        event.to_owned(),
        alert.code(),
        alert.severity(),
        alert.attribute("tokenwatch.finding.raised_at"),
        alert.body.clone(),
        alert.attribute("tokenwatch.finding.remedy"),
        alert.attribute("tokenwatch.finding.command"),
    ]
    .join(" ")
    .trim_end()
    .to_owned()
}
