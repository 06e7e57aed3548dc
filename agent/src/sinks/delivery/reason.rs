//! The collector's own reason in an answer, made safe to show: bounded, without control characters,
//! and without anything that looks like a secret.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Uri};
use prost::Message as _;
use serde_json::Value;
use tokenwatch_core::base::text::escaped;

use super::rpc::RpcStatus;
use super::secrets::{HIDDEN, Secrets, without_queries};
use crate::config::otlp::{Target, shown_endpoint};

/// Characters of a reason that are shown. Collectors need a line; a page of HTML has no reason.
const MOST_SHOWN: usize = 240;
/// Bytes of an answer that are looked at.
const MOST_READ: usize = 16 << 10;
/// Runs of characters of base64, base64url or hex that are as long as this are taken for a key.
/// Longer than a UUID, and than the names of most things.
const LENGTH_OF_A_KEY: usize = 40;

/// The reason in the body of an HTTP answer; empty if there is none. The answer may repeat what was
/// sent to `target`.
pub(super) fn in_body(headers: &HeaderMap, body: &[u8], target: &Target) -> String {
    let body = body.get(..MOST_READ).unwrap_or(body);
    let content = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    safe(&text_of(content.unwrap_or_default(), body).unwrap_or_default(), target)
}

/// Where an answer redirects to, shown as an endpoint is; none if that is no URL.
pub(super) fn location(headers: &HeaderMap, target: &Target) -> Option<String> {
    let to = headers.get(LOCATION)?.to_str().ok()?;
    let to = absolute(to, &target.endpoint).parse().ok()?;
    Some(safe(&shown_endpoint(&to), target))
}

/// A reference as a URL, as far as scheme and host go (RFC 3986 section 4.2).
fn absolute(reference: &str, base: &Uri) -> String {
    let scheme = base.scheme_str().unwrap_or("http");
    let host = base.authority().map_or("", |authority| authority.as_str());
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    match reference.strip_prefix('/') {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None if reference.contains("://") => reference.to_owned(),
        None => format!("{scheme}://{host}/{reference}"),
    }
}

/// `text` of a collector, safe to show.
pub(super) fn safe(text: &str, target: &Target) -> String {
    let text = Secrets::of(target).without(text);
    let words: Vec<String> = text.split_whitespace().map(without_queries).collect();
    let hidden = without_credentials(words).join(" ");
    let shown: String = escaped(&hidden).chars().take(MOST_SHOWN).collect();
    if shown.chars().count() == MOST_SHOWN { shown + "…" } else { shown }
}

/// By content type; without one, whatever the body can be read as.
fn text_of(content: &str, body: &[u8]) -> Option<String> {
    if content.contains("json") {
        return in_json(body).or_else(|| plain(body));
    }
    if content.contains("html") {
        return plain(body).map(|text| without_tags(&text));
    }
    if content.contains("protobuf") || content.contains("grpc") {
        return in_status(body).or_else(|| in_json(body)).or_else(|| plain(body));
    }
    in_json(body)
        .or_else(|| plain(body))
        .map(|text| without_tags(&text))
        .or_else(|| in_status(body))
}

/// A `google.rpc.Status`.
fn in_status(body: &[u8]) -> Option<String> {
    let status = RpcStatus::decode(body).ok()?;
    (!status.message.is_empty()).then_some(status.message)
}

/// The names that backends use, in the order in which they are preferred.
const JSON_NAMES: [&str; 8] =
    ["message", "error_description", "error", "detail", "details", "reason", "title", "errors"];

fn in_json(body: &[u8]) -> Option<String> {
    in_value(&serde_json::from_slice(body).ok()?)
}

fn in_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(values) => values.iter().find_map(in_value),
        Value::Object(map) => JSON_NAMES.iter().find_map(|name| in_value(map.get(*name)?)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Text, if it is UTF-8 and no binary data. The end may be cut within a character.
fn plain(body: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if body.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_binary = |c: char| c.is_control() && !"\n\r\t\x1b".contains(c);
    let is_text = !text.trim().is_empty() && !text.contains(is_binary);
    is_text.then(|| text.to_owned())
}

/// A page of HTML without its tags and without what is in its `<style>` and `<script>`.
fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((tag, after)) = after.split_once('>') else { return text.to_owned() };
        out.push_str(before);
        out.push(' ');
        rest = after_element(&tag.to_ascii_lowercase(), after);
    }
    out.push_str(rest);
    out
}

fn after_element<'a>(tag: &str, after: &'a str) -> &'a str {
    let end = match tag.split_whitespace().next() {
        Some("style") => "</style",
        Some("script") => "</script",
        _ => return after,
    };
    after.find(end).map_or("", |at| &after[at..])
}

/// The word after `Bearer` or `Basic` is a credential, and so is one that looks like a token or a
/// key.
fn without_credentials(words: Vec<String>) -> Vec<String> {
    let mut is_next = false;
    let mut hide = |word: String| {
        let is_secret = std::mem::take(&mut is_next);
        is_next = is_authorization(&word);
        if is_secret { HIDDEN.to_owned() } else { without_keys(&word) }
    };
    words.into_iter().map(&mut hide).collect()
}

