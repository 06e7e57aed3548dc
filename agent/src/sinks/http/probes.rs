//! `/livez` and `/readyz`: the checks, and the text about them.

use std::time::Duration;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::Readiness;

use crate::sinks::Pulse;

/// A step takes milliseconds on a full node. The engine hangs in one that takes this long.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// Longest pauses without a step after which the loop hangs. It wakes at least once per longest
/// pause; an overloaded machine may miss one.
const MISSED_PAUSES: u32 = 2;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    /// Why it failed.
    failure: Option<String>,
}

impl Check {
    /// `failure` is the reason where it has not passed.
    fn new(name: &'static str, has_passed: bool, failure: &str) -> Self {
        Self { name, failure: (!has_passed).then(|| failure.to_owned()) }
    }

    /// A line of the text for the client.
    fn line(&self) -> String {
        match &self.failure {
            Some(failure) => format!("[-]{} failed: {failure}\n", self.name),
            None => format!("[+]{} ok\n", self.name),
        }
    }
}

/// Liveness: kubelet restarts the agent if a check fails.
pub(super) fn live(pulse: Pulse) -> Vec<Check> {
    let secs = pulse.since.as_secs();
    let limit = pulse.longest_pause * MISSED_PAUSES;
    let failure = match pulse {
        Pulse { is_stepping: true, since, .. } if since > LONGEST_STEP => {
            Some(format!("a step began {secs} s ago and has not ended"))
        }
        Pulse { is_stepping: false, since, .. } if since > limit => {
            Some(format!("the last step was {secs} s ago, the limit is {} s", limit.as_secs()))
        }
        _ => None,
    };
    vec![Check { name: "engine", failure }]
}

/// Readiness: whether the agent has read everything once, and still reads it, so that its figures
/// are those of the node.
pub(super) fn ready(readiness: &Readiness, now: &Reading) -> Vec<Check> {
    vec![
        files(readiness, now),
        Check::new(
            "clock",
            !readiness.awaits_clock(now),
            "no time server has answered yet (waits at most 10 s)",
        ),
    ]
}

fn files(readiness: &Readiness, now: &Reading) -> Check {
    if let Some(since) = readiness.read_at(now) {
        let since = since.rfc3339();
        let failure =
            format!("the token files were last read at {since}: a read has not returned since");
        return Check { name: "files", failure: Some(failure) };
    }
    Check::new("files", readiness.is_scanned, "the first scan of the token files is not finished")
}

/// Whether all checks passed, and the text for the client. As for the probes of the API server, the
/// text is `ok`, or one line for each check.
pub(super) fn summary(probe: &str, checks: &[Check], verbose: bool) -> (bool, String) {
    let has_passed = checks.iter().all(|check| check.failure.is_none());
    if has_passed && !verbose {
        return (true, "ok\n".to_owned());
    }
    let lines: String = checks.iter().map(Check::line).collect();
    let outcome = if has_passed { "passed" } else { "failed" };
    (has_passed, format!("{lines}{probe} check {outcome}\n"))
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::base::time::{Delta, Monotonic, Wall};

    use super::*;

    fn pulse(since: u64, is_stepping: bool) -> Pulse {
        Pulse {
            since: Duration::from_secs(since),
            is_stepping,
            longest_pause: Duration::from_mins(5),
        }
    }

    #[test]
    fn an_engine_that_pauses_is_live_and_one_that_hangs_is_not() {
        let is_live =
            |since, is_stepping| summary("livez", &live(pulse(since, is_stepping)), false).0;
        for (since, is_stepping, alive) in [
            (0, false, true),
            (600, false, true),
            (601, false, false),
            (60, true, true),
            (61, true, false),
        ] {
            assert_eq!(is_live(since, is_stepping), alive, "{since} {is_stepping}");
        }
        let (_, text) = summary("livez", &live(pulse(900, false)), false);
        assert_eq!(
            text,
            "[-]engine failed: the last step was 900 s ago, the limit is 600 s\nlivez check \
             failed\n"
        );
    }

    #[test]
    fn readiness_names_what_is_missing() {
        let start =
            Reading { wall: Wall::from_secs(1_800_000_000), monotonic: Monotonic::default() };
        let at = |secs| start.after(Delta::from_secs(secs));
        let waiting = Readiness { clock_ready_at: Some(at(10).monotonic), ..Readiness::default() };
        let (has_passed, text) = summary("readyz", &ready(&waiting, &at(9)), false);
        assert!(
            !has_passed && text.contains("[-]files failed") && text.contains("[-]clock failed"),
            "{text}"
        );
        let scanned = Readiness { is_scanned: true, ..waiting };
        let passed = summary("readyz", &ready(&scanned, &at(10)), false);
        assert_eq!(passed, (true, "ok\n".to_owned()));
        let passed = summary("readyz", &ready(&scanned, &at(10)), true);
        let text = "[+]files ok\n[+]clock ok\nreadyz check passed\n";
        assert_eq!(passed, (true, text.to_owned()));
        let still = Readiness { still_since: Some(start), ..scanned };
        assert!(summary("readyz", &ready(&still, &at(29)), false).0, "a disk under load");
        let (has_passed, text) = summary("readyz", &ready(&still, &at(30)), false);
        assert!(!has_passed && text.contains("last read at 2027-01-15T08:00:00Z"), "{text}");
    }
}
