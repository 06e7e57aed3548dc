//! The readers: a table for people, JSON for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::{count_of, shown};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::findings::Severity;

use super::{Found, Origin};
use crate::cli::output::{Layout, relative, whole};
use crate::reader_list::{Moment, Proof, Reader, verdict_words};

/// Largest widths of the columns, with the gaps at most 120.
const LIMITS: [usize; 7] = [32, 16, 10, 12, 12, 17, 9];
const HEADINGS: [&str; 7] =
    ["POD", "CONTAINER", "VERDICT", "HOLDS", "LAST READ", "READS", "REFUSED"];
const VERDICT: usize = 2;
/// What the table shows where there is nothing.
const NOTHING: &str = "-";

/// For people: everybody in a table, then the stale ones with the evidence.
pub(super) fn table(found: &Found, layout: Layout) -> String {
    let list = &found.list;
    let readers = count_of(list.readers.len(), "reader");
    let tokens = count_of(list.tokens, "token");
    let headline = format!("{readers} of {tokens} at {}", list.at.0.rfc3339());
    layout.wrap(&headline, "") + &section(found, layout) + &summary(found, layout)
}

/// The part of it that `check --readers` shows, too.
pub(in crate::cli) fn section(found: &Found, layout: Layout) -> String {
    let (list, now) = (&found.list, found.list.at.0);
    let mut out = layout.wrap(&origin(found), "");
    if !list.readers.is_empty() {
        let rows: Vec<Vec<String>> = list.readers.iter().map(|reader| row(reader, now)).collect();
        out += "\n";
        out += &layout.table(&HEADINGS, &LIMITS, &rows, &|row, column, cell| {
            paint(&list.readers[row], column, cell, layout)
        });
    }
    let explained = list.readers.iter().filter(|reader| reader.is_stale() || reader.why.is_some());
    out.extend(explained.map(|reader| paragraph(reader, now, layout)));
    out.extend(left_out(list.left_out));
    out.extend(list.problems.iter().map(|problem| format!("\nnot seen: {}\n", shown(problem))));
    out
}

fn left_out(count: usize) -> Option<String> {
    (count > 0).then(|| format!("\nand {count} more, for which the list has no room\n"))
}

/// Who saw this, and what that cannot know.
pub(in crate::cli) fn origin(found: &Found) -> String {
    let level = found.list.privilege.as_deref().unwrap_or("unknown");
    match &found.origin {
        Origin::Agent(at) => {
            format!("as seen by the agent at {at} (privilege level {})", shown(level))
        }
        Origin::Look(span, why) => format!(
            "{why}, so this command looked for {} itself (privilege level {level}). It does not \
             know habits, or reads before that. It sees old tokens that somebody still holds.",
            whole(*span)
        ),
    }
}

fn row(reader: &Reader, now: Wall) -> Vec<String> {
    let relative = |at: Option<Moment>| at.map(|at| relative(at.0, now));
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    vec![
        shown(&reader.pod.shown()).into_owned(),
        or_nothing(reader.container.as_deref().map(|it| shown(it).into_owned())),
        verdict_words(&reader.verdict),
        or_nothing(reader.held.as_ref().map(|held| held_words(held.is_current))),
        or_nothing(relative(reader.last_read)),
        reader.habit.words(),
        or_nothing(relative(reader.deadline)),
    ]
}

fn held_words(is_current: bool) -> String {
    if is_current { "current" } else { "replaced" }.to_owned()
}

fn paint(reader: &Reader, column: usize, cell: String, layout: Layout) -> String {
    match (column, reader.verdict.as_str()) {
        (VERDICT, _) if reader.is_stale() => layout.severity(Severity::Warning, &cell),
        (VERDICT, "current") => layout.good(&cell),
        _ => cell,
    }
}

