//! Finds the tokens in text: in what people paste (headers, quotes, YAML and JSON of any object,
//! wrapped lines, base64, percent-encoding, UTF-16), and in files on the host.
//!
//! It looks for JWTs in the text, and does not parse the formats: a parser copies strings to places
//! that nobody wipes, and fails on a part of a document. Every copy made here is wiped.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tokenwatch_core::world::tokens::{
    Claims, Decoded, Foreign, LegacyClaims, MAX_TOKEN_BYTES, Malformed, Scratch, Signature, decode,
    foreign,
};
use zeroize::Zeroizing;

use super::{TokenBytes, place};
use crate::sources::signatures::{KeyRing, Signed};

/// Most beginnings of tokens that are examined: no paste has more, and each costs time.
pub(crate) const MAX_FOUND: usize = 64;
/// Most lines of a wrapped token. 64 KiB in lines of 64 characters.
const MAX_LINES: usize = 1024;
/// Shortest text that counts as base64. Shorter words happen to be.
const SHORTEST_BASE64: usize = 24;
/// How often something is unpacked: a kubeconfig in a Secret's data once, a token in it twice.
const DEPTH: usize = 3;

/// How the header of a token begins (`decode`), and the same in base64.
const BEGINNINGS: [&str; 5] = ["eyJ", "eyA", "ewo", "ew0", "ewk"];
const ENCODED: [&str; 3] = ["ZXl", "ZXd", "QmV"];

/// A decoded token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Bound(Box<Claims>),
    Legacy(LegacyClaims),
    Foreign(Foreign),
}

/// A token in a text.
#[derive(Debug)]
pub(crate) struct FoundToken {
    pub(crate) token: Token,
    pub(crate) bytes: TokenBytes,
    /// Where in the text, if that holds more than the token.
    pub(crate) place: Option<String>,
}

/// Every token in a text, each once.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tokens: Vec<FoundToken>,
    /// What is wrong with the first thing that begins like a token and is none.
    pub(crate) malformed: Option<Malformed>,
}

impl Found {
    fn add(&mut self, read: Read, place: Option<String>) {
        match read {
            Ok((token, bytes)) if self.tokens.iter().all(|known| known.token != token) => {
                self.tokens.push(FoundToken { token, bytes, place });
            }
            Ok(_) => {}
            Err(malformed) => self.malformed = self.malformed.or(malformed),
        }
    }

    /// Those of another text, if there are none yet.
    fn or(mut self, other: impl FnOnce() -> Self) -> Self {
        if !self.tokens.is_empty() {
            return self;
        }
        let other = other();
        self.malformed = self.malformed.or(other.malformed);
        self.tokens = other.tokens;
        self
    }
}

/// The input as text: UTF-8, or UTF-16 as PowerShell writes it. Nothing if it is binary.
pub(crate) fn text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let wide = |from: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| from(*pair));
        let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
        for c in char::decode_utf16(units) {
            text.push(c.ok()?);
        }
        Some(text)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => text(rest),
        _ => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
            let mut copy = Zeroizing::new(String::with_capacity(text.len()));
            copy.push_str(text);
            Some(copy)
        }
    }
}

/// All tokens in `text`.
pub(crate) fn find(text: &str) -> Found {
    find_in(text, DEPTH)
}

/// As it is, and then unpacked, so many times.
fn find_in(text: &str, depth: usize) -> Found {
    let found = bare(text).or(|| scanned(text));
    let Some(depth) = depth.checked_sub(1) else { return found };
    found
        .or(|| percent_decoded(text).map(|text| find_in(&text, depth)).unwrap_or_default())
        .or(|| encoded(text, depth))
        .or(|| unpacked(text, depth))
}

/// The whole text is one token, however it is wrapped.
fn bare(text: &str) -> Found {
    let mut found = Found::default();
    let text = text.trim();
    let is_token = |byte: u8| is_of_a_jwt(byte) || byte.is_ascii_whitespace();
    if text.bytes().all(is_token) && begins(text) {
        let token = without_space(text.as_bytes());
        found.add(read(&token), None);
    }
    found
}

/// Every JWT between other things.
fn scanned(text: &str) -> Found {
    let mut found = Found::default();
    for Span { start, end, token } in spans(text) {
        let place = token.is_ok().then(|| place::of(text, start, end, "")).flatten();
        found.add(token, place);
    }
    found
}

/// What begins like a token in a text, and where.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// What it is, or what is wrong with it.
    pub(crate) token: Read,
}

/// A token and its bytes, or what is wrong with what begins like one.
type Read = Result<(Token, TokenBytes), Option<Malformed>>;

/// Everything in a text that begins like a token.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = next_beginning(text, at, &BEGINNINGS)
        && found.len() < MAX_FOUND
    {
        let (token, end) = jwt(text.as_bytes(), start);
        found.push(Span { start, end, token });
        at = end;
    }
    found
}

/// Base64 of tokens, as in a Secret.
fn encoded(text: &str, depth: usize) -> Found {
    let mut found = Found::default();
    let (mut at, mut seen) = (0, 0);
    while let Some(start) = next_beginning(text, at, &ENCODED)
        && seen < MAX_FOUND
    {
        let (run, end) = joined(text.as_bytes(), start, is_of_base64, MAX_LINES);
        let inner = decoded(&run).map(|text| find_in(&text, depth)).unwrap_or_default();
        for FoundToken { token, bytes, .. } in inner.tokens {
            found.add(Ok((token, bytes)), place::of(text, start, end, "base64"));
        }
        (at, seen) = (end, seen + 1);
    }
    found
}

