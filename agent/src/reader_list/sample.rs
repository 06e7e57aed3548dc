//! Example readers for the tests of what shows them.

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::engine::TokenView;
use tokenwatch_core::world::readers::{
    Evidence, Habit, HeldGeneration, ReaderVerdict, ReaderView, Who,
};

/// A reader of `token` at `now` that reads each minute.
pub(crate) fn healthy(token: &TokenView, now: Wall) -> ReaderView {
    let ago = |secs| now - Delta::from_secs(secs);
    ReaderView {
        key: token.key.clone(),
        pod: token.pod.clone(),
        who: Who {
            container: Some("app".into()),
            container_id: None,
            program: Some("cart".into()),
            library: Some("client-go v0.34.1".into()),
        },
        held: Some(HeldGeneration {
            id: "3f0c".into(),
            issued_at: token.claims.issued_at,
            dead_at: token.deadlines.hard,
            dead_without_extension: None,
            exchange: None,
            is_current: true,
        }),
        reads: vec![ago(150), ago(90), ago(30)],
        habit: Habit::Every { period: Delta::from_secs(60) },
        verdict: ReaderVerdict::Current,
        evidence: Vec::new(),
        deadline: None,
        why: None,
    }
}

/// A reader of `token` at `now` that read once, and keeps the generation before.
pub(crate) fn stale(token: &TokenView, now: Wall) -> ReaderView {
    let ago = |secs| now - Delta::from_secs(secs);
    let dead_at = now + Delta::from_secs(424);
    ReaderView {
        who: Who {
            container: Some("worker".into()),
            container_id: None,
            program: Some("python3".into()),
            library: Some("kubernetes 11.0.0".into()),
        },
        held: Some(HeldGeneration {
            id: "9ab1".into(),
            issued_at: ago(3_246),
            dead_at,
            dead_without_extension: None,
            exchange: None,
            is_current: false,
        }),
        reads: vec![ago(3_240)],
        habit: Habit::Once,
        verdict: ReaderVerdict::Stale,
        evidence: vec![Evidence::NotReadAgain, Evidence::Connected],
        deadline: Some(dead_at),
        ..healthy(token, now)
    }
}

/// A reader of `token` at `now` of which nothing can be seen.
pub(crate) fn unknown(token: &TokenView, now: Wall) -> ReaderView {
    ReaderView {
        who: Who::default(),
        held: None,
        reads: Vec::new(),
        habit: Habit::Unknown,
        verdict: ReaderVerdict::Unknown,
        why: Some("the pod runs in gVisor, which opens files itself".into()),
        ..healthy(token, now)
    }
}
