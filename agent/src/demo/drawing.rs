//! Traces and alerts as people read them: pure, from values to lines.

use std::fmt::Write as _;

use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::base::value::Attributes;

use super::paint::{Paint, Tone, wrapped};
use super::traces::Trace;
use tokenwatch_lab::received::{LogSeen, SpanSeen, number, text};

/// Width of a trace's time axis where there is room, and where there is none.
const BAR: usize = 32;
const SHORTEST_BAR: usize = 4;
/// Where the text of an entry begins; its kind stands before it.
const INDENT: usize = 10;
/// Offsets closer than this look the same to a person.
const SAME_OFFSET: f64 = 0.5;

/// An alert: what happened, to whom, what it means, what to do.
pub(super) fn alert(log: &LogSeen, paint: Paint) -> String {
    let severity = text(&log.attributes, schema::FINDING_SEVERITY).unwrap_or("?");
    let event = log.event.rsplit('.').next().unwrap_or_default().to_uppercase();
    let tone = alert_tone(&event, severity);
    let code = text(&log.attributes, schema::FINDING_CODE).unwrap_or("?");
    let (severity, code, who) =
        (format!("{severity:<8}"), format!("{code:<22}"), subject(&log.attributes));
    let mut out = heading(
        (&event, tone),
        &[(&severity, None), (&code, None), (&who, Some(Tone::Strong))],
        paint,
    );
    paragraph(&mut out, &log.body, "", None, paint);
    if event != "CLEARED" {
        let about = |name| text(&log.attributes, name).unwrap_or_default();
        paragraph(&mut out, about(schema::FINDING_REMEDY), "do: ", None, paint);
        line(&mut out, about(schema::FINDING_COMMAND), "$ ", Some(Tone::Cool), paint);
    }
    out
}

fn alert_tone(event: &str, severity: &str) -> Tone {
    match (event, severity) {
        ("CLEARED", _) => Tone::Good,
        (_, "critical") => Tone::Bad,
        (_, "warning") => Tone::Warn,
        _ => Tone::Cool,
    }
}

/// A generation: how long it lived, how it ended, and its phases on one axis, if it had time for
/// any.
pub(super) fn generation(trace: &Trace, paint: Paint) -> String {
    let root = &trace.root;
    let outcome = text(&root.attributes, schema::TOKEN_OUTCOME).unwrap_or("ended");
    let tone = if root.error.is_some() { Tone::Bad } else { Tone::Good };
    let lived = root.duration();
    let when = if lived > Delta::ZERO {
        format!("after {lived}")
    } else {
        "before its time began".to_owned()
    };
    let (who, ending) = (subject(&root.attributes), format!("{outcome} {when}"));
    let mut out = heading(
        ("TRACE", Tone::Cool),
        &[(&root.name, None), (&who, Some(Tone::Strong)), (&ending, Some(tone))],
        paint,
    );
    if lived > Delta::ZERO {
        tree(&mut out, trace, paint, |_| String::new());
    }
    paragraph(
        &mut out,
        root.error.as_deref().unwrap_or_default(),
        "error: ",
        Some(Tone::Bad),
        paint,
    );
    let volume = [schema::K8S_VOLUME, schema::TOKEN_PATH]
        .map(|name| text(&root.attributes, name).unwrap_or("?"))
        .join("/");
    paragraph(&mut out, &format!("{volume}, {}", links(root)), "", Some(Tone::Faint), paint);
    out
}

/// A measurement of the clock with every exchange.
pub(super) fn clock(trace: &Trace, paint: Paint) -> String {
    let mut out = clock_line(&trace.root, paint);
    tree(&mut out, trace, paint, |exchange| {
        let offset = number(&exchange.attributes, schema::NTP_OFFSET)
            .map(|secs| format!("  offset {}", signed(secs)))
            .unwrap_or_default();
        let verdict = text(&exchange.attributes, schema::NTP_VERDICT).unwrap_or_default();
        format!("{offset}  {verdict}")
    });
    out
}

/// A measurement of the clock in a line.
pub(super) fn clock_line(root: &SpanSeen, paint: Paint) -> String {
    let state = clock_state(root);
    let tone = if state == "synchronised" { Tone::Good } else { Tone::Warn };
    let offset =
        number(&root.attributes, schema::CLOCK_OFFSET).map_or("unknown".to_owned(), signed);
    let bound = number(&root.attributes, schema::CLOCK_ERROR_BOUND)
        .map_or("?".to_owned(), |secs| Delta::from_secs_f64(secs).to_string());
    let offset = format!("true time - node's clock = {offset} ±{bound}");
    heading(
        ("TRACE", Tone::Cool),
        &[(&root.name, None), (&offset, None), (state, Some(tone))],
        paint,
    )
}

/// Which measurements are worth a drawing: a node measures more often than anybody wants to read.
#[derive(Debug, Default)]
pub(super) struct ClockFeed {
    drawn: Option<(String, f64)>,
}

impl ClockFeed {
    /// The first measurement and each change of state whole, each change of the offset as a line,
    /// the others not at all.
    pub(super) fn draw(&mut self, trace: &Trace, paint: Paint) -> Option<String> {
        let now = (
            clock_state(&trace.root).to_owned(),
            number(&trace.root.attributes, schema::CLOCK_OFFSET).unwrap_or(0.0),
        );
        let before = self.drawn.replace(now.clone());
        match before {
            Some((state, offset)) if state == now.0 && (offset - now.1).abs() < SAME_OFFSET => {
                self.drawn = Some((state, offset)); // small moves add up
                None
            }
            Some((state, _)) if state == now.0 => Some(clock_line(&trace.root, paint)),
            _ => Some(clock(trace, paint)),
        }
    }
}

