//! The bytes of a token file, and what the engine makes of them over the token's life.

use tokenwatch_core::base::text::MAX_SHOWN;
use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::base::value::MAX_LISTED;
use tokenwatch_core::engine::{Config, Engine, Report};
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::AlertEvent;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::{
    Claims, Decoded, FileContent, FileSeen, Scratch, TokenKey, decode, foreign,
};

use super::verdicts::is_refused;
use super::{assert_no_signature, assert_no_token, assert_verdicts, made_signature, made_token};
use crate::sources::tokens::found;

/// Time in which a file must have been read again before it is a finding, and longer than the
/// engine waits for anything else (`grace`, `settle`).
const PATIENCE: Delta = Delta::from_secs(30);
/// The API server's cache of accepted tokens, and the second that a claim is rounded to.
const CACHE: Delta = Delta::from_secs(12);

/// Claims, from which a token is made, so that a change of one bit is one of a claim; or else a
/// token, or a text with tokens.
pub(super) fn token(bytes: &[u8]) {
    // Claims that repeat the signature show it, and may.
    if bytes.starts_with(b"{") && !String::from_utf8_lossy(bytes).contains(&made_signature()) {
        file(made_token(bytes).as_bytes());
    }
    file(bytes);
}

/// As a token file of a pod, and as a text that somebody passes to `explain`.
fn file(bytes: &[u8]) {
    let mut scratch = Scratch::new();
    match decode(bytes, &mut scratch) {
        Decoded::Token(parsed) => kept(bytes, &parsed.to_claims()),
        Decoded::Legacy(legacy) => assert_no_signature(bytes, &format!("{legacy:?}")),
        Decoded::Malformed(why) => assert_no_token(bytes, &format!("{why} {why:?}")),
        Decoded::Other => {}
    }
    assert_no_signature(bytes, &format!("{:?}", foreign(bytes, &mut scratch)));
    if let Some(text) = found::text(bytes) {
        let found = found::find(&text);
        assert!(found.tokens.len() <= found::MAX_FOUND);
        assert_no_signature(bytes, &format!("{found:?}"));
    }
}

/// What is kept of a token is bounded, survives a recording, and is judged rightly.
fn kept(bytes: &[u8], claims: &Claims) {
    assert_no_signature(bytes, &format!("{claims:?}"));
    assert!(claims.audiences.len() <= MAX_LISTED);
    assert!(claims.issuer.len() <= MAX_SHOWN + '…'.len_utf8());
    let json = serde_json::to_vec(claims).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Claims>(&json).ok().as_ref(), Some(claims));
    for seen_at in [claims.issued_at, claims.expires_at - Delta::from_secs(1), claims.expires_at] {
        over_its_life(claims, seen_at);
    }
}

/// One pod with this token, which nobody replaces.
fn over_its_life(claims: &Claims, seen_at: Wall) {
    let mut engine = Engine::new(Config { node: "n1".into(), ..Config::default() });
    let start = Reading { wall: seen_at, monotonic: Monotonic::from_nanos(1) };
    let seen = FileSeen {
        key: TokenKey { pod_uid: "u".into(), volume: "v".into(), path: "token".into() },
        written_at: Some(seen_at),
        directory: None,
        content: FileContent::Token(Box::new(claims.clone())),
        signature: None,
    };
    take(&mut engine, claims, start, Observation::File(seen));
    let moments = [
        start.after(PATIENCE),
        start.after(Delta::from_secs(900)),
        at(start, claims.expires_at + Delta::from_secs(1)),
        at(start, claims.expires_at + Delta::from_secs(400)),
        at(start, claims.expires_at + Delta::from_secs(86_400)),
    ];
    let mut last = start;
    for now in moments.into_iter().filter(|now| now.monotonic > start.monotonic) {
        let now = if now.monotonic > last.monotonic { now } else { last.after(PATIENCE) };
        take(&mut engine, claims, now, Observation::Tick);
        last = now;
    }
}

/// The clocks when the wall clock shows this, if nobody sets it.
fn at(start: Reading, wall: Wall) -> Reading {
    start.after(wall - start.wall)
}

/// One step. Of a token that the API server refuses, something is reported as soon as the engine
/// has waited for what may explain it, and a finding is resolved only where another one goes on.
fn take(engine: &mut Engine, claims: &Claims, now: Reading, observation: Observation) {
    let reports = engine.step(&now, observation).reports;
    assert_verdicts(engine, &now);
    let mut interval = engine.clock(&now).interval(now.wall);
    interval.lo = interval.lo - CACHE;
    if !is_refused(claims, &interval) {
        return;
    }
    let is_of_a_token = |severity| severity >= Severity::Warning;
    let is_reported = engine
        .findings()
        .iter()
        .any(|finding| finding.subject.token_key().is_some() && is_of_a_token(finding.severity));
    let has_waited = now.monotonic - Monotonic::from_nanos(1) >= PATIENCE;
    assert!(is_reported || !has_waited, "nothing is reported of {claims:?} at {now:?}");
    for report in reports {
        if let Report::Alert(alert) = report {
            assert!(alert.event != AlertEvent::Cleared || is_reported, "resolved: {alert:?}");
        }
    }
}
