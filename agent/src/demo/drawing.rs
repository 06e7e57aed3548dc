//! Traces and alerts as text for people: pure.

use tokenwatch_core::base::ids::hex;
use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::base::value::Attributes;
use tokenwatch_lab::received::{LogSeen, SpanSeen, number, text};

use super::axis::tree;
use super::entry::Entry;
use super::paint::{Paint, Tone};
use super::traces::Trace;

/// Offsets that differ by less than this many seconds look the same to a person.
const SAME_OFFSET: f64 = 0.5;
/// The event of an alert that is resolved, as a heading.
const CLEARED: &str = "CLEARED";

/// An alert: what happened to which pod, what it means, what to do.
pub(super) fn alert(log: &LogSeen, paint: Paint) -> String {
    let about = |name| text(&log.attributes, name).unwrap_or_default();
    let event = log.event.rsplit('.').next().unwrap_or_default().to_uppercase();
    let entry = alert_heading(log, &event, paint).paragraph("", &log.body, None);
    if event == CLEARED {
        return entry.text();
    }
    entry
        .paragraph("do: ", about(schema::FINDING_REMEDY), None)
        .command(about(schema::FINDING_COMMAND))
        .text()
}

fn alert_heading(log: &LogSeen, event: &str, paint: Paint) -> Entry {
    let about = |name| text(&log.attributes, name).unwrap_or("?");
    let severity = about(schema::FINDING_SEVERITY);
    let parts = [
        (&*format!("{severity:<8}"), None),
        (&*format!("{:<22}", about(schema::FINDING_CODE)), None),
        (&*subject(&log.attributes), Some(Tone::Strong)),
    ];
    Entry::new((event, alert_tone(event, severity)), &parts, paint)
}

fn alert_tone(event: &str, severity: &str) -> Tone {
    match (event, severity) {
        (CLEARED, _) => Tone::Good,
        (_, "critical") => Tone::Bad,
        (_, "warning") => Tone::Warn,
        _ => Tone::Cool,
    }
}

/// A generation: how long it lived, how it ended, and its phases on one axis.
pub(super) fn generation(trace: &Trace, paint: Paint) -> String {
    let root = &trace.root;
    // A token from the future can be replaced before its `iat`: then it has no axis.
    let phases =
        if root.duration() > Delta::ZERO { tree(trace, paint, outcome) } else { String::new() };
    generation_heading(root, paint)
        .lines(&phases)
        .paragraph("error: ", root.error.as_deref().unwrap_or_default(), Some(Tone::Bad))
        .paragraph("", &place(root), Some(Tone::Faint))
        .text()
}

/// What became of a phase: whether a reader has read the token.
fn outcome(span: &SpanSeen) -> String {
    let words = match text(&span.attributes, schema::READER_OUTCOME) {
        Some("read") => "  read",
        Some("never_read") => "  never read",
        Some(_) | None => "",
    };
    words.to_owned()
}

fn generation_heading(root: &SpanSeen, paint: Paint) -> Entry {
    let outcome = text(&root.attributes, schema::TOKEN_OUTCOME).unwrap_or("ended");
    let tone = if root.error.is_some() { Tone::Bad } else { Tone::Good };
    let parts = [
        (root.name.as_str(), None),
        (&*subject(&root.attributes), Some(Tone::Strong)),
        (&*format!("{outcome} {}", end(root.duration())), Some(tone)),
    ];
    Entry::new(("TRACE", Tone::Cool), &parts, paint)
}

/// When a generation ended that lived so long.
fn end(lived: Delta) -> String {
    if lived > Delta::ZERO {
        format!("after {lived}")
    } else {
        "before its time of issue".to_owned()
    }
}

/// `volume/path, trace 4bf92f35, next a3ce9291`.
fn place(root: &SpanSeen) -> String {
    let [volume, path] = [schema::K8S_VOLUME, schema::TOKEN_PATH]
        .map(|name| text(&root.attributes, name).unwrap_or("?"));
    format!("{volume}/{path}, {}", links(root))
}

