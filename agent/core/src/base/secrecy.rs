//! What looks like a token in any text, and the text without it.
//!
//! Whoever pastes a token in the wrong place would find it in a terminal's history, or in a log.
//! [`redacted`] is for every text; [`redacted_input`] is for errors, which repeat what was typed.

use std::borrow::Cow;

/// What a token is replaced by. It contains nothing that would be replaced again.
pub const REDACTED: &str = "[redacted: looks like a token]";

/// Fewest characters of something whose first characters alone are no proof.
const SHORTEST: usize = 8;
/// Fewest characters of a line that can have been wrapped: terminals and mail programs do it from
/// there on.
const SHORTEST_LINE: usize = 20;
/// Fewest characters of a word of random letters and digits: no name in Kubernetes is one, and an
/// encoded half of a JWT's signature is longer.
const SHORTEST_RANDOM: usize = 32;
/// Most characters by which the begin of a word is recognised: a JWT's header, with a key id, has
/// some 100. A word may begin at each of its characters, so more would take a long word's length
/// squared.
const LONGEST_BEGIN: usize = 128;
/// Fewest letters of a word after `Bearer` that is no prose.
const LONGEST_WORD: usize = 20;

/// `text` with everything that looks like a JWT or a part of one replaced, and what follows the
/// word `Bearer`.
pub fn redacted(text: &str) -> Cow<'_, str> {
    replaced(text, known)
}

/// As [`redacted`], and without long words of random letters and digits, which may be the rest of a
/// token.
pub fn redacted_input(text: &str) -> Cow<'_, str> {
    replaced(text, |text, at| known(text, at).or_else(|| random(text, at)))
}

/// Whether [`redacted`] replaces anything of `text`.
pub fn looks_like_a_token(text: &str) -> bool {
    matches!(redacted(text), Cow::Owned(_))
}

/// Where the secret that begins at a position starts and ends, if one does.
type Found = Option<(usize, usize)>;

/// What is left may look like a token without the rest of its word, and so is looked at again:
/// whoever replaces later finds nothing more. Each turn replaces some of what is left.
fn replaced(text: &str, find: impl Fn(&[u8], usize) -> Found) -> Cow<'_, str> {
    let Cow::Owned(mut text) = replaced_once(text, &find) else { return Cow::Borrowed(text) };
    while let Cow::Owned(less) = replaced_once(&text, &find) {
        text = less;
    }
    Cow::Owned(text)
}

fn replaced_once(text: &str, find: impl Fn(&[u8], usize) -> Found) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let Some((start, end)) = find(bytes, at) else {
            at += 1;
            continue;
        };
        out.push_str(text.get(copied..start).unwrap_or_default());
        out.push_str(REDACTED);
        (copied, at) = (end, end);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// A token, or the value of a header, at this position.
fn known(text: &[u8], at: usize) -> Found {
    match text[at] {
        b'e' | b'E' if is_json(text, at) => Some((at, end(text, at))),
        b'Z' if is_encoded(text, at) => Some((at, end(text, at))),
        b'b' | b'B' => bearer(text, at),
        _ => None,
    }
}

/// Whether a part of a JWT begins here: `{"` in base64url is `eyJ`, and with a space or a line end
/// after the brace `eyA`, `ewo`, `ew0` or `ewk`. Where a word goes on (`keyJson`), or with white
/// space, the next characters have to be JSON, too.
fn is_json(text: &[u8], at: usize) -> bool {
    let rest = &text[at..];
    match rest.get(..3).unwrap_or_default() {
        b"eyJ" => !is_continued(text, at) || decodes_to_json(rest),
        b"eyA" | b"ewo" | b"ew0" | b"ewk" => decodes_to_json(rest),
        // A host name in lower case, say. No word begins so and has digits.
        begin => {
            let run = begin_of(rest);
            begin.eq_ignore_ascii_case(b"eyj")
                && !is_continued(text, at)
                && run.len() >= SHORTEST
                && run.iter().any(u8::is_ascii_digit)
        }
    }
}

