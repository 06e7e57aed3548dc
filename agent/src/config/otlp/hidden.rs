//! The parts of an endpoint that nobody may see: some services put a key into its path or query.

use http::Uri;

use crate::config::percent::decoded;

/// Segments of the paths of OTLP services, and values of their queries, that are no key: to hide
/// them would take a word out of an answer.
const KNOWN: [&str; 17] = [
    "api",
    "collector",
    "gzip",
    "ingest",
    "insert",
    "json",
    "logs",
    "metrics",
    "opentelemetry",
    "otel",
    "otlp",
    "public",
    "spans",
    "traces",
    "true",
    "v1development",
    "write",
];

/// What `shown_endpoint` leaves out, as it is written and percent-decoded: user and password, the
/// path and each of its segments, the query, each of its parameters and their values.
pub fn hidden_parts(uri: &Uri) -> Vec<String> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    let written = login.into_iter().chain(of_path(uri.path())).chain(of_query(uri.query()));
    let written = written.filter(|part| !is_known(part));
    written.flat_map(|part| [Some(part.to_owned()), decoded(part)]).flatten().collect()
}

/// The whole only if some segment is not known.
fn of_path(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    let end = path.rsplit_once("/v1/").map_or(path, |(before, _)| before);
    let whole = path.split('/').any(|segment| !is_known(segment)).then_some([path, end]);
    whole.into_iter().flatten().chain(path.split('/'))
}

fn of_query(query: Option<&str>) -> impl Iterator<Item = &str> {
    let parameters = query.into_iter().flat_map(|query| query.split('&'));
    let of_each = |one| [Some(one), Some(value(one))].into_iter().flatten();
    query.into_iter().chain(parameters.flat_map(of_each))
}

/// A parameter without a name is a value.
fn value(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(_, value)| value)
}

/// A word of [`KNOWN`], or a version such as `v2`.
fn is_known(part: &str) -> bool {
    let is_version = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
    part.is_empty() || KNOWN.contains(&part) || part.strip_prefix('v').is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_but_well_known_words_is_hidden() {
        let table: [(&str, &[&str]); 8] = [
            ("http://c:4318/v1/logs", &[]),
            ("https://c/api/v2/otlp/v1/logs", &[]),
            ("https://c/1234", &["/1234", "1234"]),
            ("https://c/KEY/v1/logs", &["/KEY/v1/logs", "/KEY", "KEY"]),
            ("https://c/v1/logs?api-key=s3", &["api-key=s3", "s3"]),
            ("https://c/v1/logs?a=1&KEY", &["a=1&KEY", "a=1", "1", "KEY"]),
            ("https://c/?k=a%2Fb=", &["k=a%2Fb=", "k=a/b=", "a%2Fb=", "a/b="]),
            ("https://u:pw@c/", &["u:pw"]),
        ];
        for (endpoint, expected) in table {
            let parts: BTreeSet<_> = hidden_parts(&endpoint.parse().unwrap()).into_iter().collect();
            let expected = expected.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(parts, expected, "{endpoint}");
        }
    }
}
