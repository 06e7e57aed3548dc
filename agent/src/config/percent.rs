//! Percent-encoding (RFC 3986 section 2.1).

/// Nothing if an escape is broken or the outcome is not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let decoded =
            if byte == b'%' { 16 * hex(bytes.next()?)? + hex(bytes.next()?)? } else { byte };
        out.push(decoded);
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
