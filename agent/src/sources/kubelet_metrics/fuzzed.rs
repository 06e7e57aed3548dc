//! Any bytes as the metrics of kubelet.

use tokenwatch_core::world::kubelet::metrics::KubeletCounters;

use super::counters;
use super::lines::Lines;

/// The counts are the same however the body is cut, and survive a recording.
pub(crate) fn kubelet_metrics(bytes: &[u8]) {
    let whole = counted([bytes, b""]);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(whole, counted([first, second]));
    let json = serde_json::to_vec(&whole).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<KubeletCounters>(&json).ok(), Some(whole));
}

fn counted(chunks: [&[u8]; 2]) -> KubeletCounters {
    let (mut counters, mut lines) = (KubeletCounters::default(), Lines::default());
    for chunk in chunks {
        lines.push(chunk, |line| counters::take(&mut counters, line));
    }
    lines.finish(|line| counters::take(&mut counters, line));
    counters
}