/// The whole text is base64 of something that holds a token.
fn unpacked(text: &str, depth: usize) -> Found {
    let is_base64 = |byte: u8| is_of_base64(byte) || byte.is_ascii_whitespace();
    if text.trim().len() < SHORTEST_BASE64 || !text.bytes().all(is_base64) {
        return Found::default();
    }
    let inner = decoded(&without_space(text.as_bytes()));
    let mut found = inner.map(|text| find_in(&text, depth)).unwrap_or_default();
    for FoundToken { place, .. } in &mut found.tokens {
        *place =
            Some(place.as_ref().map_or("base64".to_owned(), |place| format!("base64: {place}")));
    }
    found
}

/// Base64 in either alphabet, with or without padding.
fn decoded(base64: &[u8]) -> Option<Zeroizing<String>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let is_url = base64.iter().any(|byte| b"-_".contains(byte));
    let engine = GeneralPurpose::new(if is_url { &URL_SAFE } else { &STANDARD }, lenient);
    let mut bytes = Zeroizing::new(Vec::with_capacity(base64.len()));
    engine.decode_vec(base64, &mut bytes).ok()?;
    text(&bytes)
}

/// `text` without percent-encoding, if there is any of a token.
fn percent_decoded(text: &str) -> Option<Zeroizing<String>> {
    if !text.contains('%') {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escape = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = escape.and_then(|two| u8::from_str_radix(two, 16).ok());
        let (next, length) = escaped.filter(|_| *byte == b'%').map_or((*byte, 1), |it| (it, 3));
        out.push(next);
        rest = &rest[length..];
    }
    (out.len() < text.len()).then(|| self::text(&out)).flatten()
}

/// The token that begins at `start`, over as many lines as it takes, and its end. A token that is
/// whole on its line ends there.
fn jwt(text: &[u8], start: usize) -> (Read, usize) {
    let (line, end) = joined(text, start, is_of_a_jwt, 1);
    let on_its_line = read(trimmed(&line));
    if on_its_line.is_ok() {
        return (on_its_line, end);
    }
    let (lines, far_end) = joined(text, start, is_of_a_jwt, MAX_LINES);
    match read(trimmed(&lines)) {
        Ok(token) => (Ok(token), far_end),
        Err(_) => (on_its_line, end),
    }
}

/// Without the full stop of a sentence.
fn trimmed(token: &[u8]) -> &[u8] {
    let parts = token.split(|byte| *byte == b'.').count();
    if parts > 3 { token.strip_suffix(b".").unwrap_or(token) } else { token }
}

/// The characters from `start` on, and those of the next lines as long as each is nothing else,
/// apart from indentation, quotes and a backslash at the end of a line.
fn joined(
    text: &[u8],
    start: usize,
    is_part: fn(u8) -> bool,
    lines: usize,
) -> (Zeroizing<Vec<u8>>, usize) {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len().min(MAX_TOKEN_BYTES * 2)));
    let mut at = start;
    for _ in 0..lines {
        let length = text[at..].iter().take_while(|byte| is_part(**byte)).count();
        let room = out.capacity() - out.len(); // it never grows
        out.extend_from_slice(&text[at..at + length.min(room)]);
        at += length;
        match next_line(&text[at..], is_part) {
            Some(more) if length > 0 && lines > 1 => at += more,
            _ => break,
        }
    }
    (out, at)
}

/// The length of the end of this line and of the next one's indentation, if the next one goes on.
fn next_line(text: &[u8], is_part: fn(u8) -> bool) -> Option<usize> {
    let is_end = |byte: &u8| b"\r\\\"' \t".contains(byte);
    let end = text.iter().take_while(|byte| is_end(byte)).count();
    let rest = text.get(end..)?.strip_prefix(b"\n")?;
    let indent = rest.iter().take_while(|byte| b" \t\"'>|".contains(byte)).count();
    let line = &rest[indent..];
    let part = line.iter().take_while(|byte| is_part(**byte)).count();
    let ends = line.get(part).is_none_or(|byte| b"\r\n\\\"' ,}".contains(byte));
    (part > 0 && ends).then_some(end + 1 + indent)
}

fn without_space(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    out.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    out
}

/// What the signature of a token shows by these keys; nothing if there are none.
pub(crate) fn check_signature(keys: &KeyRing, bytes: &TokenBytes) -> Option<Signature> {
    match decode(bytes.as_bytes(), &mut Scratch::new()) {
        Decoded::Token(token) => keys.check(Signed::of(bytes.as_bytes(), &token)),
        Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_) => None,
    }
}

fn read(bytes: &[u8]) -> Read {
    decoded_token(bytes).map(|token| (token, TokenBytes::copied(bytes)))
}

fn decoded_token(token: &[u8]) -> Result<Token, Option<Malformed>> {
    let mut scratch = Scratch::new();
    match decode(token, &mut scratch) {
        Decoded::Token(token) => return Ok(Token::Bound(Box::new(token.to_claims()))),
        Decoded::Legacy(legacy) => return Ok(Token::Legacy(legacy)),
        Decoded::Malformed(malformed) => return Err(Some(malformed)),
        Decoded::Other => {}
    }
    foreign(token, &mut scratch).map(Token::Foreign).ok_or(None)
}

fn begins(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// The next of these beginnings that is the beginning of a word.
fn next_beginning(text: &str, from: usize, beginnings: &[&str]) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_beginning = |at: &usize| {
        beginnings.iter().any(|it| bytes[*at..].starts_with(it.as_bytes()))
            && (*at == 0 || !is_word(&bytes[..*at]))
    };
    (from..bytes.len()).find(is_beginning)
}

/// Whether a text ends within a word. An escape (`\n`) is none.
fn is_word(before: &[u8]) -> bool {
    let last = before.last().copied().unwrap_or_default();
    (last.is_ascii_alphanumeric() || last == b'_') && !matches!(before, [.., b'\\', _])
}

fn is_of_a_jwt(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte)
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte)
}
