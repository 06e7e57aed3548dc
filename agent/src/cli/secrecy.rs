//! Arguments that look like a token are not repeated: whoever pastes one in the wrong place would
//! find it in a terminal's history, or in a log.

/// What a token is replaced by.
const HIDDEN: &str = "(a token)";
/// How the header of every token begins: `{"` in base64url.
const BEGIN: &str = "eyJ";

/// `text` with everything that looks like a token replaced.
pub(super) fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_of_a_token(c)) {
        let run = piece.trim_end_matches(|c| !is_of_a_token(c));
        match run.find(BEGIN) {
            Some(at) => out.extend([&run[..at], HIDDEN, &piece[run.len()..]]),
            None => out.push_str(piece),
        }
    }
    out
}

fn is_of_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_replaced() {
        let table = [
            (
                "unexpected argument 'eyJhbGciOi.e30.c2ln' found",
                "unexpected argument '(a token)' found",
            ),
            ("/tmp/eyJhbGciOi.e30.c2ln: no such file", "/tmp/(a token): no such file"),
            ("--output=eyJ", "--output=(a token)"),
            ("eyJ", "(a token)"),
            ("no token here.\n", "no token here.\n"),
            ("", ""),
        ];
        for (text, shown) in table {
            assert_eq!(without_tokens(text), shown);
        }
    }
}
