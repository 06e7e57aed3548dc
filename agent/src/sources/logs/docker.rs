//! A line of Docker's log files (its driver `json-file`):
//!
//! `{"log":"…\n","stream":"stderr","time":"2026-11-28T04:17:00.123456789Z"}`
//!
//! A part of a line has no `\n` at its end: Docker splits at 16 KiB. The text is not given to a
//! JSON parser, which would keep a copy that nobody wipes.

/// How such a line begins: Docker writes the fields in this order.
const BEGIN: &[u8] = b"{\"log\":\"";
/// What stands before the name of the stream.
const STREAM: &[u8] = b"\"stream\":\"";
/// The escapes of one letter (RFC 8259, section 7), and what each stands for.
const ESCAPES: [(u8, u8); 8] = [
    (b'n', b'\n'),
    (b't', b'\t'),
    (b'r', b'\r'),
    (b'b', 0x08),
    (b'f', 0x0c),
    (b'"', b'"'),
    (b'\\', b'\\'),
    (b'/', b'/'),
];
/// The longest text of one escape, in bytes: a character of UTF-8.
const MAX_CHARACTER: usize = 4;

/// A line as Docker writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Docker<'a> {
    /// The text, with its escapes.
    escaped: &'a [u8],
    /// 0 for `stdout`, 1 for `stderr`.
    pub(super) stream: usize,
}

/// None if the line is not one of Docker's.
pub(super) fn docker(line: &[u8]) -> Option<Docker<'_>> {
    let rest = line.strip_prefix(BEGIN)?;
    let (escaped, rest) = rest.split_at(end(rest)?);
    let at = rest.windows(STREAM.len()).position(|part| part == STREAM)?;
    let stream = &rest[at + STREAM.len()..];
    let is = |name: &[u8]| stream.starts_with(name);
    let stream = [&b"stdout\""[..], b"stderr\""].into_iter().position(is)?;
    Some(Docker { escaped, stream })
}

/// Where a string of JSON ends: at the first quote that is not escaped.
fn end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl Docker<'_> {
    /// Whether the line ends here.
    pub(super) fn is_last(self) -> bool {
        let text = self.escaped.strip_suffix(b"\\n");
        let before = text.unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\');
        text.is_some() && before.count().is_multiple_of(2)
    }

    /// Gives the text away, piece by piece, without the line end. What is no escape of JSON is left
    /// out.
    pub(super) fn pieces(self, mut take: impl FnMut(&[u8])) {
        let length = self.escaped.len() - if self.is_last() { 2 } else { 0 };
        let mut rest = &self.escaped[..length];
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            take(&rest[..at]);
            rest = escape(&rest[at + 1..], &mut take);
        }
        take(rest);
    }
}

/// Gives the text of an escape away, whose backslash was read. Returns what follows it.
fn escape<'a>(text: &'a [u8], take: &mut impl FnMut(&[u8])) -> &'a [u8] {
    let Some((kind, rest)) = text.split_first() else { return &[] };
    if *kind == b'u' {
        return unicode(rest, take);
    }
    if let Some((_, plain)) = ESCAPES.iter().find(|(escape, _)| escape == kind) {
        take(&[*plain]);
    }
    rest
}

/// `003c`, or two of them for a character beyond 16 bits: `d83d\ude00`.
fn unicode<'a>(text: &'a [u8], take: &mut impl FnMut(&[u8])) -> &'a [u8] {
    let Some((first, rest)) = unit(text) else { return text };
    let second = rest.strip_prefix(b"\\u").and_then(unit);
    let pair = second.and_then(|(second, rest)| {
        let character = char::decode_utf16([first, second]).next()?.ok()?;
        (character.len_utf16() == 2).then_some((character, rest))
    });
    let single = char::from_u32(first.into()).map(|character| (character, rest));
    let Some((character, rest)) = pair.or(single) else { return rest };
    take(character.encode_utf8(&mut [0; MAX_CHARACTER]).as_bytes());
    rest
}

/// Four hexadecimal digits, and what follows them.
fn unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(line: &[u8]) -> Option<(String, usize, bool)> {
        let docker = docker(line)?;
        let mut text = Vec::new();
        docker.pieces(|piece| text.extend_from_slice(piece));
        Some((String::from_utf8_lossy(&text).into_owned(), docker.stream, docker.is_last()))
    }

    #[test]
    fn the_text_is_what_the_container_wrote() {
        let time = r#""time":"2026-11-28T04:17:00.1Z"}"#;
        let table = [
            (r"plain\n", "stderr", Some(("plain", 1, true))),
            (r"a part", "stdout", Some(("a part", 0, false))),
            (r#"\"quoted\" \\ \/ \t\n"#, "stderr", Some(("\"quoted\" \\ / \t", 1, true))),
            (r"\u003cnil\u003e \u00e9 \ud83d\ude00\n", "stderr", Some(("<nil> é 😀", 1, true))),
            (r"ends with a backslash\\n", "stderr", Some(("ends with a backslash\\n", 1, false))),
            (r"\\\n", "stderr", Some(("\\", 1, true))),
            (r"\n", "stderr", Some(("", 1, true))),
            ("", "stderr", Some(("", 1, false))),
            (r"\ud83d alone \x \u12", "stderr", Some((" alone  12", 1, false))),
            (r"x\n", "stdin", None),
        ];
        for (log, stream, expected) in table {
            let line = format!(r#"{{"log":"{log}","stream":"{stream}",{time}"#);
            let expected = expected.map(|(text, stream, last)| (text.to_owned(), stream, last));
            assert_eq!(text(line.as_bytes()), expected, "{line}");
        }
        let with_tags = r#"{"log":"a\n","stream":"stdout","attrs":{"tag":"x"},"time":"x"}"#;
        assert_eq!(text(with_tags.as_bytes()), Some(("a".into(), 0, true)));
        for other in ["", "{\"log\":\"", r#"{"log":"a\"#, r#"{"ts":1,"msg":"x"}"#, r#"{"log":"a"}"#]
        {
            assert_eq!(text(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        /// Our reading and that of a JSON parser agree.
        #[test]
        fn any_text_comes_back(log in "\\PC{0,40}|[\\\\\"\n\t/a]{0,20}", is_last in any::<bool>()) {
            let log = log.trim_end_matches('\n').to_owned();
            let end = if is_last { "\n" } else { "" };
            let line = serde_json::json!({"log": format!("{log}{end}")}).to_string();
            let line = line.strip_suffix('}').unwrap_or_default();
            let line = format!("{line},\"stream\":\"stderr\",\"time\":\"x\"}}");
            prop_assert_eq!(text(line.as_bytes()), Some((log, 1, is_last)));
        }

        #[test]
        fn any_bytes_end_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let line = [BEGIN, &bytes, b"\",\"stream\":\"stderr\"}"].concat();
            let _ = text(&bytes);
            let _ = text(&line);
        }
    }
}
