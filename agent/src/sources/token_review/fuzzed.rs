//! Any bytes as the answer to a TokenReview.

use tokenwatch_core::base::text::MAX_SHOWN;

use super::request::{MAX_AUDIENCES, parsed};
use crate::fuzzed::assert_no_token;
use crate::sources::fuzzed::is_safe;
use crate::sources::tokens::found::find;

/// The token that is asked about, which an answer may repeat, and a part of its signature.
const TOKEN: &str = include_str!("../signatures/testdata/rsa.token");
const PIECE: usize = 12;
/// Characters of a text: each may be escaped, and it may be cut.
const MAX_TEXT: usize = (MAX_SHOWN + 1) * "\\u{e0041}".len();

/// What is kept of an answer is bounded, and has no piece of the token.
pub(in crate::sources) fn review(input: &[u8], body: &[u8]) {
    let Some(found) = find(TOKEN).tokens.pop() else { return };
    let review = match parsed(body, &found.bytes) {
        Ok(review) => review,
        Err(error) => return is_safe(input, &error),
    };
    assert!(review.audiences.len() <= MAX_AUDIENCES, "{review:?}");
    for text in review.audiences.iter().chain(&review.error) {
        assert!(text.len() <= MAX_TEXT && !text.contains(char::is_control), "{text}");
        assert_no_token(input, text);
        let pieces = || text.as_bytes().windows(PIECE);
        let signature = TOKEN.trim().rsplit('.').next().unwrap_or_default().as_bytes();
        assert!(signature.windows(PIECE).all(|one| pieces().all(|other| other != one)), "{text}");
    }
}
