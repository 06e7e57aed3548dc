//! That no byte of a token leaves a parser.

use std::cell::RefCell;

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
///
/// Within [`checked`], what is found is a suspect.
pub(crate) fn assert_no_signature(input: &[u8], shown: &str) {
    LOOK.with_borrow_mut(|look| match look {
        Look::Once => {
            let found = shown_signatures(input, shown).next();
            assert!(found.is_none(), "a signature is shown: {shown}");
        }
        Look::First(suspects) => suspects.extend(
            shown_signatures(input, shown)
                .map(|signature| Suspect { signature: signature.into(), shown: shown.into() }),
        ),
        Look::Again(signature, seen) => *seen |= count(shown.as_bytes(), signature) > 0,
    });
}

/// Runs an entry point, and panics where it shows a signature.
///
/// The program has long names of its own, and a fuzzer that compares texts puts them in the place
/// of a signature. What is shown just the same for an input with another signature is such a name.
pub(super) fn checked(run: fn(&[u8]), input: &[u8]) {
    let _reset = Reset;
    LOOK.set(Look::First(Vec::new()));
    run(input);
    let Look::First(suspects) = LOOK.take() else { unreachable!("an entry point ran another") };
    for Suspect { signature, shown } in suspects {
        assert!(is_a_name(run, input, signature), "a signature is shown: {shown}");
    }
}

/// Whether this text is also shown of an input that lacks it. What an entry point makes of its
/// input may have a signature that the input has not: that is never a name.
fn is_a_name(run: fn(&[u8]), input: &[u8], text: Vec<u8>) -> bool {
    let Some(other) = with_another(input, &text) else { return false };
    LOOK.set(Look::Again(text, false));
    run(&other);
    matches!(LOOK.take(), Look::Again(_, true))
}

thread_local! {
    static LOOK: RefCell<Look> = const { RefCell::new(Look::Once) };
}

/// How a thread looks for signatures.
#[derive(Default)]
enum Look {
    /// What is found is a fault.
    #[default]
    Once,
    /// What is found is looked at again.
    First(Vec<Suspect>),
    /// For this one, in what is shown of an input that lacks it; and whether it was seen.
    Again(Vec<u8>, bool),
}

/// The signature of a token in the input, and the text in which it stands.
struct Suspect {
    signature: Vec<u8>,
    shown: String,
}

/// Ends [`checked`], also where an entry point panics.
struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        LOOK.set(Look::Once);
    }
}

/// The input with other characters in the place of the signature, if that stands there once.
fn with_another(input: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let mut places = (0..input.len()).filter(|at| input[*at..].starts_with(signature));
    let (Some(at), None) = (places.next(), places.next()) else { return None };
    let mut other = input.to_vec();
    for byte in &mut other[at..at + signature.len()] {
        *byte = another(*byte);
    }
    Some(other)
}

/// Another character of base64url, of the same kind.
fn another(byte: u8) -> u8 {
    match byte {
        b'z' | b'Z' => byte - 25,
        b'9' => b'0',
        b'-' => b'_',
        b'_' => b'-',
        _ => byte + 1,
    }
}

/// The signatures of tokens in the input that stand there once, and also in what is shown.
fn shown_signatures<'a>(input: &'a [u8], shown: &str) -> impl Iterator<Item = &'a [u8]> {
    let is_shown = |signature: &&[u8]| count(shown.as_bytes(), signature) > 0;
    signatures(input).filter(|signature| count(input, signature) == 1).filter(is_shown)
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

    fn panics(run: fn(&[u8]), input: &str) -> bool {
        std::panic::catch_unwind(|| checked(run, input.as_bytes())).is_err()
    }

    #[test]
    fn a_name_of_the_program_is_no_signature() {
        let names: fn(&[u8]) = |input| assert_no_signature(input, "OTEL_EXPORTER_OTLP_HEADERS");
        let repeats: fn(&[u8]) =
            |input| assert_no_signature(input, &String::from_utf8_lossy(input));
        for signature in ["OTEL_EXPORTER_OTLP_HEADERS", SIGNATURE] {
            let token = format!("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.{signature}");
            assert!(!panics(names, &token), "{token}");
            assert!(panics(repeats, &token), "{token}");
        }
    }

    #[test]
    fn a_token_that_is_not_once_in_the_input_hides_no_fault() {
        let made: fn(&[u8]) = |_| {
            let token = format!("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.{SIGNATURE}");
            assert_no_signature(token.as_bytes(), &token);
        };
        for input in ["{\"exp\":1}".to_owned(), format!("{SIGNATURE} {SIGNATURE}")] {
            assert!(panics(made, &input), "{input}");
        }
    }

    #[test]
    fn after_a_check_a_signature_is_a_fault_at_once() {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.{SIGNATURE}");
        assert!(panics(|_| panic!("a fault of its own"), &token));
        let once = || assert_no_signature(token.as_bytes(), &token);
        assert!(std::panic::catch_unwind(once).is_err());
    }

    #[test]
    fn another_signature_has_no_character_of_the_first_in_its_place() {
        let all = "abzABZ0189-_abzABZ0189-_";
        let other = |input: &str| {
            let other = with_another(input.as_bytes(), all.as_bytes());
            other.map(|other| String::from_utf8(other).unwrap())
        };
        let expected = "eyJ.eyJ.bcaBCA1290_-bcaBCA1290_-.";
        assert_eq!(other(&format!("eyJ.eyJ.{all}.")).as_deref(), Some(expected));
        assert_eq!(other("eyJ.eyJ."), None);
        assert_eq!(other(&format!("{all} {all}")), None);
    }
}