fn clock_state(root: &SpanSeen) -> &str {
    text(&root.attributes, schema::CLOCK_STATE).unwrap_or("unknown")
}

/// The children of a trace, each with its place on the time axis.
fn tree(out: &mut String, trace: &Trace, paint: Paint, remark: impl Fn(&SpanSeen) -> String) {
    let names: Vec<_> = trace.children.iter().map(label).collect();
    let tails: Vec<_> =
        trace.children.iter().map(|span| format!("{}{}", span.duration(), remark(span))).collect();
    let width = widest(&names);
    // Before the axis: the branch and the name; two spaces on both sides of it.
    let axis = paint
        .width
        .saturating_sub(INDENT + 3 + width + 4 + widest(&tails))
        .clamp(SHORTEST_BAR, BAR);
    for (i, (span, (name, tail))) in trace.children.iter().zip(names.iter().zip(&tails)).enumerate()
    {
        let branch = if i + 1 == names.len() { "└─" } else { "├─" };
        let tone = if span.error.is_some() { Tone::Bad } else { Tone::Cool };
        let bar = paint.paint(tone, &bar(&trace.root, span, axis));
        let _ = writeln!(out, "{:INDENT$}{branch} {name:<width$}  {bar}  {tail}", ""); // to a String: cannot fail
    }
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A span's name, with the server for an exchange.
fn label(span: &SpanSeen) -> String {
    match (
        text(&span.attributes, schema::SERVER_ADDRESS),
        number(&span.attributes, schema::SERVER_PORT),
    ) {
        (Some(host), Some(port)) => format!("{} {host}:{port}", span.name),
        _ => span.name.clone(),
    }
}

/// Where `span` lies in `root`, on an axis of so many cells: always at least one cell, never
/// outside.
fn bar(root: &SpanSeen, span: &SpanSeen, axis: usize) -> String {
    let from = cell(root, span.start, axis).min(axis - 1);
    let to = cell(root, span.end, axis).max(from + 1);
    format!("{}{}{}", " ".repeat(from), "█".repeat(to - from), " ".repeat(axis - to))
}

/// The cell of the axis at which `at` lies, 0 to `axis`.
fn cell(root: &SpanSeen, at: Wall, axis: usize) -> usize {
    let cells = i64::try_from(axis).unwrap_or(i64::MAX);
    let into = (at - root.start).as_nanos().clamp(0, root.duration().as_nanos().max(0));
    let place = Delta::from_nanos(into).fraction(cells, root.duration().as_nanos());
    usize::try_from(place.as_nanos().clamp(0, cells)).unwrap_or(0)
}

/// `namespace/name` of a pod; nothing for the node itself.
fn subject(attributes: &Attributes) -> String {
    let part = |name| text(attributes, name);
    match (part(schema::K8S_NAMESPACE), part(schema::K8S_POD_NAME), part(schema::K8S_POD_UID)) {
        (Some(namespace), Some(name), _) => format!("{namespace}/{name}"),
        (_, _, Some(uid)) => format!("pod {uid}"),
        _ => String::new(),
    }
}

/// `trace 4bf92f35, next a3ce9291`: the first bytes are what backends show.
fn links(root: &SpanSeen) -> String {
    let short = |id: &[u8]| tokenwatch_core::base::ids::hex(&id[..id.len().min(4)]);
    let links = root.links.iter().map(|(id, about)| {
        format!(", {} {}", text(about, schema::LINK_RELATION).unwrap_or("linked"), short(id))
    });
    format!("trace {}{}", short(&root.trace_id), links.collect::<String>())
}

fn signed(secs: f64) -> String {
    let delta = Delta::from_secs_f64(secs);
    if delta >= Delta::ZERO { format!("+{delta}") } else { delta.to_string() }
}

/// The kind of an entry, and parts two spaces apart; a part that does not fit begins another line.
/// Widths are counted before painting: escapes have none.
fn heading((word, tone): (&str, Tone), parts: &[(&str, Option<Tone>)], paint: Paint) -> String {
    let mut out = paint.paint(tone, &format!("{word:<INDENT$}"));
    let mut column = INDENT;
    for (text, tone) in parts.iter().filter(|(text, _)| !text.is_empty()) {
        let wide = text.trim_end().chars().count();
        if column > INDENT && column + 2 + wide > paint.width {
            out = format!("{}\n{:INDENT$}", out.trim_end(), "");
            column = INDENT;
        } else if column > INDENT {
            out.push_str("  ");
            column += 2;
        }
        out.push_str(&tone.map_or((*text).to_owned(), |tone| paint.paint(tone, text)));
        column += text.chars().count();
    }
    format!("{}\n", out.trim_end())
}

fn paragraph(out: &mut String, text: &str, label: &str, tone: Option<Tone>, paint: Paint) {
    for (i, row) in
        wrapped(text, paint.width.saturating_sub(INDENT + label.len())).iter().enumerate()
    {
        let label = if i == 0 { label.to_owned() } else { " ".repeat(label.len()) };
        line(out, row, &label, tone, paint);
    }
}

/// One line, never broken: commands are there to be copied.
fn line(out: &mut String, text: &str, label: &str, tone: Option<Tone>, paint: Paint) {
    if text.is_empty() {
        return;
    }
    let shown = format!("{label}{text}");
    let shown = tone.map_or(shown.clone(), |tone| paint.paint(tone, &shown));
    let _ = writeln!(out, "{:INDENT$}{shown}", ""); // to a String: cannot fail
}

#[cfg(test)]
#[path = "drawing_tests.rs"]
mod tests;
