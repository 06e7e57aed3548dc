//! What is replaced, and what is not.

use proptest::prelude::*;

use super::secrecy::{REDACTED, looks_like_a_token, redacted, redacted_input};

/// A header with a key id, a payload and a signature, as the API server makes them.
const HEADER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5aYkwifQ";
const PAYLOAD: &str = "eyJhdWQiOlsiaHR0cHM6Ly9rdWJlcm5ldGVzIl0sImV4cCI6MTc0OTIwNzM1NX0";
const SIGNATURE: &str = "Zm9vYmFyLXNpZ25hdHVyZV90aGF0LW5vYm9keS1zZWVz";

fn token() -> String {
    format!("{HEADER}.{PAYLOAD}.{SIGNATURE}")
}

/// What stays, with `@` for what is replaced.
fn seen(text: &str) -> String {
    redacted(text).replace(REDACTED, "@")
}

#[test]
fn tokens_and_their_parts_are_replaced_in_any_surroundings() {
    let token = token();
    for (around, left) in [
        ("T", "@"),
        ("unexpected argument 'T' found", "unexpected argument '@' found"),
        ("--output=T", "--output=@"),
        ("--T", "--@"),
        ("/tmp/T: no such file", "/tmp/@: no such file"),
        ("/tmp/T/token", "/tmp/@/token"),
        ("https://x/y?token=T&z=1", "https://x/y?token=@&z=1"),
        ("https://user:T@host/", "https://user:@@host/"),
        ("Authorization: Bearer T", "Authorization: Bearer @"),
        ("authorization=Bearer%20T,x=y", "authorization=Bearer%20@,x=y"),
        (r#"{"token":"T","x":1}"#, r#"{"token":"@","x":1}"#),
        (r#"invalid type: string \"T\", expected"#, r#"invalid type: string \"@\", expected"#),
        (r"a\nT\n", r"a\n@\n"),
        ("%22T%22", "%22@"),
        ("token:T.", "token:@."),
        ("T... is no file", "@... is no file"),
        ("NAME_T", "NAME_@"),
        ("(T)", "(@)"),
        ("xT", "x@"),
        ("‘T’ is", "‘@’ is"),
    ] {
        for (text, what) in [
            (token.as_str(), "token"),
            (HEADER, "header"),
            (PAYLOAD, "payload"),
            (&token[..17], "cut off"),
        ] {
            assert_eq!(seen(&around.replace('T', text)), left, "{what} in {around}");
        }
    }
}

#[test]
fn short_hidden_and_encoded_tokens_are_replaced() {
    let (dot, twice) = (token().replace('.', "%2E"), token().replace('.', "%252e"));
    for text in [
        "eyJ",
        "eyJhbGciOi",
        "eyJhbGciOiJub25lIn0.e30.",
        dot.as_str(),
        twice.as_str(),
        "ewogICJhbGciOiAiUlMyNTYiCn0.e30.c2ln",
        "ew0KImFsZyI6IlJTMjU2In0",
        "eyAiYWxnIjoiUlMyNTYifQ.e30.c2ln",
        "eyJhbGci\u{200b}OiJSUzI1NiJ9\u{fffd}.e30.c2ln",
        "eyJhbGciOi…c2ln",
        r"eyJhbGciOi\u200bc2ln\u{200b}abc",
        "eyjhbgcioijsuzi1niisimtpzci6im5aykwifq.eyjhdwq",
        "ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZTMwLmMybG4=",
        "ZXlKaGJHY2k",
    ] {
        let left = seen(text);
        assert!(left.trim_end_matches('.') == "@", "{text}: {left}");
        assert!(looks_like_a_token(text), "{text}");
    }
}

#[test]
fn a_wrapped_token_is_replaced_to_its_last_line() {
    let (token, width) = (token(), 40);
    let lines: Vec<&str> =
        (0..token.len()).step_by(width).map(|at| &token[at..token.len().min(at + width)]).collect();
    for end in ["\n", "\r\n", "\n    ", "\\\n  ", "\\n", "\\u{a}", "\\u000a"] {
        let wrapped = lines.join(end);
        assert_eq!(seen(&wrapped), "@", "{end:?}");
        assert_eq!(seen(&format!("'{wrapped}' found")), "'@' found", "{end:?}");
    }
    // The next line of a log is none of a token.
    let two = format!("read {token}\n2026-11-28T10:00:00Z stopping\n");
    assert_eq!(seen(&two), "read @\n2026-11-28T10:00:00Z stopping\n");
    assert_eq!(seen("eyJ\nstopping\n"), "@\nstopping\n");
}

#[test]
fn what_follows_the_word_bearer_is_replaced_unless_it_is_prose() {
    for (text, left) in [
        ("Bearer hunter2", "Bearer @"),
        ("bearer: \"hunter2\"", "bearer: \"@\""),
        ("authorization=Bearer%20hunter2", "authorization=Bearer%20@"),
        ("Bearer aBcD", "Bearer @"),
        ("Bearer abcdefghijklmnopqrstuvwxyz", "Bearer @"),
        ("the word Bearer and what follows", "the word Bearer and what follows"),
        ("invalid bearer token, or none", "invalid bearer token, or none"),
        ("Bearer realm=\"x\"", "Bearer realm=\"x\""),
        ("Bearer", "Bearer"),
        ("Bearer ", "Bearer "),
        ("forbearers 2", "forbearers 2"),
    ] {
        assert_eq!(seen(text), left);
    }
}

#[test]
fn ordinary_words_stay() {
    for text in [
        "",
        "no token here.\n",
        "keyJson keyJobManager HockeyJersey2026 surveyJobs moneyAmounts keyAttributes newoption",
        "they ate; eyewitness; eye; ewok; ZXing; Eyjafjallajokull",
        "e51f1fbc-4733-4b85-a59f-ba80c0523874",
        "0123456789abcdef0123456789abcdef",
        "nZbLmF1c3QtYmUtYS1LZXktSWQtb2YtNDMtY2hhcnM0",
        "https://A1B2C3D4E5F60718293A4B5C6D7E8F90.gr7.us-east-1.eks.amazonaws.com",
        "TOKENWATCH_OTLP_CLIENT_CERT_FILE --otlp-client-cert-file",
        "system:serviceaccount:shop:cart",
        "/var/lib/kubelet/pods/uid/volumes/kubernetes.io~projected/kube-api-access-x7k2p/token",
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn an_error_repeats_no_random_word_either() {
    for (text, left) in [
        (SIGNATURE, "@"),
        (
            "unexpected argument 'nZbLmF1c3QtYmUtYS1LZXktSWQ0aBcDeF' found",
            "unexpected argument '@' found",
        ),
        (
            "https://A1B2C3D4E5F60718293A4B5C6D7E8F90.gr7.us-east-1.eks.amazonaws.com",
            "https://A1B2C3D4E5F60718293A4B5C6D7E8F90.gr7.us-east-1.eks.amazonaws.com",
        ),
        ("/nowhere/kubelet-of-the-Node-4711-which-is-gone", "/nowhere/@"),
        ("e51f1fbc-4733-4b85-a59f-ba80c0523874", "e51f1fbc-4733-4b85-a59f-ba80c0523874"),
    ] {
        assert_eq!(redacted_input(text).replace(REDACTED, "@"), left);
    }
}

/// Whoever writes a text must not hold up the agent with it. With the square of its length, each of
/// these takes a minute.
#[test]
fn a_long_text_takes_no_longer_than_its_length() {
    for part in ["eyj-", "aZXlK", "ewo", "aeyA", "eyj", "ZXlKew0-", "x_eyj-", "Bearer ", "eyJ\n"] {
        let text = format!("x{}", part.repeat((64 << 10) / part.len()));
        assert!(redacted_input(&text).len() < text.len() * 10);
    }
}

proptest! {
    #[test]
    fn nothing_of_a_token_is_left_and_nothing_is_replaced_twice(
        before in "[ -~]{0,12}[ \"'=:/%,(]", after in "([ \"'&,)/][ -~]{0,12})?",
        cut in 4..147_usize,
    ) {
        let token = token();
        let part = &token[..cut.min(token.len())];
        let text = format!("{before}{part}{after}");
        let once = redacted(&text).into_owned();
        prop_assert!(!once.contains(part), "{text}: {once}");
        prop_assert_eq!(redacted(&once).into_owned(), once);
    }

    #[test]
    fn any_text_is_survived(
        text in "\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        for text in [text, lossy] {
            let once = redacted_input(&text).into_owned();
            prop_assert_eq!(redacted_input(&once).into_owned(), once.clone());
            prop_assert_eq!(redacted(&once).into_owned(), once);
        }
    }

    /// Of parts that look like one together, or only without the rest of their word.
    #[test]
    fn what_is_left_is_not_replaced_later(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "eyJ", "eyJhbGciOiJSUzI1NiJ9", ".e30.", "ZXlK", "ewo", "Bearer ", "a1", "\n", "%20",
                "x", " ", "\"", "ä", "=",
            ]),
            0..12,
        ),
    ) {
        for once in [redacted(&parts.concat()), redacted_input(&parts.concat())] {
            prop_assert_eq!(redacted(&once), once.as_ref());
        }
    }
}
