//! Colours, where they are wanted, and lines that fit.

/// A meaning that has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Fails now.
    Bad,
    /// Will fail.
    Warn,
    /// Is well again.
    Good,
    /// A heading.
    Strong,
    /// Beside the point.
    Faint,
    /// A bar, a link.
    Cool,
}

impl Tone {
    /// Select Graphic Rendition parameters (ECMA-48): the eight colours that every terminal theme
    /// makes readable.
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

/// Paints, or does not, and knows how much fits into a line.
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
}

/// `text` broken between words into lines of at most `width` characters; a longer word keeps a line
/// to itself.
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
    fn no_escape_reaches_who_did_not_ask() {
        assert_eq!(PLAIN.paint(Tone::Bad, "x"), "x");
        assert_eq!(BRIGHT.paint(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(BRIGHT.paint(Tone::Bad, ""), "");
    }
}
