//! The demo's output: entries that stay and, on a terminal, a progress line below them.

use std::io::{self, Write};

use super::paint::{Paint, Tone, wrapped};
use tokenwatch_core::base::time::Delta;

/// Returns to the first column and erases the line (ECMA-48 CR, EL).
const ERASE: &str = "\r\x1b[K";
/// Width of the progress bar.
const BAR: i64 = 24;

/// What the output can do. A pipe can do nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours are wanted.
    pub colour: bool,
    /// A line can be overwritten.
    pub rewrites: bool,
    /// Columns of a line.
    pub width: usize,
}

/// The output.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    look: Look,
    has_status: bool,
}

impl<W: Write> Screen<W> {
    /// A screen on `out`.
    pub(super) fn new(out: W, look: Look) -> Self {
        Self { out, look, has_status: false }
    }

    /// How to paint.
    pub(super) fn paint(&self) -> Paint {
        Paint { colour: self.look.colour, width: self.look.width }
    }

    /// Prints an entry that stays. `text` is whole lines.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.erase_status()?;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Prints a caption of the script with the time since its start. On a pipe it is the only sign
    /// of progress.
    pub(super) fn narrate(&mut self, at: Delta, text: &str) -> io::Result<()> {
        let hanging = format!("\n{:10}", "");
        let lines = wrapped(text, self.look.width.saturating_sub(10)).join(&hanging);
        let shown = self.paint().paint(Tone::Strong, &format!("{:>5} s   {lines}", at.as_secs()));
        self.print(&format!("\n{shown}\n"))
    }

    /// Replaces the progress line. Does nothing where lines cannot be overwritten.
    pub(super) fn status(&mut self, at: Delta, end: Delta, text: &str) -> io::Result<()> {
        if !self.look.rewrites {
            return Ok(());
        }
        let bar = self.paint().paint(Tone::Cool, &progress(at, end));
        write!(self.out, "{ERASE}{:>5} s   {bar} {text}", at.as_secs())?;
        self.has_status = true;
        self.out.flush()
    }

    fn erase_status(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.has_status) {
            self.out.write_all(ERASE.as_bytes())?;
        }
        Ok(())
    }
}

fn progress(at: Delta, end: Delta) -> String {
    let done = Delta::from_nanos(at.as_nanos().clamp(0, end.as_nanos()))
        .fraction(BAR, end.as_nanos())
        .as_nanos();
    (0..BAR).map(|cell| if cell < done { '━' } else { '─' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rewrites: bool) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, Look { colour: false, rewrites, width: 100 });
        screen.status(Delta::from_secs(20), Delta::from_secs(80), "waiting").unwrap();
        screen.narrate(Delta::from_secs(22), "It is replaced.").unwrap();
        screen.print("entry\n").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        assert_eq!(shown(false), "\n   22 s   It is replaced.\nentry\n");
    }

    #[test]
    fn a_terminal_has_a_progress_line_below_the_entries() {
        assert_eq!(
            shown(true),
            "\r\x1b[K   20 s   ━━━━━━────────────────── waiting\r\x1b[K\n   22 s   It is \
             replaced.\nentry\n"
        );
    }

    #[test]
    fn the_progress_bar_is_full_at_the_end() {
        assert_eq!(progress(Delta::from_secs(99), Delta::from_secs(80)), "━".repeat(24));
    }
}
