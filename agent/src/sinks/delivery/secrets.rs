//! What the agent sends to a collector and nobody may see: taken out of what the collector answers.

use std::cmp::Reverse;

use crate::config::otlp::{Target, hidden_parts};
use crate::kubernetes::percent_encoded;

/// What stands for something secret.
pub(super) const HIDDEN: &str = "***";
/// Shortest secret that is recognised where a collector repeats it: a shorter one is part of half
/// the words of an answer.
const SHORTEST: usize = 4;
/// Shortest part of an endpoint that is recognised within a word. A shorter one may be a name, such
/// as that of a team: only the whole word is hidden.
const SHORTEST_WITHIN: usize = 8;

/// The secrets of the requests to one target.
pub(super) struct Secrets {
    /// Hidden wherever they are.
    anywhere: Vec<String>,
    /// Hidden where they are a whole word.
    words: Vec<String>,
}

impl Secrets {
    /// The values of headers and their words, and the parts of the endpoint that are not shown.
    pub(super) fn of(target: &Target) -> Self {
        let of_endpoint = of_endpoint(target);
        let (long, short): (Vec<_>, Vec<_>) =
            of_endpoint.partition(|part| part.len() >= SHORTEST_WITHIN);
        let anywhere = longest_first(of_headers(target).chain(long).collect());
        Self { anywhere, words: longest_first(short) }
    }

    /// `text` without them.
    pub(super) fn without(&self, text: &str) -> String {
        let text =
            self.anywhere.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
        self.words.iter().fold(text, |text, word| without_word(&text, word))
    }
}

/// A shorter one may be a part of a longer one.
fn longest_first(mut secrets: Vec<String>) -> Vec<String> {
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    secrets
}

fn of_headers(target: &Target) -> impl Iterator<Item = String> {
    let login = target.route.proxy().and_then(|proxy| proxy.authorization.as_ref());
    let values = target.headers.values().chain(login).filter_map(|value| value.to_str().ok());
    let parts = values.flat_map(|value| std::iter::once(value).chain(value.split(' ')));
    parts.filter(|part| part.len() >= SHORTEST && !is_scheme(part)).map(ToOwned::to_owned)
}

/// Each part in every form in which a server may repeat it.
fn of_endpoint(target: &Target) -> impl Iterator<Item = String> {
    let parts = hidden_parts(&target.endpoint).into_iter();
    let forms = parts.flat_map(|part| [percent_encoded(&part), part]);
    forms.filter(|part| part.len() >= SHORTEST)
}

/// Names of the schemes of an `Authorization` header.
fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "apikey", "token"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn without_word(text: &str, word: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(word) {
        out.push_str(before);
        let is_part =
            out.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        out.push_str(if is_part { word } else { HIDDEN });
        rest = after;
    }
    out + rest
}

/// A word without the queries of the paths and URLs in it, and without users and passwords,
/// whoever's they are.
pub(super) fn without_queries(word: &str) -> String {
    word.split_inclusive(is_no_url).map(without_query).collect()
}

/// What no URL has, and what so ends one in a text (RFC 3986 appendix A).
fn is_no_url(c: char) -> bool {
    "\"<>\\^`{|}".contains(c)
}

fn without_query(piece: &str) -> String {
    let url = piece.trim_end_matches(is_no_url);
    let end = &piece[url.len()..];
    match url.split_once('?') {
        Some((path, query)) if !query.is_empty() && (path.contains('/') || query.contains('=')) => {
            format!("{}?{HIDDEN}{end}", without_login(path))
        }
        Some(_) | None => without_login(url) + end,
    }
}

/// The user is between `//` and the last `@` before the path.
fn without_login(url: &str) -> String {
    let Some((before, after)) = url.split_once("//") else { return url.to_owned() };
    let (authority, path) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{before}//{HIDDEN}@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::otlp::OwnOtlp;
    use crate::config::otlp::tests::resolved;

    /// The text that an answer with `text` to a request to `endpoint` leaves.
    fn without(endpoint: &str, text: &str) -> String {
        let vars = [
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0pz,x-id=7"),
            ("HTTP_PROXY", "http://u:pr0xypass@proxy:1"),
        ];
        let target = resolved(&OwnOtlp::default(), &vars).logs.unwrap();
        Secrets::of(&target).without(text)
    }

    #[test]
    fn what_was_sent_is_hidden_in_every_form() {
        let query = "http://c/v1/logs?api-key=s3cret%2F22chars&t=team";
        let path = "http://c/in/s3cret22/v1/logs";
        let table = [
            (query, "POST /v1/logs?api-key=s3cret%2F22chars&t=team", "POST /v1/logs?***"),
            (query, "no key s3cret/22chars", "no key ***"),
            (query, "no key s3cret%2F22chars", "no key ***"),
            (query, "no key s3cret%252F22chars", "no key ***"),
            (query, "bad t=team; no steam for team", "bad ***; no steam for ***"),
            (path, "Cannot POST /in/s3cret22/v1/logs", "Cannot POST ***"),
            (path, "Cannot POST /in/s3cret22/v1/traces", "Cannot POST ***/v1/traces"),
            (path, "index in s3cret22", "index in ***"),
            (path, "next=%2Fin%2Fs3cret22%2Fv1%2Flogs", "next=***"),
            (path, "logs of v1 are 7 days late", "logs of v1 are 7 days late"),
            (path, "no Bearer t0pz; xt0pz", "no ***; x***"),
            (path, "login dTpwcjB4eXBhc3M= failed", "login *** failed"),
        ];
        for (endpoint, text, expected) in table {
            assert_eq!(without(endpoint, text), expected, "{endpoint}: {text}");
        }
    }

    #[test]
    fn no_url_has_a_query_or_a_login() {
        let table = [
            ("https://c/x?key=abc", "https://c/x?***"),
            (
                r#"{"path":"/v1/logs?key=abc","status":404}"#,
                r#"{"path":"/v1/logs?***","status":404}"#,
            ),
            ("<b>/v1/logs?key=abc</b>", "<b>/v1/logs?***</b>"),
            ("?key=abc", "?***"),
            ("https://u:p@c:1/x@y", "https://***@c:1/x@y"),
            ("//u@c", "//***@c"),
            ("https://u:p@c/x?y", "https://***@c/x?***"),
            ("https://c:4318/v1/logs", "https://c:4318/v1/logs"),
            ("/v1/logs?", "/v1/logs?"),
            ("what?why", "what?why"),
            ("ops@c.example", "ops@c.example"),
        ];
        for (word, expected) in table {
            assert_eq!(without_queries(word), expected);
        }
    }
}