/// Whether `text` begins with base64url of `{`, white space, a quote and a letter.
fn decodes_to_json(text: &[u8]) -> bool {
    let run = begin_of(text);
    if run.len() < SHORTEST {
        return false;
    }
    let decoded: Vec<u8> = run.chunks_exact(4).take(8).flat_map(quantum).collect();
    let json = decoded.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).unwrap_or_default();
    let is_key = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    match json {
        [] => decoded.len() > 1 && decoded[0] == b'{', // nothing but white space so far
        [b'"', key @ ..] => key.iter().take(6).all(is_key),
        _ => false,
    }
}

/// Whether base64 of a token begins here, as in a Secret.
fn is_encoded(text: &[u8], at: usize) -> bool {
    let run = begin_of(&text[at..]);
    let decoded: Vec<u8> = run.chunks_exact(4).take(8).flat_map(quantum).collect();
    run.len() >= SHORTEST
        && [b"eyJ", b"eyA", b"ewo", b"ew0", b"ewk"].iter().any(|begin| decoded.starts_with(*begin))
        && decoded.iter().all(|byte| is_of_a_token(*byte) || byte.is_ascii_whitespace())
}

/// Three bytes from four characters of base64 or base64url; others count as zero.
fn quantum(four: &[u8]) -> [u8; 3] {
    let bits = four.iter().fold(0_u32, |bits, byte| (bits << 6) | sextet(*byte));
    let [_, first, second, third] = bits.to_be_bytes();
    [first, second, third]
}

fn sextet(byte: u8) -> u32 {
    match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => 0,
    }
}

/// As [`run`], of which the begin is enough.
fn begin_of(text: &[u8]) -> &[u8] {
    run(text.get(..LONGEST_BEGIN).unwrap_or(text))
}

/// The characters of base64url that `text` begins with.
fn run(text: &[u8]) -> &[u8] {
    let length = text.iter().position(|byte| !is_of_a_part(*byte));
    &text[..length.unwrap_or(text.len())]
}

fn is_of_a_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Of a JWT, of base64 or of the value after `Bearer` (RFC 6750, section 2.1). A slash is also a
/// part of a path, and ends it.
fn is_of_a_token(byte: u8) -> bool {
    is_of_a_part(byte) || b".~+=".contains(&byte)
}

/// Whether a word that began before goes on at this position. An escape before it is no word: `%22`
/// in a URL, `\n` in a quoted text.
fn is_continued(text: &[u8], at: usize) -> bool {
    let before = &text[..at];
    let is_escape = match before {
        [.., b'%', a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        _ => false,
    };
    let is_quoted = matches!(before, [.., b'\\', _]);
    before.last().is_some_and(u8::is_ascii_alphanumeric) && !is_escape && !is_quoted
}

/// The end of the token that begins at a position.
fn end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(next) = step(text, from, at) {
        at = next;
    }
    // The full stop of a sentence, or `...` where somebody cut it off.
    at - text[from..at].iter().rev().take_while(|byte| **byte == b'.').count()
}

