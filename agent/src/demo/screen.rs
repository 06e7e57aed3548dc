//! Where the demo writes: entries that stay, and on a terminal one line below them that moves.

use std::io::{self, Write};

use super::paint::{Paint, Tone, wrapped};
use tokenwatch_core::base::time::Delta;

/// Back to the first column, and the line wiped (ECMA-48 CR, EL).
const WIPE: &str = "\r\x1b[K";
/// Width of the progress bar.
const BAR: i64 = 24;

/// What a terminal can do; a pipe can do neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours are wanted.
    pub colour: bool,
    /// A line may be written over.
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
    /// On `out`.
    pub(super) fn new(out: W, look: Look) -> Self {
        Self { out, look, has_status: false }
    }

    /// How to paint.
    pub(super) fn paint(&self) -> Paint {
        Paint { colour: self.look.colour, width: self.look.width }
    }

    /// An entry that stays: whole lines.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.wipe()?;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What the script does, with the time since the start: the progress of who reads a pipe.
    pub(super) fn narrate(&mut self, at: Delta, text: &str) -> io::Result<()> {
        let hanging = format!("\n{:10}", "");
        let lines = wrapped(text, self.look.width.saturating_sub(10)).join(&hanging);
        let shown = self.paint().paint(Tone::Strong, &format!("{:>5} s   {lines}", at.as_secs()));
        self.say(&format!("\n{shown}\n"))
    }

    /// The line that moves; nothing where lines cannot be written over.
    pub(super) fn status(&mut self, at: Delta, end: Delta, text: &str) -> io::Result<()> {
        if !self.look.rewrites {
            return Ok(());
        }
        let bar = self.paint().paint(Tone::Cool, &progress(at, end));
        write!(self.out, "{WIPE}{:>5} s   {bar} {text}", at.as_secs())?;
        self.has_status = true;
        self.out.flush()
    }

    fn wipe(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.has_status) {
            self.out.write_all(WIPE.as_bytes())?;
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
        screen.say("entry\n").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        assert_eq!(shown(false), "\n   22 s   It is replaced.\nentry\n");
    }

    #[test]
    fn a_terminal_gets_a_line_that_moves_below_the_rest() {
        assert_eq!(
            shown(true),
            "\r\x1b[K   20 s   ━━━━━━────────────────── waiting\r\x1b[K\n   22 s   It is \
             replaced.\nentry\n"
        );
    }

    #[test]
    fn progress_ends_full() {
        assert_eq!(progress(Delta::from_secs(99), Delta::from_secs(80)), "━".repeat(24));
    }
}
