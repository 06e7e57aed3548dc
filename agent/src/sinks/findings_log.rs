//! Findings in the agent's own log: one line for each report. Without an endpoint they are on
//! standard output already; with one, `kubectl logs` would show nothing of what a collector does
//! not accept.

use tokenwatch_core::base::text::{escaped, shown};
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::world::cluster::PodRef;

/// Logs the alerts among these reports.
pub(super) fn log(reports: &[Report]) {
    for report in reports {
        match report {
            Report::Alert(alert) => log_alert(alert),
            Report::Span(_) | Report::Rotation { .. } => {}
        }
    }
}

/// The fields that depend on what a finding is about.
#[derive(Default)]
struct About {
    pod: Option<String>,
    volume: Option<String>,
    path: Option<String>,
    node: Option<String>,
    server: Option<String>,
    file: Option<String>,
}

/// A macro of the log wants its level at compile time.
macro_rules! line {
    ($level:ident, $alert:expr, $about:expr) => {
        tracing::$level!(
            code = $alert.finding.code.as_str(),
            finding_severity = $alert.finding.severity.name(),
            pod = $about.pod,
            volume = $about.volume,
            path = $about.path,
            node = $about.node,
            server = $about.server,
            file = $about.file,
            finding_id = $alert.id.0,
            summary = %escaped(&$alert.finding.summary),
            "{}", message($alert.event)
        )
    };
}

fn log_alert(alert: &Alert) {
    let about = about(&alert.finding.subject);
    match (alert.event, alert.finding.severity) {
        (AlertEvent::Cleared, _) | (_, Severity::Info) => line!(info, alert, about),
        (AlertEvent::Raised | AlertEvent::Reminded, Severity::Warning | Severity::Critical) => {
            line!(warn, alert, about);
        }
    }
}

fn message(event: AlertEvent) -> &'static str {
    match event {
        AlertEvent::Raised => "finding raised",
        AlertEvent::Reminded => "finding reminded",
        AlertEvent::Cleared => "finding cleared",
    }
}

fn about(subject: &Subject) -> About {
    let text = |text: &str| Some(shown(text).into_owned());
    match subject {
        Subject::Token { pod, volume, path } => About {
            pod: Some(pod_name(pod)),
            volume: text(volume),
            path: text(path),
            ..About::default()
        },
        Subject::Node { node } => About { node: text(node), ..About::default() },
        Subject::Server { server } => About { server: text(server), ..About::default() },
        Subject::File { node, path } => {
            About { node: text(node), file: text(path), ..About::default() }
        }
    }
}

/// `namespace/name`, or the UID.
fn pod_name(pod: &PodRef) -> String {
    match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        _ => shown(&pod.uid).into_owned(),
    }
}
