//! That no byte of a token leaves a parser.

use tokenwatch_core::base::secrecy::{looks_like_a_token, redacted};

/// Shortest signature that is looked for: half of the shortest that an algorithm of JSON Web Tokens
/// has (32 bytes, RFC 7518 section 3.2). A shorter text may be there by chance.
const SHORTEST: usize = 22;

/// Nothing in `shown` looks like a token, and nothing is the signature of one in `input`.
pub(crate) fn assert_no_token(input: &[u8], shown: &str) {
    assert!(!looks_like_a_token(shown), "what is shown looks like a token: {shown}");
    assert_no_signature(input, shown);
}

/// Nothing that is shown of `value` is the signature of a token in `input`: a name from outside may
/// be anything, and every way out replaces what looks like a token in it.
pub(crate) fn assert_shown_without_signature(input: &[u8], value: &str) {
    assert_no_signature(input, &redacted(value));
}

/// Nothing in `shown` is the signature of a token in `input`. A text that also stands elsewhere in
/// the input is none of a token's.
pub(crate) fn assert_no_signature(input: &[u8], shown: &str) {
    let secret = signatures(input).filter(|signature| count(input, signature) == 1);
    for signature in secret {
        assert_eq!(count(shown.as_bytes(), signature), 0, "a signature is shown: {shown}");
    }
}

/// The third part of everything in the bytes that has the form of a token.
fn signatures(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = input.split(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte)));
    words.filter_map(|word| {
        let parts: Vec<&[u8]> = word.split(|byte| *byte == b'.').collect();
        let [header, payload, signature] = parts[..] else { return None };
        let is_token = header.starts_with(b"eyJ") && payload.starts_with(b"eyJ");
        (is_token && signature.len() >= SHORTEST).then_some(signature)
    })
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|window| *window == part).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "c2lnbmF0dXJlLW9mLW5vYm9keQ";

    #[test]
    fn a_signature_that_is_shown_is_found() {
        let token = format!("Bearer eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.{SIGNATURE}");
        let found = signatures(token.as_bytes()).collect::<Vec<_>>();
        assert_eq!(found, [SIGNATURE.as_bytes()]);
        assert_no_token(token.as_bytes(), "a name");
        let shown = format!("pod {SIGNATURE}");
        let leaks = |input: &str| {
            let check = || assert_no_signature(input.as_bytes(), &shown);
            std::panic::catch_unwind(check).is_err()
        };
        assert!(leaks(&token));
        assert!(!leaks(&format!("{token} {SIGNATURE}")), "it may be a name, too");
        assert!(!leaks(SIGNATURE), "it is of no token");
    }
}
