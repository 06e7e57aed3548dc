//! What the agent sends to a collector and nobody may see: taken out of what the collector answers.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::config::otlp::{Target, hidden_parts};
use crate::kubernetes::percent_encoded;

/// What stands for something secret.
pub(super) const HIDDEN: &str = "***";
/// Shortest secret that is recognised where a collector repeats it: a shorter one is part of half
/// the words of an answer.
const SHORTEST: usize = 4;
/// Shortest part of an endpoint or a login that is recognised within a word. A shorter one may be a
/// name, such as that of a team: only the whole word is hidden.
const SHORTEST_WITHIN: usize = 8;

/// The secrets of the requests to one target.
pub(super) struct Secrets {
    /// Hidden wherever they are.
    anywhere: Vec<String>,
    /// Hidden where they are a whole word.
    words: Vec<String>,
}

impl Secrets {
    /// The values of headers, their words, the logins in them, and the parts of the endpoint that
    /// are not shown.
    pub(super) fn of(target: &Target) -> Self {
        let of_values = values(target).flat_map(words);
        let logins = values(target).filter_map(login).flat_map(of_login);
        let parts = hidden_parts(&target.endpoint).into_iter().chain(logins);
        let (long, short): (Vec<_>, Vec<_>) =
            in_every_form(parts).partition(|part| part.len() >= SHORTEST_WITHIN);
        let anywhere = longest_first(of_values.chain(long).collect());
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

/// The values of the headers, that for the proxy among them.
fn values(target: &Target) -> impl Iterator<Item = &str> {
    let of_proxy = target.route.proxy().and_then(|proxy| proxy.authorization.as_ref());
    target.headers.values().chain(of_proxy).filter_map(|value| value.to_str().ok())
}

fn words(value: &str) -> impl Iterator<Item = String> {
    let parts = std::iter::once(value).chain(value.split(' '));
    parts.filter(|part| part.len() >= SHORTEST && !is_scheme(part)).map(ToOwned::to_owned)
}

/// User and password of a header `Basic …` (RFC 7617).
fn login(value: &str) -> Option<String> {
    let (scheme, login) = value.trim().split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(login.trim()).ok()?;
    String::from_utf8(bytes).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))
}

/// Both together, and the password; without one, some services take the user for a key.
fn of_login(login: String) -> [String; 2] {
    let (user, password) = login.split_once(':').unwrap_or((&login, ""));
    let secret = if password.is_empty() { user } else { password }.to_owned();
    [login, secret]
}

/// Each part in every form in which a server may repeat it.
fn in_every_form(parts: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
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
            (path, "no pr0xypass for u, xpr0xypass", "no *** for u, x***"),
            (path, "login u:pr0xypass, u%3Apr0xypass", "login ***, ***"),
        ];
        for (endpoint, text, expected) in table {
            assert_eq!(without(endpoint, text), expected, "{endpoint}: {text}");
        }
    }

    #[test]
    fn a_login_is_hidden_as_it_is_and_as_it_was_sent() {
        // (user and password, text, expected)
        let table = [
            ("al:p@ss", "no al:p@ss, no al%3Ap%40ss", "no ***, no ***"),
            ("al:p@ss", "wrong password p@ss of al; p@ssage", "wrong password *** of al; p@ssage"),
            ("al:p@ss:w0rd", "no p@ss:w0rd", "no ***"),
            ("k3y0f22chars:", "no key k3y0f22chars", "no key ***"),
            ("k3y0f22chars", "no key k3y0f22chars", "no key ***"),
            ("al:pw", "pw of al", "pw of al"), // too short to differ from a word
        ];
        for (sent, text, expected) in table {
            let header = format!("Basic%20{}", BASE64_STANDARD.encode(sent).replace('=', "%3D"));
            let vars = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
                ("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization={header}")),
            ];
            let target = resolved(&OwnOtlp::default(), &vars).logs.unwrap();
            assert_eq!(Secrets::of(&target).without(text), expected, "{sent}");
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
