//! Output for people: colours only on terminals, aligned columns, and no error for a closed pipe.

use std::io::{self, IsTerminal as _, Write as _};

use tokenwatch_core::base::text::escaped;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::{Remedy, Severity};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::environment::Environment;
use crate::streams;

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TableOrJson {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TableJsonOrMarkdown {
    /// For people.
    Table,
    /// For scripts.
    Json,
    /// For an issue or a wiki.
    Markdown,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TextOrJson {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TextMarkdownOrJson {
    /// For a terminal.
    Text,
    /// A page of docs/runbooks.
    Markdown,
    /// For scripts.
    Json,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum MarkdownOrJson {
    /// For people: docs/telemetry.md.
    Markdown,
    /// For scripts.
    Json,
}

/// Exit status if standard output could not be written.
pub(super) const NOT_WRITTEN: u8 = 2;
/// Longest line of running text, in columns: longer lines are hard to read.
const LONGEST_LINE: usize = 100;
/// Fewest columns that text is wrapped to. Narrower terminals wrap the lines themselves.
const NARROWEST: usize = 40;
/// Shortest cut of a cell, so that names stay recognisable.
const SHORTEST_CELL: usize = 10;
/// The gap between two columns.
const GAP: &str = "  ";

/// Writes to standard output. The exit status: `status`, or 2 if the output could not be written. A
/// reader that closes the pipe (`| head`) is no error.
#[must_use]
pub(super) fn print(text: &str, status: u8) -> u8 {
    match write(text) {
        Written::Whole | Written::Closed => status,
        Written::Failed => NOT_WRITTEN,
    }
}

/// What became of a text for standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was written.
    Whole,
    /// Nobody reads any more.
    Closed,
    /// It could not be written. Standard error has the reason.
    Failed,
}

/// Writes to standard output.
pub(super) fn write(text: &str) -> Written {
    let mut out = streams::out();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Written::Whole,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Written::Closed,
        Err(error) => {
            print_error(&format!("cannot write to standard output: {error}"));
            Written::Failed
        }
    }
}

/// Writes an error to standard error.
pub(super) fn print_error(text: &str) {
    streams::complain(text);
}

/// Writes indented JSON, as [`print`].
#[must_use]
pub(super) fn print_json(value: &serde_json::Value, status: u8) -> u8 {
    print(&format!("{value:#}\n"), status)
}

/// The properties of the terminal that output is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    colour: bool,
    /// Width of the terminal; nothing for files and pipes.
    columns: Option<usize>,
}

impl Layout {
    /// The layout of standard output: colours on a capable terminal, unless NO_COLOR
    /// (no-color.org) is set.
    pub(super) fn for_stdout(environment: &Environment) -> Self {
        let wanted =
            environment.get("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb");
        Self { colour: wanted && streams::stdout().is_terminal(), columns: columns() }
    }

    /// The layout for a file.
    #[cfg(any(test, fuzzing))]
    pub(super) fn plain() -> Self {
        Self { colour: false, columns: None }
    }

    /// `text` wrapped at spaces, with `indent` before each line.
    pub(super) fn wrap(self, text: &str, indent: &str) -> String {
        wrap(text, indent, text_columns(self.columns))
    }

    /// The remedy of a finding.
    pub(super) fn remedy(self, remedy: &Remedy) -> String {
        let command = remedy
            .command
            .as_ref()
            .map(|command| format!("    {}\n", self.strong(&escaped(command))))
            .unwrap_or_default();
        format!("{}{command}", self.wrap(&format!("do: {}", escaped(&remedy.text)), "  "))
    }

    /// A table. `limits` are the largest widths of the columns. On a narrow terminal the widest
    /// columns shrink first. The last column is not padded.
    pub(super) fn table(
        self,
        headings: &[&str],
        limits: &[usize],
        rows: &[Vec<String>],
        paint: &dyn Fn(usize, usize, String) -> String,
    ) -> String {
        let natural = natural_widths(headings, limits, rows);
        let widths = squeezed(natural, self.columns.unwrap_or(usize::MAX));
        let mut out = line(&widths, |at| headings[at].to_owned());
        for (index, row) in rows.iter().enumerate() {
            out += &line(&widths, |at| paint(index, at, cell(&row[at], widths[at])));
        }
        out
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
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Width of running text on standard output, in columns.
#[cfg(feature = "demo")]
pub(super) fn text_width() -> usize {
    text_columns(columns())
}

fn text_columns(columns: Option<usize>) -> usize {
    columns.map_or(LONGEST_LINE, |columns| columns.clamp(NARROWEST, LONGEST_LINE))
}

/// The width of the terminal, if standard output is one.
fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(streams::stdout()).map(|(width, _)| usize::from(width.0))
}

/// `in 5m 00s`, `5m 00s ago`, `now`.
pub(super) fn relative(at: Wall, now: Wall) -> String {
    match at - now {
        delta if delta.abs() < Delta::from_secs(1) => "now".to_owned(),
        delta if delta < Delta::ZERO => format!("{} ago", whole(delta.abs())),
        delta => format!("in {}", whole(delta)),
    }
}

/// A duration in whole seconds: `45s`.
pub(super) fn whole(delta: Delta) -> String {
    match delta.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs => Delta::from_secs(secs).to_string(),
    }
}

/// `text` in at most `width` columns. A long text loses its middle, because names differ at both
/// ends.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let tail: String = text.chars().rev().collect();
    let front = take_columns(text, width / 2);
    let back: String =
        take_columns(&tail, width.saturating_sub(width / 2 + 1)).chars().rev().collect();
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

/// `text` padded to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// `text` in exactly so many columns.
fn cell(text: &str, width: usize) -> String {
    pad(&fit(text, width), width)
}

/// The width of the widest cell of each column, within its limit.
fn natural_widths(headings: &[&str], limits: &[usize], rows: &[Vec<String>]) -> Vec<usize> {
    let of_column = |(column, heading): (usize, &&str)| {
        let cells = rows.iter().map(|row| row[column].width().min(limits[column]));
        cells.chain([heading.width()]).max().unwrap_or(0)
    };
    headings.iter().enumerate().map(of_column).collect()
}

/// Shrinks the widest columns until all fit, but none below [`SHORTEST_CELL`].
fn squeezed(mut widths: Vec<usize>, columns: usize) -> Vec<usize> {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        match widths.iter_mut().max() {
            Some(widest) if *widest > SHORTEST_CELL => *widest -= 1,
            _ => break,
        }
    }
    widths
}

