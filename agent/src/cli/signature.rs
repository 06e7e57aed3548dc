//! What is known of the signature of a token, for people and for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::tokens::{Signature, SignatureResult};

/// For people, without a full stop. `why_not`: why there was no check, for the end of a sentence.
pub(super) fn text(signature: Option<Signature>, why_not: Option<&str>) -> String {
    match signature {
        Some(Signature { result: SignatureResult::Unsupported(_), .. }) | None => {
            signature.map_or_else(|| not_checked(why_not), |seen| seen.result.meaning().to_owned())
        }
        Some(Signature { result, keys_at }) => {
            let (name, meaning) = (words(result), result.meaning());
            format!("{name}: {meaning}, by the keys of {}", keys_at.rfc3339())
        }
    }
}

/// The same for many tokens: what is well needs no explanation.
pub(super) fn summary(signature: Option<Signature>, why_not: Option<&str>) -> String {
    let is_verified = signature.is_some_and(|seen| seen.result == SignatureResult::Verified);
    if is_verified { words(SignatureResult::Verified).to_owned() } else { text(signature, why_not) }
}

fn words(result: SignatureResult) -> &'static str {
    match result {
        SignatureResult::Verified => "verified",
        SignatureResult::NoSuchKey => "no such key",
        SignatureResult::Damaged => "wrong",
        SignatureResult::OtherKey => "not known",
        SignatureResult::Unsupported(_) => "not checked",
    }
}

fn not_checked(why: Option<&str>) -> String {
    format!("not checked, because {}", why.map_or(NO_KEYS.into(), shown))
}

const NO_KEYS: &str = "the API server has not shown its keys";

/// For scripts.
pub(super) fn json(signature: Option<Signature>, why_not: Option<&str>) -> Value {
    let meaning = text(signature, why_not);
    let (result, keys_at) = signature.map(|seen| (seen.result.name(), seen.keys_at)).unzip();
    json!({
        "result": result.unwrap_or("not_checked"),
        "keys_at": keys_at.map(Wall::rfc3339),
        "meaning": meaning,
    })
}

/// Whether it proves that no API server accepts the token.
pub(super) fn is_wrong(signature: Option<Signature>) -> bool {
    signature.is_some_and(|seen| seen.result == SignatureResult::Damaged)
}
