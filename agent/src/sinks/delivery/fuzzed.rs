//! Any bytes as the answer of a collector, over gRPC and over HTTP, of a proxy in front of it, and
//! as the files for TLS.

use std::path::Path;

use tokenwatch_core::base::time::Wall;
use tokenwatch_otlp::PartialSuccess;
use tonic::{Code, Status};

use super::advice::Time;
use super::backoff::Backoff;
use super::dialer;
use super::failure::Failure;
use super::news::warning;
use super::tls::Material;
use crate::config::otlp::{OwnOtlp, Settings, Target, TlsFiles};
use crate::environment::Environment;
use crate::fuzzed::{Response, assert_no_token};

/// What the agent sends, and a collector may repeat.
const SECRET: &str = "s3cr-et-0f-the-agent";
/// The same in the path of the endpoint.
const KEY: &str = "k3y-0f-the-agent";
const NOW: Wall = Wall::from_secs(1_800_000_000);
/// The longest text of a failure: the reason of the collector has 240 characters, each of which may
/// be escaped, and there may be a redirection, advice and the endpoint.
const MAX_TEXT: usize = 8_192;
/// Longest wait that a collector can request (`backoff`).
const MAX_WAIT: u64 = 600;

/// A [`Response`].
pub(crate) fn otlp(bytes: &[u8]) {
    let Some(target) = target() else { return };
    let response = Response::of(bytes);
    let Response { status, head, body } = response;
    if let Err(error) = dialer::opened(head, &target) {
        is_safe(bytes, &error.to_string());
    }
    if let Some(parts) = response.parts() {
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

/// The authorities, and the certificate with its key.
pub(crate) fn tls(bytes: &[u8], file: &Path) {
    let file = file.to_owned();
    let own = TlsFiles { ca: None, client: Some((file.clone(), file.clone())) };
    for files in [TlsFiles { ca: Some(file), client: None }, own] {
        let config = Material::read(&files).and_then(|material| material.config(&files));
        if let Err(error) = config {
            assert_no_token(bytes, &error.to_string());
        }
    }
}

fn target() -> Option<Target> {
    let headers = vec![("authorization".to_owned(), format!("Bearer {SECRET}"))];
    let own = OwnOtlp {
        endpoint: Some(format!("http://collector.example:4318/{KEY}")),
        headers: headers.into_iter().collect(),
        ..OwnOtlp::default()
    };
    Settings::resolve(&own, &Environment::default()).ok()??.logs
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

    assert!(!text.contains(SECRET) && !text.contains(KEY), "{text}");
    assert!(text.len() <= MAX_TEXT && !text.contains(char::is_control), "{text}");
}
