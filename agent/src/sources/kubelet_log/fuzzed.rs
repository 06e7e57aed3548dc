//! Any bytes as the log of kubelet, and as an Event of a pod.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::replay::written;
use tokenwatch_core::world::kubelet::errors::{ErrorSource, KubeletError};
use tokenwatch_core::world::observation::Observation;

use super::events::Events;
use super::gather::Gather;
use crate::fuzzed::assert_no_token;
use crate::sources::logs::lines::Lines;
use crate::sources::object_watch::{self, Watched as _};

/// The longest text of an error that is quoted.
const MAX_TEXT: usize = 512;

/// Nothing that looks like a token is kept, and a recording has each error as it was kept.
pub(crate) fn kubelet_log(bytes: &[u8]) {
    let (mut gather, mut lines) = (Gather::default(), Lines::new());
    let (first, second) = bytes.split_at(bytes.len() / 3);
    for chunk in [first, second, b"\n"] {
        lines.push(chunk, |line| gather.line(line));
    }
    gather.settle(ErrorSource::Log, Wall::from_secs(1_795_968_000));
    if let Some(Observation::KubeletErrors(errors)) = gather.report() {
        kept(bytes, &errors);
    }
}

/// A line of a watch.
pub(crate) fn pod_event(bytes: &[u8]) {
    let mut events = Events { node: "n1".to_owned(), errors: Vec::new() };
    match object_watch::event(&mut events, bytes) {
        Ok(version) => assert!(!version.is_empty()),
        Err(error) => assert_no_token(bytes, &error.to_string()),
    }
    kept(bytes, &events.errors);
    assert!(events.report().len() <= 1);
}

fn kept(bytes: &[u8], errors: &[KubeletError]) {
    assert_no_token(bytes, &format!("{errors:?}"));
    assert!(errors.iter().all(|error| error.text.chars().count() <= MAX_TEXT));
    let line = written(&errors).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Vec<KubeletError>>(&line).ok().as_deref(), Some(errors));
}
