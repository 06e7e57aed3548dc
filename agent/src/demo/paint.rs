//! Colours, where they are wanted, and lines that fit the width.

/// A meaning that has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Something fails now.
    Bad,
    /// Something will fail.
    Warn,
    /// Something is healthy again.
    Good,
    /// A heading.
    Strong,
    /// A detail.
    Faint,
    /// A bar, a command.
    Cool,
}

impl Tone {
    /// Select Graphic Rendition parameters (ECMA-48), of the eight colours that every terminal
    /// theme makes readable.
    fn sgr(self) -> &'static str {
        match self {
            Self::Bad => "1;31",
            Self::Warn => "33",
            Self::Good => "32",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Cool => "36",
        }
    }
}

/// Whether to use colours, and the width of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    /// Whether colours are wanted.
    pub(super) colour: bool,
    /// Columns of a line.
    pub(super) width: usize,
}

impl Paint {
    /// `text` in the colour of `tone`.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", tone.sgr())
        } else {
            text.to_owned()
        }
    }

    /// Running text, in lines that fit.
    pub(super) fn flowing(self, text: &str) -> String {
        wrapped(text, self.width).join("\n") + "\n"
    }
}

/// `text` broken between words into lines of at most `width` characters. A longer word has a line
/// of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Paint = Paint { colour: false, width: 80 };
    const BRIGHT: Paint = Paint { colour: true, width: 80 };

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three fourteen", 9), ["one two", "three", "fourteen"]);
        assert_eq!(wrapped("incomprehensible a", 5), ["incomprehensible", "a"]);
        assert!(wrapped(" ", 5).is_empty());
    }

    #[test]
    fn there_are_no_escapes_without_colours() {
        assert_eq!(PLAIN.paint(Tone::Bad, "x"), "x");
        assert_eq!(BRIGHT.paint(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(BRIGHT.paint(Tone::Bad, ""), "");
    }
}
