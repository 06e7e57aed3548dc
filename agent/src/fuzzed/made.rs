//! Tokens that are made from claims: a change of one bit of an input is then one of a claim.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const HEADER: &[u8] = br#"{"alg":"RS256","kid":"k1"}"#;
const SIGNATURE: &[u8] = b"the signature of nobody, which grants nothing";

/// A token with these claims.
pub(crate) fn made_token(claims: &[u8]) -> String {
    let part = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(HEADER), part(claims), made_signature())
}

/// The third part of such a token.
pub(crate) fn made_signature() -> String {
    URL_SAFE_NO_PAD.encode(SIGNATURE)
}
