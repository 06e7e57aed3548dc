//! Strings from outside, made safe to show.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest claim or file name that is shown whole, in characters; Kubernetes names end at 253.
pub const SHOWN: usize = 512;

/// `text` with control characters (terminal escapes, line ends, bidirectional overrides) escaped
/// and its length bounded.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(SHOWN) + 8);
    for c in text.chars().take(SHOWN) {
        push_shown(&mut out, c);
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

fn push_shown(out: &mut String, c: char) {
    if is_unsafe(c) {
        let _ = write!(out, "\\u{{{:x}}}", u32::from(c)); // writing to a String cannot fail
    } else {
        out.push(c);
    }
}

/// Control characters, and the format characters (Unicode's category Cf) and separators that
/// reorder or hide what a terminal shows (Unicode TR 36).
fn is_unsafe(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(shown("plain-name"), "plain-name");
        assert_eq!(shown("a\x1b[31m\nb"), "a\\u{1b}[31m\\u{a}b");
        for (hidden, told) in [
            ("\u{202e}", "\\u{202e}"),
            ("\u{61c}", "\\u{61c}"),
            ("\u{ad}", "\\u{ad}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(shown(hidden), told);
        }
        assert_eq!(shown(&"a".repeat(600)).chars().count(), SHOWN + 1);
    }
}
