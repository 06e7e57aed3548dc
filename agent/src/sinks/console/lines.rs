//! Actions as lines. Pure: the same actions give the same text.

use std::fmt::Write as _;

use tokenwatch_core::base::schema;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::traces::Span;
use tokenwatch_core::world::cluster::PodRef;

/// What the clock's line says, without its figures: they change with every measurement, and only a
/// change of this is worth a line.
type ClockFace = (Option<Value>, Option<Value>);

/// Makes lines, and knows which were said.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    colour: bool,
    clock: Option<ClockFace>,
}

impl Lines {
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour, clock: None }
    }

    /// The lines for `action`, each with its line end; nothing if it is not worth one.
    pub(crate) fn of(&mut self, action: &Report) -> Option<String> {
        match action {
            Report::Alert(alert) => Some(self.alert(alert)),
            Report::Span(span) if span.name == schema::SPAN_GENERATION => Some(generation(span)),
            Report::Span(span) if span.name == schema::SPAN_CLOCK => self.clock(span),
            Report::Span(_) | Report::Rotation { .. } => None,
        }
    }

    fn alert(&self, alert: &Alert) -> String {
        let finding = &alert.finding;
        let (word, colour) = word(alert.event, finding.severity);
        let word = self.painted(&format!("{word:<8}"), colour);
        let subject = subject(&finding.subject);
        let mut text =
            format!("{} {word} {}  {subject}\n", alert.at.rfc3339(), finding.code.as_str());
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
        let face = (
            span.attributes.get(schema::CLOCK_STATE).cloned(),
            span.attributes.get(schema::CLOCK_FALSETICKERS).cloned(),
        );
        if self.clock.as_ref() == Some(&face) {
            return None;
        }
        self.clock = Some(face);
        Some(clock(span))
    }

    fn painted(&self, word: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// The word that leads, and its ANSI colour: red, yellow, cyan, green.
fn word(event: AlertEvent, severity: Severity) -> (&'static str, &'static str) {
    match (event, severity) {
        (AlertEvent::Cleared, _) => ("cleared", "32"),
        (_, Severity::Info) => ("info", "36"),
        (_, Severity::Warning) => ("warning", "33"),
        (_, Severity::Critical) => ("CRITICAL", "1;31"),
    }
}

/// One text per line; an empty text is none.
fn push_indented(out: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "    {}", shown(text)); // writing to a String cannot fail
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Token { pod, volume, path } => {
            format!("{} {}/{}", pod_name(pod), shown(volume), shown(path))
        }
        Subject::Node { node } => format!("node {}", shown(node)),
        Subject::Server { server } => format!("server {}", shown(server)),
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
    let delay = match attributes.get(schema::TOKEN_ROTATION_DELAY) {
        Some(Value::Float(delay)) => format!(", {delay:.1} s after due"),
        _ => String::new(),
    };
    let length = match span.end - span.start {
        Delta::ZERO => ", and issued only then: ahead of this node's clock".to_owned(), /* it has not begun */
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

/// An offset without a sign leaves open which way.
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
