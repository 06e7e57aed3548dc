//! Reports as lines of text. Pure: the same reports give the same text.

use std::fmt::Write as _;

use tokenwatch_core::base::schema;
use tokenwatch_core::base::text::{escaped, shown};
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::traces::Span;
use tokenwatch_core::world::cluster::PodRef;

/// The state of the clock and the servers that are wrong. The figures change with every
/// measurement; only a change of these two gets a line.
type ClockSummary = (Option<Value>, Option<Value>);

/// Renders reports, and leaves out a measurement of the clock that changed nothing.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    colour: bool,
    clock: Option<ClockSummary>,
}

impl Lines {
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour, clock: None }
    }

    /// The lines for `report`, each with its line end. Nothing for a report that gets no line.
    pub(crate) fn of(&mut self, report: &Report) -> Option<String> {
        match report {
            Report::Alert(alert) => Some(self.alert(alert)),
            Report::Span(span) if span.name == schema::SPAN_GENERATION => Some(generation(span)),
            Report::Span(span) if span.name == schema::SPAN_CLOCK => self.clock(span),
            Report::Span(_) | Report::Rotation { .. } => None,
        }
    }

    fn alert(&self, alert: &Alert) -> String {
        let finding = &alert.finding;
        let (label, colour) = label(alert.event, finding.severity);
        let label = self.painted(&format!("{label:<8}"), colour);
        let subject = subject(&finding.subject);
        let mut text =
            format!("{} {label} {}  {subject}\n", alert.at.rfc3339(), finding.code.as_str());
        push_indented(&mut text, &finding.summary);
        if alert.event != AlertEvent::Cleared {
            push_indented(&mut text, &finding.remedy.text);
            if let Some(command) = &finding.remedy.command {
                push_indented(&mut text, &format!("  $ {command}"));
            }
        }
        text
    }

    fn clock(&mut self, span: &Span) -> Option<String> {
        let summary = (
            span.attributes.get(schema::CLOCK_STATE).cloned(),
            span.attributes.get(schema::CLOCK_FALSETICKERS).cloned(),
        );
        if self.clock.as_ref() == Some(&summary) {
            return None;
        }
        self.clock = Some(summary);
        Some(clock(span))
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The second column of an alert, and its ANSI colour: green, cyan, yellow or red.
fn label(event: AlertEvent, severity: Severity) -> (&'static str, &'static str) {
    match event {
        AlertEvent::Cleared => ("cleared", "32"),
        AlertEvent::Raised | AlertEvent::Reminded => match severity {
            Severity::Info => ("info", "36"),
            Severity::Warning => ("warning", "33"),
            Severity::Critical => ("CRITICAL", "1;31"),
        },
    }
}

/// One line with `text`; none if it is empty.
fn push_indented(out: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "    {}", escaped(text)); // writing to a String cannot fail
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Token { pod, volume, path } => {
            format!("{} {}/{}", pod_name(pod), shown(volume), shown(path))
        }
        Subject::Node { node } => format!("node {}", shown(node)),
        Subject::Server { server } => format!("server {}", shown(server)),
        Subject::File { node, path } => format!("node {} {}", shown(node), shown(path)),
    }
}

fn pod_name(pod: &PodRef) -> String {
    match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        _ => format!("pod {}", shown(&pod.uid)),
    }
}

fn generation(span: &Span) -> String {
    let attributes = &span.attributes;
    let outcome = text(attributes, schema::TOKEN_OUTCOME).unwrap_or_else(|| "ended".to_owned());
    let mut delay = String::new();
    if let Some(Value::Float(seconds)) = attributes.get(schema::TOKEN_ROTATION_DELAY) {
        delay = format!(", {seconds:.1} s after due");
    }
    let length = match span.end - span.start {
        // It ended before its `iat`, by this node's clock.
        Delta::ZERO => " before its issue time, which is ahead of this node's clock".to_owned(),
        length => format!(" after {length}"),
    };
    format!("{} token    {outcome}{length}{delay}  {}\n", span.end.rfc3339(), owner(attributes))
}

fn owner(attributes: &Attributes) -> String {
    let named = |name| text(attributes, name);
    let pod = match (named(schema::K8S_NAMESPACE), named(schema::K8S_POD_NAME)) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => format!("pod {}", named(schema::K8S_POD_UID).unwrap_or_default()),
    };
    let place: Vec<String> =
        [schema::K8S_VOLUME, schema::TOKEN_PATH].into_iter().filter_map(named).collect();
    format!("{pod} {}", place.join("/"))
}

fn clock(span: &Span) -> String {
    let attributes = &span.attributes;
    let figure = |name| text(attributes, name).unwrap_or_else(|| "?".to_owned());
    let mut line = format!("{} clock    {}", span.end.rfc3339(), figure(schema::CLOCK_STATE));
    if attributes.get(schema::CLOCK_OFFSET).is_some() {
        let _ = write!(
            line,
            ", offset {} s ± {} s",
            signed(&figure(schema::CLOCK_OFFSET)),
            figure(schema::CLOCK_ERROR_BOUND)
        );
    }
    let _ = write!(
        line,
        ", {} of {} servers agree",
        figure(schema::CLOCK_AGREEING),
        figure(schema::CLOCK_SERVERS)
    );
    if let Some(wrong) =
        text(attributes, schema::CLOCK_FALSETICKERS).filter(|names| !names.is_empty())
    {
        let _ = write!(line, "; wrong: {wrong}");
    }
    line.push('\n');
    line
}

/// With a sign, so that the direction of the offset is clear.
fn signed(figure: &str) -> String {
    if figure.starts_with('-') { figure.to_owned() } else { format!("+{figure}") }
}

fn text(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.get(name).map(|value| match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:.6}"),
        Value::Text(value) => shown(value).into_owned(),
        Value::List(values) => {
            values.iter().map(|value| shown(value).into_owned()).collect::<Vec<_>>().join(", ")
        }
    })
}
