//! Any bytes as the API server's list of pods, and as the events of its watch.

use tokenwatch_core::world::cluster::{ClusterSeen, Pod};

use super::watch::{event, page};
use crate::fuzzed::{assert_no_token, assert_shown_without_signature};
use crate::kubernetes::Lines;

/// Containers and tokens of a pod that are kept at most (`slim`).
const MAX_PARTS: usize = 32;
/// Longest text of a pod: a name has at most 253 characters, and a path 4,096.
const MAX_TEXT: usize = 4_096;

/// A page, and a watch in two chunks.
pub(crate) fn pods(bytes: &[u8]) {
    match page(bytes) {
        Ok(page) => page.items.iter().for_each(|pod| kept(bytes, pod)),
        Err(error) => assert_no_token(bytes, &error.to_string()),
    }
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let (mut lines, mut whole) = (Lines::default(), Vec::new());
    for chunk in [first, second, b"\n"] {
        whole.extend(lines.push(chunk).unwrap_or_default());
    }
    for line in whole {
        match event(&line) {
            Ok((_, ClusterSeen::Pod(pod))) => kept(bytes, &pod),
            Ok(_) => {}
            Err(error) => assert_no_token(bytes, &error.to_string()),
        }
    }
}

/// What is kept of a pod is bounded, and survives a recording.
fn kept(bytes: &[u8], pod: &Pod) {
    assert_shown_without_signature(bytes, &format!("{pod:?}"));
    assert!(pod.containers.len() <= MAX_PARTS, "{pod:?}");
    for text in [&pod.uid, &pod.namespace, &pod.name] {
        assert!(text.len() <= MAX_TEXT, "{pod:?}");
    }
    let tokens = pod.containers.iter().map(|container| container.tokens.len()).sum::<usize>();
    assert!(tokens <= MAX_PARTS * MAX_PARTS, "{pod:?}");
    let json = serde_json::to_vec(pod).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Pod>(&json).ok().as_ref(), Some(pod));
}