/// Past the next character of the token: as it is, percent-encoded, or after something that hides
/// in it.
fn step(text: &[u8], from: usize, at: usize) -> Option<usize> {
    match text.get(at..)? {
        [byte, ..] if is_of_a_token(*byte) => Some(at + 1),
        [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => Some(at + 3),
        rest => {
            let (length, is_line_end) = joint(rest)?;
            let next = at + length;
            let goes_on = if is_line_end {
                let before = plain(&text[from..at]).take(SHORTEST_LINE).count();
                before == SHORTEST_LINE && is_line_of_a_token(&text[next..])
            } else {
                text.get(next).is_some_and(|byte| is_of_a_token(*byte))
            };
            goes_on.then_some(next)
        }
    }
}

/// The length of what can be between two parts of a token, and whether it ends a line: a line end
/// with the next line's indentation, control characters, anything that is not ASCII, as they are or
/// escaped. No spaces.
fn joint(text: &[u8]) -> Option<(usize, bool)> {
    let (mut length, mut is_line_end) = (0, false);
    while let Some((more, line_end)) = hidden(&text[length..]) {
        length += more;
        is_line_end |= line_end;
    }
    if is_line_end {
        length += text[length..].iter().take_while(|byte| b" \t".contains(byte)).count();
    }
    (length > 0).then_some((length, is_line_end))
}

/// The length of one such character, and whether it ends a line.
fn hidden(text: &[u8]) -> Option<(usize, bool)> {
    match text {
        [b'\n', ..] => Some((1, true)),
        [b'\\', b'n' | b'\n', ..] => Some((2, true)),
        [b'\\', b'r', ..] => Some((2, false)),
        [b'\\', b'u', digits @ ..] => escape(digits).map(|(digits, line)| (digits + 2, line)),
        [byte, ..] if !byte.is_ascii() || (byte.is_ascii_control() && *byte != b'\t') => {
            Some((1, false))
        }
        _ => None,
    }
}

/// A word without what hides in it: escaped or not, that is no part of it.
fn plain(word: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some((length, _)) = hidden(&word[at..]) {
            at += length;
        }
        let byte = *word.get(at)?;
        at += 1;
        Some(byte)
    })
}

/// The length of the digits of a character: `{a}` in Rust, `000a` in JSON.
fn escape(text: &[u8]) -> Option<(usize, bool)> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if let Some(rest) = text.strip_prefix(b"{") {
        let digits = digits(rest);
        let is_escape = digits <= 6 && rest.get(digits) == Some(&b'}');
        return is_escape.then(|| (digits + 2, rest[..digits] == *b"a"));
    }
    (digits(text) >= 4).then(|| (4, text[..4] == *b"000a"))
}

/// Whether `text` begins with a line that is nothing but a part of a token.
fn is_line_of_a_token(text: &[u8]) -> bool {
    let length = text.iter().take_while(|byte| is_of_a_token(**byte)).count();
    let after = text.get(length).copied().unwrap_or(b'\n');
    length > 0 && b"\r\n\"'`\\<".contains(&after)
}

/// What follows the word `Bearer` (in any case), if it is no prose.
fn bearer(text: &[u8], at: usize) -> Found {
    let word = text.get(at..at + 6).filter(|word| word.eq_ignore_ascii_case(b"bearer"));
    word.filter(|_| !is_continued(text, at))?;
    let start = at + 6 + gap(&text[at + 6..])?;
    let end = end(text, start);
    is_opaque(&text[start..end]).then_some((start, end))
}

/// The length of what stands between `Bearer` and a token: spaces, also encoded, a colon, a quote.
fn gap(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        length += match &text[length..] {
            [byte, ..] if b" \t+:=\"'".contains(byte) => 1,
            [b'%', b'2', b'5', b'2', b'0', ..] => 5,
            [b'%', b'2', b'0', ..] => 3,
            _ => return (length > 0).then_some(length),
        }
    }
}

/// Whether a word is no word of a sentence.
fn is_opaque(word: &[u8]) -> bool {
    let word: Vec<u8> = plain(word).collect();
    let inner = word.get(1..).unwrap_or_default();
    let is_mixed =
        inner.iter().any(u8::is_ascii_uppercase) && word.iter().any(u8::is_ascii_lowercase);
    word.len() >= LONGEST_WORD || is_mixed || word.iter().any(u8::is_ascii_digit)
}

/// A long word of random letters and digits: capitals, small letters and digits in one piece.
fn random(text: &[u8], at: usize) -> Found {
    if at > 0 && is_of_a_part(text[at - 1]) {
        return None;
    }
    let word = run(&text[at..]);
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_random = word.len() >= SHORTEST_RANDOM
        && digits >= 2
        && word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_lowercase);
    is_random.then(|| (at, end(text, at)))
}
