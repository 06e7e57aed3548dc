//! The form of an entry: a heading, and indented lines below it.

use std::fmt::Write as _;

use super::paint::{Paint, Tone, wrapped};

/// Column of an entry's text. The kind of the entry is printed before it.
pub(super) const INDENT: usize = 10;

/// Part of a heading, with its tone if it has one.
pub(super) type Part<'a> = (&'a str, Option<Tone>);

/// An entry under construction.
#[derive(Debug)]
pub(super) struct Entry {
    text: String,
    paint: Paint,
}

impl Entry {
    /// Starts with a heading: the kind of the entry, and parts that are two spaces apart. A part
    /// that does not fit begins another line.
    pub(super) fn new((kind, tone): (&str, Tone), parts: &[Part<'_>], paint: Paint) -> Self {
        let mut heading =
            Heading { text: paint.paint(tone, &format!("{kind:<INDENT$}")), column: INDENT, paint };
        parts.iter().filter(|(text, _)| !text.is_empty()).for_each(|part| heading.add(*part));
        Self { text: format!("{}\n", heading.text.trim_end()), paint }
    }

    /// Running text after a label, in lines that fit.
    pub(super) fn paragraph(mut self, label: &str, text: &str, tone: Option<Tone>) -> Self {
        let width = self.paint.width.saturating_sub(INDENT + label.len());
        for (i, row) in wrapped(text, width).iter().enumerate() {
            let label = if i == 0 { label.to_owned() } else { " ".repeat(label.len()) };
            self.add_line(&format!("{label}{row}"), tone);
        }
        self
    }

    /// A command in one line, whatever its length: commands are there to be copied.
    pub(super) fn command(mut self, command: &str) -> Self {
        if !command.is_empty() {
            self.add_line(&format!("$ {command}"), Some(Tone::Cool));
        }
        self
    }

    /// Lines that have their form already.
    pub(super) fn lines(mut self, lines: &str) -> Self {
        self.text.push_str(lines);
        self
    }

    /// The whole entry.
    pub(super) fn text(self) -> String {
        self.text
    }

    fn add_line(&mut self, text: &str, tone: Option<Tone>) {
        let shown = tone.map_or(text.to_owned(), |tone| self.paint.paint(tone, text));
        let _ = writeln!(self.text, "{:INDENT$}{shown}", ""); // to a String: cannot fail
    }
}

/// A heading under construction. Widths are counted before painting: escapes have none.
struct Heading {
    text: String,
    column: usize,
    paint: Paint,
}

impl Heading {
    fn add(&mut self, (text, tone): Part<'_>) {
        self.separate(text.trim_end().chars().count());
        self.text.push_str(&tone.map_or(text.to_owned(), |tone| self.paint.paint(tone, text)));
        self.column += text.chars().count();
    }

    /// Makes room for a part of this width, in this line or in another.
    fn separate(&mut self, width: usize) {
        if self.column == INDENT {
            return;
        }
        if self.column + 2 + width > self.paint.width {
            self.text = format!("{}\n{:INDENT$}", self.text.trim_end(), "");
            self.column = INDENT;
        } else {
            self.text.push_str("  ");
            self.column += 2;
        }
    }
}
