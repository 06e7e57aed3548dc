//! The children of a trace as a tree, each with its place on a time axis.

use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::received::{SpanSeen, number, text};

use super::entry::INDENT;
use super::paint::{Paint, Tone};
use super::traces::Trace;

/// Width of the axis where there is room.
pub(super) const LONGEST: usize = 32;
/// Width of the axis where there is none.
const SHORTEST: usize = 4;

/// One line for each child of `trace`. `remark` is what follows the duration.
pub(super) fn tree(trace: &Trace, paint: Paint, remark: impl Fn(&SpanSeen) -> String) -> String {
    let tail = |span: &SpanSeen| format!("{}{}", span.duration(), remark(span));
    let rows: Vec<_> = trace
        .children
        .iter()
        .map(|span| Row { name: label(span), tail: tail(span), span })
        .collect();
    let form = Form::of(&rows, paint);
    let last = rows.len().saturating_sub(1);
    rows.iter().enumerate().map(|(i, row)| row.line(&trace.root, i == last, form, paint)).collect()
}

/// A child, in the order of the line: branch, name, bar, tail.
struct Row<'a> {
    name: String,
    tail: String,
    span: &'a SpanSeen,
}

impl Row<'_> {
    fn line(&self, root: &SpanSeen, is_last: bool, form: Form, paint: Paint) -> String {
        let branch = if is_last { "└─" } else { "├─" };
        let tone = if self.span.error.is_some() { Tone::Bad } else { Tone::Cool };
        let bar = paint.paint(tone, &bar(root, self.span, form.axis));
        let (name, width) = (&self.name, form.names);
        format!("{:INDENT$}{branch} {name:<width$}  {bar}  {}\n", "", self.tail)
    }
}

/// Widths that all rows of a tree share, in columns.
#[derive(Clone, Copy)]
struct Form {
    names: usize,
    axis: usize,
}

impl Form {
    /// Before the axis are the branch and the name; on both sides of it are two spaces.
    fn of(rows: &[Row<'_>], paint: Paint) -> Self {
        let names = widest(rows.iter().map(|row| &row.name));
        let tails = widest(rows.iter().map(|row| &row.tail));
        let room = paint.width.saturating_sub(INDENT + 3 + names + 4 + tails);
        Self { names, axis: room.clamp(SHORTEST, LONGEST) }
    }
}

fn widest<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A span's name, with the server for an exchange.
fn label(span: &SpanSeen) -> String {
    let server = (
        text(&span.attributes, schema::SERVER_ADDRESS),
        number(&span.attributes, schema::SERVER_PORT),
    );
    match server {
        (Some(host), Some(port)) => format!("{} {host}:{port}", span.name),
        (Some(_), None) | (None, _) => span.name.clone(),
    }
}

/// The place of `span` within `root`, on an axis of so many cells: at least one cell, and never
/// outside.
pub(super) fn bar(root: &SpanSeen, span: &SpanSeen, axis: usize) -> String {
    let from = cell(root, span.start, axis).min(axis - 1);
    let to = cell(root, span.end, axis).max(from + 1);
    format!("{}{}{}", " ".repeat(from), "█".repeat(to - from), " ".repeat(axis - to))
}

/// The cell of the axis that holds `at`, from 0 to `axis`.
fn cell(root: &SpanSeen, at: Wall, axis: usize) -> usize {
    let cells = i64::try_from(axis).unwrap_or(i64::MAX);
    let into = (at - root.start).as_nanos().clamp(0, root.duration().as_nanos().max(0));
    let place = Delta::from_nanos(into).fraction(cells, root.duration().as_nanos());
    usize::try_from(place.as_nanos().clamp(0, cells)).unwrap_or(0)
}
