//! What people see: colours only where they are wanted, columns that stay columns, and a closed pipe that is no error.

use std::io::{self, IsTerminal as _, Write as _};

use tokenwatch_core::findings::Severity;
use tokenwatch_core::time::{Delta, Wall};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::environment::Environment;

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TableOrJson {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TextOrJson {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// Writes to standard output. Whoever reads it may stop (`| head`): that is no error, and changes no exit status.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(&format!("standard output: {error}"));
    }
}

/// Writes a complaint to standard error; where that is closed too, nobody wants to know.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "tokenwatch: {}", text.trim_end());
}

/// JSON for scripts, indented because people read it too.
pub(super) fn say_json(value: &serde_json::Value) {
    say(&format!("{value:#}\n"));
}

/// Whether and how to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint(bool);

impl Paint {
    /// On a terminal that knows colours, unless NO_COLOR (no-color.org) says not to.
    pub(super) fn for_stdout(environment: &Environment) -> Self {
        let wanted = environment.get("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb");
        Self(wanted && io::stdout().is_terminal())
    }

    /// Never.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self(false)
    }

    /// Bold.
    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Red, yellow or blue.
    pub(super) fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Critical => self.with("1;31", text),
            Severity::Warning => self.with("33", text),
            Severity::Info => self.with("34", text),
        }
    }

    /// Green.
    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `in 5m 00s`, `5m 00s ago`, `now`.
pub(super) fn relative(at: Wall, now: Wall) -> String {
    match at - now {
        delta if delta.abs() < Delta::from_secs(1) => "now".to_owned(),
        delta if delta < Delta::ZERO => format!("{} ago", whole(delta.abs())),
        delta => format!("in {}", whole(delta)),
    }
}

/// Without fractions: `45s` rather than `45.3s`.
pub(super) fn whole(delta: Delta) -> String {
    match delta.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs => Delta::from_secs(secs).to_string(),
    }
}

/// `text` in at most `width` columns; what is too long loses its middle, because names differ at both ends.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let tail: String = text.chars().rev().collect();
    let front = take_columns(text, width / 2);
    let back: String = take_columns(&tail, width.saturating_sub(width / 2 + 1)).chars().rev().collect();
    format!("{front}…{back}")
}

fn take_columns(text: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).collect()
}

/// `text` filled up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Rows under headings. `limits` are the widest that columns may be; the last column is not filled up.
pub(super) fn table(headings: &[&str], limits: &[usize], rows: &[Vec<String>], paint: &dyn Fn(usize, usize, String) -> String) -> String {
    let cell = |row: &[String], column: usize| fit(row.get(column).map_or("", String::as_str), limits[column]);
    let widest = |column: usize| rows.iter().map(|row| cell(row, column).width()).chain([headings[column].width()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let mut out = line(&widths, |column| headings[column].to_owned());
    for (index, row) in rows.iter().enumerate() {
        out += &line(&widths, |column| paint(index, column, pad(&cell(row, column), widths[column])));
    }
    out
}

fn line(widths: &[usize], cell: impl Fn(usize) -> String) -> String {
    let cells: Vec<String> = widths.iter().enumerate().map(|(column, width)| pad(&cell(column), *width)).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

/// Wraps at spaces; every line begins with `indent`.
pub(super) fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.width() + line.width() + 1 + word.width() > width {
            out.extend([indent, &line, "\n"]);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    format!("{out}{indent}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_columns_whatever_the_script() {
        let rows = vec![vec!["短い".to_owned(), "a".to_owned()], vec!["plain-name-that-is-long".to_owned(), "b".to_owned()]];
        let shown = table(&["NAME", "X"], &[12, 4], &rows, &|_, _, cell| cell);
        assert_eq!(shown, "NAME          X\n短い          a\nplain-…-long  b\n");
        assert!(shown.lines().map(unicode_width::UnicodeWidthStr::width).all(|width| width == 15));
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Wall::from_secs(1_000);
        assert_eq!(relative(Wall::from_secs(1_045), now), "in 45s");
        assert_eq!(relative(Wall::from_secs(700), now), "5m 00s ago");
        assert_eq!(relative(now, now), "now");
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", "  ", 9), "  one two\n  three\n");
        assert_eq!(wrap("", "  ", 9), "  \n");
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Paint::plain().good("x"), "x");
        assert_eq!(Paint(true).good("x"), "\x1b[32mx\x1b[0m");
    }
}