/// What is known of one reader, in sentences.
fn paragraph(reader: &Reader, now: Wall, layout: Layout) -> String {
    let verdict = verdict_words(&reader.verdict);
    let verdict =
        if reader.is_stale() { layout.severity(Severity::Warning, &verdict) } else { verdict };
    let pod = layout.strong(&shown(&reader.pod.shown()));
    let token = format!("{}/{}", shown(&reader.volume), shown(&reader.path));
    let lines = [
        Some(shown(&reader.who()).into_owned()),
        holds(reader, now),
        last_read(reader, now),
        evidence(reader),
        reader.why.as_ref().map(|why| shown(why).into_owned()),
    ];
    let lines: String = lines.iter().flatten().map(|line| layout.wrap(line, "  ")).collect();
    format!("\n{verdict} {pod}  {token}\n{lines}")
}

fn holds(reader: &Reader, now: Wall) -> Option<String> {
    let held = reader.held.as_ref()?;
    let issued = relative(held.issued_at.0, now);
    if held.is_current {
        return Some(format!("holds the current token, issued {issued}"));
    }
    let (at, away) = (held.dead_at.0.rfc3339(), relative(held.dead_at.0, now));
    let verb = if held.dead_at.0 > now { "will refuse" } else { "refuses" };
    let earlier = held.dead_without_extension.map(|at| {
        format!(" (without expiry extension: from {}, {})", at.0.rfc3339(), relative(at.0, now))
    });
    let earlier = earlier.unwrap_or_default();
    let verifier = match &held.exchanged_by {
        Some(service) => shown(service).into_owned(),
        None => "the API server".to_owned(),
    };
    let credential = held.credential_ends_by.map(|at| {
        format!("; by default its credential ends by {}, {}", at.0.rfc3339(), relative(at.0, now))
    });
    let credential = credential.unwrap_or_default();
    Some(format!(
        "holds a replaced token, issued {issued}: {verifier} {verb} it from {at} \
         ({away}){earlier}{credential}"
    ))
}

fn last_read(reader: &Reader, now: Wall) -> Option<String> {
    let habit = reader.habit.words();
    let last = reader.last_read.map(|at| format!("last read {}", relative(at.0, now)));
    last.map(|last| format!("{last}; reads: {habit}"))
}

fn evidence(reader: &Reader) -> Option<String> {
    let proofs: Vec<String> = reader.evidence.iter().map(Proof::words).collect();
    (!proofs.is_empty()).then(|| format!("evidence: {}", proofs.join(", ")))
}

fn summary(found: &Found, layout: Layout) -> String {
    let (stale, unknown) = (found.list.stale().count(), unknown_words(found));
    match (stale, found.list.problems.as_slice()) {
        (0, []) if unknown.is_empty() => format!("\n{}\n", layout.good("no stale reader")),
        (0, []) => format!("\nno stale reader{unknown}\n"),
        (0, _) => format!("\nno stale reader in what could be seen{unknown}\n"),
        (stale, _) => format!("\n{}{unknown}\n", count_of(stale, "stale reader")),
    }
}

/// `; 3 unknown`, for the end of a summary; empty if all are known.
pub(in crate::cli) fn unknown_words(found: &Found) -> String {
    match found.unknown() {
        0 => String::new(),
        count => format!("; {count} unknown"),
    }
}

/// For scripts: the agent's list, and who saw it. Keys are only ever added.
pub(in crate::cli) fn json(found: &Found) -> Value {
    let mut value = serde_json::to_value(&found.list).unwrap_or_default(); // keys are strings
    if let Some(keys) = value.as_object_mut() {
        keys.insert("source".to_owned(), source(&found.origin));
    }
    value
}

pub(super) fn source(origin: &Origin) -> Value {
    match origin {
        Origin::Agent(at) => json!({"kind": "agent", "address": at.to_string()}),
        Origin::Look(span, why) => {
            json!({"kind": "look", "seconds": span.as_secs_f64(), "why": why.to_string()})
        }
    }
}
