//! Why a request was refused, by the text of the error.

use tokenwatch_core::world::refusals::RefusalReason;

/// A part of the text, and what it means. The first that matches counts: the texts of one error are
/// joined, and those of tokens come before those of other authenticators.
const TEXTS: &[(&str, RefusalReason)] = &[
    // pkg/serviceaccount/claims.go
    ("token has expired", RefusalReason::Expired),
    ("token is not valid yet", RefusalReason::NotYetValid),
    ("token is issued in the future", RefusalReason::NotYetValid),
    ("token has been invalidated", RefusalReason::Invalidated),
    ("service account UID (", RefusalReason::AccountReplaced),
    ("does not match service account", RefusalReason::ObjectReplaced),
    ("has been deleted", RefusalReason::AccountDeleted),
    ("serviceaccounts ", RefusalReason::AccountDeleted), // `serviceaccounts "x" not found`
    // pkg/serviceaccount/jwt.go
    ("invalid for the target audiences", RefusalReason::Audience),
    ("unable to match the audience", RefusalReason::Audience),
    ("token issuer ", RefusalReason::Issuer),
    ("no keys found", RefusalReason::Signature),
    ("invalid signature", RefusalReason::Signature),
    ("error in cryptographic primitive", RefusalReason::Signature), // go-jose
    // apiserver/pkg/authentication/request/x509
    ("x509: ", RefusalReason::Certificate),
];
/// Before Kubernetes 1.25 the texts began with a capital letter.
const OLD: &[(&str, RefusalReason)] = &[
    ("Token has expired", RefusalReason::Expired),
    ("Token has been invalidated", RefusalReason::Invalidated),
];

/// The reason in the text of an error.
pub(super) fn reason(error: &str) -> RefusalReason {
    let found = TEXTS.iter().chain(OLD).find(|(text, _)| error.contains(text));
    found.map_or(RefusalReason::Other, |(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_an_api_server_has_its_reason() {
        let table = [
            ("[invalid bearer token, service account token has expired]", RefusalReason::Expired),
            ("[invalid bearer token, Token has expired.]", RefusalReason::Expired),
            ("service account token is not valid yet", RefusalReason::NotYetValid),
            ("service account token is issued in the future", RefusalReason::NotYetValid),
            ("service account token has been invalidated", RefusalReason::Invalidated),
            (
                "pod UID (a) does not match service account pod ref claim (b)",
                RefusalReason::ObjectReplaced,
            ),
            ("service account UID (a) does not match claim (b)", RefusalReason::AccountReplaced),
            ("service account shop/cart has been deleted", RefusalReason::AccountDeleted),
            (r#"serviceaccounts \"cart\" not found"#, RefusalReason::AccountDeleted),
            (
                r#"token audiences [\"x\"] is invalid for the target audiences [\"y\"]"#,
                RefusalReason::Audience,
            ),
            (r#"token issuer \"https://a\" is invalid"#, RefusalReason::Issuer),
            ("invalid signature, no keys found", RefusalReason::Signature),
            ("square/go-jose: error in cryptographic primitive", RefusalReason::Signature),
            (
                "verifying certificate SN=1 failed: x509: certificate has expired or is not yet \
                 valid",
                RefusalReason::Certificate,
            ),
            ("[invalid bearer token]", RefusalReason::Other),
            ("", RefusalReason::Other),
        ];
        for (text, expected) in table {
            assert_eq!(reason(text), expected, "{text}");
        }
    }
}