/// `trace 4bf92f35, next a3ce9291`: the first bytes are what backends show.
fn links(root: &SpanSeen) -> String {
    let short = |id: &[u8]| hex(&id[..id.len().min(4)]);
    let links = root.links.iter().map(|(id, about)| {
        format!(", {} {}", text(about, schema::LINK_RELATION).unwrap_or("linked"), short(id))
    });
    format!("trace {}{}", short(&root.trace_id), links.collect::<String>())
}

/// `namespace/name` of a pod; empty for the node itself.
fn subject(attributes: &Attributes) -> String {
    let part = |name| text(attributes, name);
    match (part(schema::K8S_NAMESPACE), part(schema::K8S_POD_NAME), part(schema::K8S_POD_UID)) {
        (Some(namespace), Some(name), _) => format!("{namespace}/{name}"),
        (_, _, Some(uid)) => format!("pod {uid}"),
        (_, _, None) => String::new(),
    }
}

/// A measurement of the clock with every exchange.
pub(super) fn clock(trace: &Trace, paint: Paint) -> String {
    let exchanges = tree(trace, paint, |exchange| {
        let offset = number(&exchange.attributes, schema::NTP_OFFSET)
            .map(|secs| format!("  offset {}", signed(secs)))
            .unwrap_or_default();
        let verdict = text(&exchange.attributes, schema::NTP_VERDICT).unwrap_or_default();
        format!("{offset}  {verdict}")
    });
    clock_heading(&trace.root, paint).lines(&exchanges).text()
}

fn clock_heading(root: &SpanSeen, paint: Paint) -> Entry {
    let state = clock_state(root);
    let tone = if state == "synchronised" { Tone::Good } else { Tone::Warn };
    let value = |name| number(&root.attributes, name);
    let offset = value(schema::CLOCK_OFFSET).map_or("unknown".to_owned(), signed);
    let bound = value(schema::CLOCK_ERROR_BOUND)
        .map_or("?".to_owned(), |secs| Delta::from_secs_f64(secs).to_string());
    let offset = format!("true time - node's clock = {offset} ±{bound}");
    let parts = [(root.name.as_str(), None), (&*offset, None), (state, Some(tone))];
    Entry::new(("TRACE", Tone::Cool), &parts, paint)
}

fn clock_state(root: &SpanSeen) -> &str {
    text(&root.attributes, schema::CLOCK_STATE).unwrap_or("unknown")
}

fn signed(secs: f64) -> String {
    let delta = Delta::from_secs_f64(secs);
    if delta >= Delta::ZERO { format!("+{delta}") } else { delta.to_string() }
}

/// Chooses the measurements that are worth a drawing: a node measures more often than people want
/// to read.
#[derive(Debug, Default)]
pub(super) struct ClockFeed {
    drawn: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    state: String,
    offset: f64,
}

/// What a measurement changes for a person.
enum News {
    State,
    Offset,
    Nothing,
}

impl ClockFeed {
    /// Draws the first measurement and each change of state with all exchanges, and each change of
    /// the offset as one line. The changes add up: they count from what was drawn last.
    pub(super) fn draw(&mut self, trace: &Trace, paint: Paint) -> Option<String> {
        let now = Measured::of(&trace.root);
        let drawing = match now.since(self.drawn.as_ref()) {
            News::State => clock(trace, paint),
            News::Offset => clock_heading(&trace.root, paint).text(),
            News::Nothing => return None,
        };
        self.drawn = Some(now);
        Some(drawing)
    }
}

impl Measured {
    fn of(root: &SpanSeen) -> Self {
        let offset = number(&root.attributes, schema::CLOCK_OFFSET).unwrap_or(0.0);
        Self { state: clock_state(root).to_owned(), offset }
    }

    fn since(&self, before: Option<&Self>) -> News {
        match before {
            Some(before) if before.state != self.state => News::State,
            Some(before) if (before.offset - self.offset).abs() < SAME_OFFSET => News::Nothing,
            Some(_) => News::Offset,
            None => News::State,
        }
    }
}

#[cfg(test)]
#[path = "drawing_tests.rs"]
mod tests;