fn line(widths: &[usize], cell: impl Fn(usize) -> String) -> String {
    let cells: Vec<String> =
        widths.iter().enumerate().map(|(column, width)| pad(&cell(column), *width)).collect();
    format!("{}\n", cells.join(GAP).trim_end())
}

fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.width() + line.width() + 1 + word.width() > width {
            out.extend([indent, &line, "\n"]);
            line.clear();
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    format!("{out}{indent}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_in_any_script() {
        let rows = vec![
            vec!["短い".to_owned(), "a".to_owned()],
            vec!["plain-name-that-is-long".to_owned(), "b".to_owned()],
        ];
        let shown = Layout::plain().table(&["NAME", "X"], &[12, 4], &rows, &|_, _, cell| cell);
        assert_eq!(shown, "NAME          X\n短い          a\nplain-…-long  b\n");
        assert!(shown.lines().map(unicode_width::UnicodeWidthStr::width).all(|width| width == 15));
    }

    #[test]
    fn a_narrow_terminal_shrinks_the_widest_column() {
        let rows = vec![vec![
            "a-name-of-twenty-one.".to_owned(),
            "twelve-more.".to_owned(),
            "ten-there.".to_owned(),
        ]];
        let shown = |columns| {
            Layout { colour: false, columns }.table(
                &["A", "B", "C"],
                &[40, 40, 40],
                &rows,
                &|_, _, cell| cell,
            )
        };
        assert_eq!(
            shown(None).lines().nth(1),
            Some("a-name-of-twenty-one.  twelve-more.  ten-there.")
        );
        assert_eq!(
            shown(Some(40)).lines().nth(1),
            Some("a-name-…y-one.  twelve-more.  ten-there.")
        );
        assert_eq!(
            shown(Some(5)).lines().nth(1),
            Some("a-nam…one.  twelv…ore.  ten-there."),
            "names stay recognisable"
        );
    }

    #[test]
    fn times_are_relative_to_now() {
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
    fn colours_are_printed_only_if_enabled() {
        assert_eq!(Layout::plain().good("x"), "x");
        assert_eq!(Layout { colour: true, columns: None }.good("x"), "\x1b[32mx\x1b[0m");
    }
}
