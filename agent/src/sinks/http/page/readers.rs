//! The readers of one token: who they are, what they hold, and when they read.

use std::fmt::Write as _;

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::engine::{Status, TokenView};
use tokenwatch_core::world::readers::{ReaderVerdict, ReaderView};

use super::html::{Away, Short, Text};
use crate::reader_list::{Reader, verdict_words};

/// Readers listed for one token.
const LISTED: usize = 4;

/// The readers of this token, stale ones first.
pub(super) fn of<'a>(token: &TokenView, status: &'a Status) -> Vec<&'a ReaderView> {
    let mut readers: Vec<&ReaderView> =
        status.readers.iter().filter(|reader| reader.key == token.key).collect();
    readers.sort_by_key(|reader| reader.verdict != ReaderVerdict::Stale);
    readers
}

/// The reads of all of them.
pub(super) fn reads(readers: &[&ReaderView]) -> Vec<Wall> {
    readers.iter().flat_map(|reader| reader.reads.iter().copied()).collect()
}

/// A list with one line for each reader.
pub(super) fn list(out: &mut String, readers: &[&ReaderView], now: Wall) {
    if readers.is_empty() {
        return;
    }
    out.push_str("<ul class=\"readers\" aria-label=\"Readers\">");
    for reader in readers.iter().take(LISTED) {
        line(out, reader, now);
    }
    let more = readers.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = write!(
            out,
            "<li>and {more} more: <code>tokenwatch readers</code> on the node lists them</li>"
        ); // writing to a String cannot fail
    }
    out.push_str("</ul>");
}

/// Each verdict has its own shape, for people who cannot tell the colours apart.
fn mark(verdict: ReaderVerdict) -> (&'static str, &'static str) {
    match verdict {
        ReaderVerdict::Stale => ("▲", "warning"),
        ReaderVerdict::Current => ("✔", "ok"),
        ReaderVerdict::Waiting | ReaderVerdict::Idle | ReaderVerdict::NeverRead => ("○", "quiet"),
        ReaderVerdict::Unknown => ("?", "quiet"),
    }
}

fn line(out: &mut String, view: &ReaderView, now: Wall) {
    let (mark, class) = mark(view.verdict);
    let reader = Reader::of(view);
    let (who, verdict) = (reader.who(), verdict_words(&reader.verdict));
    let _ = write!(
        out,
        "<li><span class=\"{class}\"><span aria-hidden=\"true\">{mark}</span> {}</span> \
         {}<span class=\"quiet\">{}</span></li>",
        Text(&verdict),
        Short(&who),
        known(&reader, now)
    );
}

/// `· last read 30s ago · reads every 1m 00s`.
fn known(reader: &Reader, now: Wall) -> String {
    let mut out = String::new();
    let mut add = |part: &dyn std::fmt::Display| {
        let _ = write!(out, " · {part}");
    };
    if let Some(held) = reader.held.as_ref().filter(|held| !held.is_current) {
        let verb = if held.dead_at.0 > now { "will be" } else { "is" };
        let (issued, dead) = (Away(held.issued_at.0, now), Away(held.dead_at.0, now));
        add(&format_args!("holds a replaced token, issued {issued}; it {verb} refused {dead}"));
    }
    if let Some(last) = reader.last_read {
        add(&format_args!("last read {}", Away(last.0, now)));
        add(&format_args!("reads: {}", Text(&reader.habit.words())));
    }
    for proof in &reader.evidence {
        add(&Text(&proof.words()));
    }
    if let Some(why) = &reader.why {
        add(&Text(why));
    }
    out
}
