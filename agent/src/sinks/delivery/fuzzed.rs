//! Any bytes as the answer of a collector, over gRPC and over HTTP.

use http::response::Parts;
use tokenwatch_core::base::time::Wall;
use tokenwatch_otlp::PartialSuccess;
use tonic::{Code, Status};

use super::advice::Time;
use super::backoff::Backoff;
use super::failure::Failure;
use super::news::warning;
use crate::config::otlp::{OwnOtlp, Settings, Target};
use crate::environment::Environment;
use crate::fuzzed::{Numbers, assert_no_token};

/// What the agent sends, and a collector may repeat.
const SECRET: &str = "s3cr-et-0f-the-agent";
const NOW: Wall = Wall::from_secs(1_800_000_000);
/// The longest text of a failure: the reason of the collector has 240 characters, each of which may
/// be escaped, and there may be a redirection, advice and the endpoint.
const MAX_TEXT: usize = 8_192;
/// Longest wait that a collector can request (`backoff`).
const MAX_WAIT: u64 = 600;

/// A status in two bytes, then the headers, each in a line, an empty line, and the body.
pub(crate) fn otlp(bytes: &[u8]) {
    let Some(target) = target() else { return };
    let mut numbers = Numbers::of(bytes);
    let status = u16::from_le_bytes(numbers.bytes());
    let rest = bytes.get(2..).unwrap_or_default();
    let (head, body) = split(rest);
    if let Some(parts) = parts(status, head) {
        judged(bytes, Failure::http(&parts, body, &target, NOW), &target);
        judged(bytes, Failure::not_grpc(&parts, body, &target, NOW), &target);
    }
    let message = String::from_utf8_lossy(head).into_owned();
    let code = Code::from_i32((status % 20).into());
    let status = Status::with_details(code, message, body.to_vec().into());
    judged(bytes, Failure::grpc(&status, &target), &target);
    if let Ok(partial) = PartialSuccess::decode(body)
        && let Some((_, text)) = warning(&partial, "alerts", &target)
    {
        is_safe(bytes, &text);
    }
}

fn target() -> Option<Target> {
    let headers = vec![("authorization".to_owned(), format!("Bearer {SECRET}"))];
    let own = OwnOtlp {
        endpoint: Some("http://collector.example:4318".to_owned()),
        headers: headers.into_iter().collect(),
        ..OwnOtlp::default()
    };
    Settings::resolve(&own, &Environment::default()).ok()??.logs
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (b"", bytes),
    }
}

/// The head of a response, as hyper gives it; none if it would refuse it.
fn parts(status: u16, head: &[u8]) -> Option<Parts> {
    let mut response = http::Response::builder().status(status);
    for line in head.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b':')?;
        response = response.header(&line[..at], line[at + 1..].trim_ascii());
    }
    response.body(()).ok().map(|response| response.into_parts().0)
}

/// What is shown of a failure is bounded and safe, and no wait that is requested is long.
fn judged(bytes: &[u8], failure: Failure, target: &Target) {
    let wait = Backoff::default().after(&failure);
    assert!(wait.as_secs() <= MAX_WAIT, "{failure:?}");
    let explained = failure.explained(target, Time { now: NOW, offset: None });
    is_safe(bytes, &explained.text);
}

fn is_safe(bytes: &[u8], text: &str) {
    assert_no_token(bytes, text);

    assert!(!text.contains(SECRET), "{text}");
    assert!(text.len() <= MAX_TEXT && !text.contains(char::is_control), "{text}");
}
