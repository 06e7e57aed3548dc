//! Any bytes as the logs of an API server: its own, and the audit log.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::replay::written;
use tokenwatch_core::world::refusals::ServerLogSeen;

use super::gather::Gather;
use crate::clocks;
use crate::fuzzed::assert_no_token;
use crate::sources::logs::lines::Lines;

/// Nothing that looks like a token is kept, and a recording has what was kept.
pub(crate) fn server_logs(bytes: &[u8]) {
    let (mut gather, mut lines, now) = (Gather::default(), Lines::new(), clocks::timer());
    let (first, second) = bytes.split_at(bytes.len() / 3);
    for chunk in [first, second, b"\n"] {
        lines.push(chunk, |line| gather.line(line, now));
    }
    gather.settle(Some(Wall::from_secs(1_795_968_000)));
    let Some(seen) = gather.report() else { return };
    assert_no_token(bytes, &format!("{seen:?}"));
    let line = written(&seen).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<ServerLogSeen>(&line).ok().as_ref(), Some(&seen));
    assert_eq!(gather.report(), None);
}
