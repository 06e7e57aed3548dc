//! What input without a token looks like, and what to pass instead. No byte of it is shown: it may
//! be a secret of another kind.

use crate::sources::tokens::place::{is_kind, is_kubeconfig};

/// In words.
pub(super) fn of(text: &str) -> &'static str {
    let text = text.trim();
    if text.is_empty() {
        return "the input is empty";
    }
    RULES.iter().find(|(is_it, _)| is_it(text)).map_or("some other text", |(_, what)| what)
}

/// Whether a text is it, and what it is.
type Rule = (fn(&str) -> bool, &'static str);

/// The first that applies is it.
const RULES: &[Rule] = &[
    (
        is_hidden,
        "the token is hidden there: kubectl shows it with `kubectl config view --raw`, and never \
         in its log",
    ),
    (is_certificate, "a certificate or a key in PEM"),
    (
        |text| is_kubeconfig(text) && text.contains("tokenFile"),
        "a kubeconfig without a token of its own: its tokenFile names the file that holds one; \
         pass that file",
    ),
    (
        |text| is_kubeconfig(text) && text.contains("exec"),
        "a kubeconfig without a token: its users[].user.exec names the command that prints one; \
         pass the output of that command",
    ),
    (
        is_kubeconfig,
        "a kubeconfig (YAML or JSON) without a token in users[].user.token: its users sign in by \
         certificate or by other means",
    ),
    (
        |text| text.contains("k8s-aws-v1."),
        "a token of AWS (`aws eks get-token`): a signed URL and no JWT; it is valid for 15 minutes",
    ),
    (|text| text.starts_with("sha256~"), "an OAuth token of OpenShift, which is no JWT"),
    (|text| text.starts_with("ya29."), "an access token of Google, which is no JWT"),
    (is_bootstrap_token, "a bootstrap token of kubeadm, which is no JWT"),
    (
        is_payload,
        "JSON that looks like the decoded part of a JWT; pass the whole token, as it was encoded",
    ),
    (
        |text| is_kind(text, "TokenRequest") || is_kind(text, "ExecCredential"),
        "an object without a token in status.token: pass the answer, not the request",
    ),
    (
        |text| is_kind(text, "Secret"),
        "JSON or YAML of a Secret without a token in data.token: only Secrets of the type \
         kubernetes.io/service-account-token have one",
    ),
    (|text| text.starts_with(['{', '[']), "JSON without a token in it"),
    (
        |text| text.starts_with("apiVersion:") || text.starts_with("kind:"),
        "YAML without a token in it, perhaps a manifest",
    ),
    (
        is_header,
        "the value of a header, and what follows the word Bearer is no JWT; only the token is \
         needed",
    ),
    (
        |text| text.len() >= 24 && text.bytes().all(is_of_base64),
        "perhaps base64 of something without a token (`base64 -d` decodes it), or the end of a \
         token that was cut",
    ),
];

/// What kubectl writes in the place of secrets.
fn is_hidden(text: &str) -> bool {
    ["REDACTED", "DATA+OMITTED", "<masked>", "--- TRUNCATED ---"].iter().any(|it| text.contains(it))
        && !text.contains("-----BEGIN")
}

fn is_certificate(text: &str) -> bool {
    text.starts_with("-----BEGIN")
}

/// Six and sixteen characters (kubeadm's bootstrap tokens).
fn is_bootstrap_token(text: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split_once('.').is_some_and(|(id, secret)| {
        id.len() == 6 && secret.len() == 16 && is_part(id) && is_part(secret)
    })
}

fn is_payload(text: &str) -> bool {
    let has = |claim: &str| text.contains(&format!("\"{claim}\""));
    text.starts_with('{') && (has("alg") || (has("exp") && (has("iss") || has("sub"))))
}

fn is_header(text: &str) -> bool {
    text.split_whitespace()
        .any(|word| word.trim_matches(['"', '\'']).eq_ignore_ascii_case("bearer"))
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=-_".contains(&byte)
}