fn is_authorization(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn without_keys(word: &str) -> String {
    let is_of_a_key = |c: char| c.is_ascii_alphanumeric() || "-_+/.=".contains(c);
    let mut out = String::with_capacity(word.len());
    for piece in word.split_inclusive(|c| !is_of_a_key(c)) {
        let run = piece.trim_end_matches(|c| !is_of_a_key(c));
        let shown = if is_key(run) { HIDDEN } else { run };
        out.extend([shown, &piece[run.len()..]]);
    }
    out
}

/// Every token begins with `{"` in base64url. A key of a vendor is long and has digits; a path, a
/// URL or the name of a gRPC method has dots and slashes between words.
fn is_key(run: &str) -> bool {
    let longest = run.split(['/', '.']).map(str::len).max().unwrap_or_default();
    let has_digits = run.contains(|c: char| c.is_ascii_digit());
    run.contains("eyJ") || (has_digits && longest >= LENGTH_OF_A_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::otlp::OwnOtlp;
    use crate::config::otlp::tests::resolved;

    fn target() -> Target {
        let vars = [
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://c:4318/v1/logs?api-key=s3cret22chars"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr-et"),
        ];
        resolved(&OwnOtlp::default(), &vars).logs.unwrap()
    }

    fn reason(content: &str, body: &[u8]) -> String {
        let headers = match content {
            "" => HeaderMap::new(),
            content => HeaderMap::from_iter([(CONTENT_TYPE, content.parse().unwrap())]),
        };
        in_body(&headers, body, &target())
    }

    fn status(message: &str) -> Vec<u8> {
        RpcStatus { code: 8, message: message.into(), details: Vec::new() }.encode_to_vec()
    }

    #[test]
    fn the_reason_is_found_whatever_the_answer_is_made_of() {
        let json = "application/json";
        let table: [(&str, &[u8], &str); 15] = [
            ("text/plain", b"ingester is full\n", "ingester is full"),
            ("", b"ingester is full", "ingester is full"),
            ("application/x-protobuf", &status("slow down"), "slow down"),
            ("", &status("slow down"), "slow down"),
            ("application/x-protobuf", b"in fact it is text", "in fact it is text"),
            (json, br#"{"code": 8, "message": "too many"}"#, "too many"),
            (json, br#"{"error": "no such tenant"}"#, "no such tenant"),
            (json, br#"{"error": {"message": "no such tenant"}}"#, "no such tenant"),
            (json, br#"{"errors": [{"detail": "bad"}, "x"]}"#, "bad"),
            (json, b"not JSON", "not JSON"),
            ("", br#"{"message": "unlabelled"}"#, "unlabelled"),
            (
                "text/html",
                b"<html><style>p {x: y}</style><h1>502 Bad Gateway</h1>nginx</html>",
                "502 Bad Gateway nginx",
            ),
            ("text/plain; charset=utf-8", b"a\x1b[31mb\nc", "a\\u{1b}[31mb c"),
            ("text/plain", b"\x00\x01\x02", ""),
            ("", b"", ""),
        ];
        for (content, body, expected) in table {
            assert_eq!(reason(content, body), expected, "{content}: {body:?}");
        }
    }

    #[test]
    fn a_redirection_is_shown_as_an_endpoint_is() {
        let shown = |to: &str| {
            let headers = HeaderMap::from_iter([(LOCATION, to.parse().unwrap())]);
            location(&headers, &target())
        };
        let table = [
            ("https://c:4318/v1/logs?api-key=s3cret22chars", "https://c:4318/v1/logs"),
            ("/v1/logs?api-key=s3cret22chars#s3cret22chars", "https://c:4318/v1/logs"),
            ("/login?next=https://other/", "https://c:4318/…"),
            ("//other/login", "https://other/…"),
            ("login", "https://c:4318/…"),
            ("http://user:password@other/s3cret22chars/v1/logs", "http://other/…/v1/logs"),
            ("https://s3cret22chars.example/", "https://***.example/"),
        ];
        for (to, expected) in table {
            assert_eq!(shown(to).as_deref(), Some(expected), "{to}");
        }
        assert_eq!(shown("https://a b/"), None);
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(reason("", "ü ".repeat(5_000).as_bytes()).chars().count(), MOST_SHOWN + 1);
    }

    #[test]
    fn nothing_that_looks_like_a_secret_is_repeated() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        let key = "glc_0123456789abcdef0123456789abcdef01234567";
        for text in [
            format!("invalid token {token}!"),
            format!("invalid token:{token}"),
            format!("Authorization: Bearer {token}"),
            "bad header \"Bearer s3cr-et\"".to_owned(),
            "key=s3cr-et is unknown".to_owned(),
            "Cannot POST /v1/logs?api-key=s3cret22chars".to_owned(),
            "Cannot GET https://user:pass@other/?x=s3cr-et2".to_owned(),
            "Authorization: Basic dXNlcjpwYXNz".to_owned(),
            format!("api key {key} is revoked"),
            format!(r#"{{"message": "token {token}"}}"#),
        ] {
            let shown = reason("", text.as_bytes());
            let secrets = ["eyJ", "s3cr-et", "s3cret22chars", "user:pass", "dXNlcjpwYXNz", "glc_"];
            assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        for text in [
            "unknown service opentelemetry.proto.collector.logs.v1.LogsService",
            "POST /v1/logs/v1/logs: page not found",
            "trace 4bf92f3577b34da6a3ce929d0e0e4736 is too old",
        ] {
            assert_eq!(reason("", text.as_bytes()), text);
        }
    }
}
