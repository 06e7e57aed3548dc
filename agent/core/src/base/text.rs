//! Strings from files and the network, made safe to print.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use super::secrecy::redacted;

/// Most characters of one string that are printed. Names in Kubernetes have at most 253.
pub const MAX_SHOWN: usize = 512;

/// `text` without what looks like a token, with control and format characters escaped (terminal
/// escapes, line ends, bidirectional overrides), cut after [`MAX_SHOWN`] characters.
pub fn shown(text: &str) -> Cow<'_, str> {
    match through(redacted(text), limited) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(text) => Cow::Owned(cut_again(text)),
    }
}

/// The rest of a word that was cut may look like a token where the whole word did not.
fn cut_again(text: String) -> String {
    match redacted(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(less) => limited(&less).into_owned(),
    }
}

/// `1 token`, `2 tokens`.
pub fn count_of<Count: Copy + Display + PartialEq + From<u8>>(count: Count, thing: &str) -> String {
    if count == Count::from(1) { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// As [`shown`], not cut: for sentences.
pub fn escaped(text: &str) -> Cow<'_, str> {
    through(redacted(text), visible)
}

/// `text` after another step, which borrows where it changes nothing.
fn through(text: Cow<'_, str>, step: fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => step(text),
        Cow::Owned(text) => Cow::Owned(step(&text).into_owned()),
    }
}

fn limited(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_SHOWN && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN) + 8);
    for c in text.chars().take(MAX_SHOWN) {
        push_shown(&mut out, c);
    }
    if text.chars().nth(MAX_SHOWN).is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_shown(&mut out, c));
    Cow::Owned(out)
}

fn push_shown(out: &mut String, c: char) {
    if is_unsafe(c) {
        let _ = write!(out, "\\u{{{:x}}}", u32::from(c)); // writing to a String cannot fail
    } else {
        out.push(c);
    }
}

/// Whether `c` is a control character, or a format character (Unicode category Cf) or separator
/// that reorders or hides what a terminal shows (Unicode TR 36).
fn is_unsafe(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(shown("plain-name"), "plain-name");
        assert_eq!(shown("a\x1b[31m\nb"), "a\\u{1b}[31m\\u{a}b");
        for (hidden, escaped) in [
            ("\u{202e}", "\\u{202e}"),
            ("\u{61c}", "\\u{61c}"),
            ("\u{ad}", "\\u{ad}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(shown(hidden), escaped);
        }
        assert_eq!(shown(&"a".repeat(600)).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn what_looks_like_a_token_is_replaced_before_anything_is_cut_or_escaped() {
        let long = format!("{}eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "a ".repeat(250));
        for (text, seen) in [
            ("/tmp/eyJhbGci.e30.c2ln", "/tmp/[redacted: looks like a token]"),
            ("eyJhb\u{200b}Gci.e30\u{202e}.c2ln\n", "[redacted: looks like a token]\\u{a}"),
        ] {
            assert_eq!((shown(text).as_ref(), escaped(text).as_ref()), (seen, seen));
        }
        assert!(shown(&long).ends_with("[redacted: l…"), "{}", shown(&long));
    }

    #[test]
    fn what_is_cut_does_not_look_like_a_token() {
        let word = "eyJuI1YjHloin0sI"; // only its first half decodes to JSON
        let text = format!("{}aI{word}", "a ".repeat(251));
        assert_eq!(redacted(&text), text);
        let seen = shown(&text);
        assert_eq!(redacted(&seen), seen);
        assert!(seen.ends_with("aI[redacte…") && seen.chars().count() == MAX_SHOWN + 1, "{seen}");
    }

    #[test]
    fn what_is_escaped_looks_like_no_more_of_a_token_than_before() {
        let hidden = ['\t', '\u{1b}', '\u{b}', '\u{200b}', '\u{202e}', '\u{e0041}'];
        let texts = ["Bearer #_-", "Bearer _#-", "Bearer: #of all", "Bearer of#all", "bearer#_"];
        for (text, hidden) in texts.into_iter().flat_map(|it| hidden.map(|of| (it, of))) {
            let once = escaped(&text.replace('#', &hidden.to_string())).into_owned();
            assert_eq!(
                (escaped(&once).as_ref(), once.contains("redacted")),
                (once.as_str(), false)
            );
        }
        let line = format!("Bearer {}\u{1b}{}\n_a\n", "a".repeat(10), "B".repeat(9));
        let once = escaped(&line).into_owned();
        assert_eq!(escaped(&once), once);
    }
}
