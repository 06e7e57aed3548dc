//! What people see: colours only where they are wanted, columns that stay columns, and a closed
//! pipe that is no error.

use std::io::{self, IsTerminal as _, Write as _};

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::{Remedy, Severity};
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

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TextOrMarkdown {
    /// For people in a terminal.
    Text,
    /// A page of docs/runbooks.
    Markdown,
}

/// Exit status: whatever there was to tell could not be written.
const UNTOLD: u8 = 2;
/// The longest lines of running text that the eye follows back without losing its place.
const TEXT: usize = 100;
/// In fewer columns than this nothing is laid out: the terminal breaks the lines.
const NARROWEST: usize = 40;
/// A name that is cut shorter than this names nothing any more.
const SHORTEST_CELL: usize = 10;
/// Between two columns.
const GAP: &str = "  ";

/// Writes to standard output; the exit status is `status`, or 2 where it could not be written.
/// Whoever reads it may stop (`| head`): that is no error, and changes no exit status.
#[must_use]
pub(super) fn say(text: &str, status: u8) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            UNTOLD
        }
        _ => status,
    }
}

/// Writes a complaint to standard error; where that is closed too, nobody wants to know.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "tokenwatch: {}", text.trim_end());
}

/// JSON for scripts, indented because people read it too.
#[must_use]
pub(super) fn say_json(value: &serde_json::Value, status: u8) -> u8 {
    say(&format!("{value:#}\n"), status)
}

/// What people's output is laid out for: colours or none, and the terminal's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    colour: bool,
    /// Nothing where there is no terminal: files and pipes have any width.
    columns: Option<usize>,
}

impl Page {
    /// Standard output: colours on a terminal that knows them, unless NO_COLOR (no-color.org) says
    /// not to.
    pub(super) fn for_stdout(environment: &Environment) -> Self {
        let wanted =
            environment.get("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb");
        Self { colour: wanted && io::stdout().is_terminal(), columns: columns() }
    }

    /// No terminal.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colour: false, columns: None }
    }

    /// `text` broken at spaces; every line begins with `indent`.
    pub(super) fn wrap(self, text: &str, indent: &str) -> String {
        wrap(text, indent, text_columns(self.columns))
    }

    /// What to do about a finding.
    pub(super) fn remedy(self, remedy: &Remedy) -> String {
        let command = remedy
            .command
            .as_ref()
            .map(|command| format!("    {}\n", self.strong(command)))
            .unwrap_or_default();
        format!("{}{command}", self.wrap(&format!("do: {}", remedy.text), "  "))
    }

    /// Rows under headings. `limits` are the widest that columns may be; they become narrower,
    /// widest first, where the terminal is. The last column is not filled up.
    pub(super) fn table(
        self,
        headings: &[&str],
        limits: &[usize],
        rows: &[Vec<String>],
        paint: &dyn Fn(usize, usize, String) -> String,
    ) -> String {
        let widest = |column: usize| {
            rows.iter()
                .map(|row| row[column].width().min(limits[column]))
                .chain([headings[column].width()])
                .max()
        };
        let natural = (0..headings.len()).map(|column| widest(column).unwrap_or(0)).collect();
        let widths = squeezed(natural, self.columns.unwrap_or(usize::MAX));
        let mut out = line(&widths, |column| headings[column].to_owned());
        for (index, row) in rows.iter().enumerate() {
            out += &line(&widths, |column| {
                paint(index, column, pad(&fit(&row[column], widths[column]), widths[column]))
            });
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

/// Columns of running text on standard output.
#[cfg(feature = "demo")]
pub(super) fn text_width() -> usize {
    text_columns(columns())
}

fn text_columns(columns: Option<usize>) -> usize {
    columns.map_or(TEXT, |columns| columns.clamp(NARROWEST, TEXT))
}

/// The terminal's columns, if standard output is one.
fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
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

/// `text` in at most `width` columns; what is too long loses its middle, because names differ at
/// both ends.
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

/// `text` filled up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The widest column gives way first, none to less than a name needs.
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
        let rows = vec![
            vec!["短い".to_owned(), "a".to_owned()],
            vec!["plain-name-that-is-long".to_owned(), "b".to_owned()],
        ];
        let shown = Page::plain().table(&["NAME", "X"], &[12, 4], &rows, &|_, _, cell| cell);
        assert_eq!(shown, "NAME          X\n短い          a\nplain-…-long  b\n");
        assert!(shown.lines().map(unicode_width::UnicodeWidthStr::width).all(|width| width == 15));
    }

    #[test]
    fn a_narrow_terminal_makes_the_widest_column_narrower() {
        let rows = vec![vec![
            "a-name-of-twenty-one.".to_owned(),
            "twelve-more.".to_owned(),
            "ten-there.".to_owned(),
        ]];
        let shown = |columns| {
            Page { colour: false, columns }.table(
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
            "names stay names"
        );
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
        assert_eq!(Page::plain().good("x"), "x");
        assert_eq!(Page { colour: true, columns: None }.good("x"), "\x1b[32mx\x1b[0m");
    }
}
