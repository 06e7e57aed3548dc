//! `/livez` and `/readyz`: what is looked at, and what is said about it.

use std::fmt::Write as _;
use std::time::Duration;

use tokenwatch_core::engine::Snapshot;

use crate::sinks::Pulse;

/// A step takes some milliseconds on a full node. One that takes this long will not end.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// The loop wakes by itself after its longest pause. When twice that has gone by nothing drives the
/// engine any more; once could be a machine that had no time for us.
const PAUSES: u32 = 2;
/// The source that says how it is when it has looked at everything once.
const FILES: &str = "files";

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    /// What is wrong.
    wrong: Option<String>,
}

/// Whether kubelet should leave the agent running.
pub(super) fn live(pulse: Pulse) -> Vec<Check> {
    let secs = pulse.since.as_secs();
    let limit = pulse.longest_pause * PAUSES;
    let wrong = match pulse {
        Pulse { is_stepping: true, since, .. } if since > LONGEST_STEP => {
            Some(format!("a step began {secs} s ago and has not ended"))
        }
        Pulse { is_stepping: false, since, .. } if since > limit => {
            Some(format!("the last step was {secs} s ago, the limit is {} s", limit.as_secs()))
        }
        _ => None,
    };
    vec![Check { name: "engine", wrong }]
}

/// Whether what the agent shows is whole.
pub(super) fn ready(snapshot: &Snapshot) -> Vec<Check> {
    let scanned = snapshot.sources.contains_key(FILES);
    vec![
        Check {
            name: "files",
            wrong: (!scanned)
                .then(|| "the first pass over the token files is not finished".to_owned()),
        },
        Check {
            name: "clock",
            wrong: snapshot
                .awaits_clock
                .then(|| "no time server has answered yet; waited for at most 10 s".to_owned()),
        },
    ]
}

/// Whether all is well, and the text that says so. Like the API server's own: `ok`, or each check
/// on a line of its own.
pub(super) fn told(probe: &str, checks: &[Check], verbose: bool) -> (bool, String) {
    let is_well = checks.iter().all(|check| check.wrong.is_none());
    if is_well && !verbose {
        return (true, "ok\n".to_owned());
    }
    let mut text = String::new();
    for check in checks {
        let _ = match &check.wrong {
            Some(wrong) => writeln!(text, "[-]{} failed: {wrong}", check.name),
            None => writeln!(text, "[+]{} ok", check.name),
        }; // writing to a String cannot fail
    }
    let _ = writeln!(text, "{probe} check {}", if is_well { "passed" } else { "failed" });
    (is_well, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(since: u64, is_stepping: bool) -> Pulse {
        Pulse {
            since: Duration::from_secs(since),
            is_stepping,
            longest_pause: Duration::from_mins(5),
        }
    }

    #[test]
    fn an_engine_that_pauses_lives_and_one_that_is_stuck_does_not() {
        let lives = |since, is_stepping| told("livez", &live(pulse(since, is_stepping)), false).0;
        for (since, is_stepping, alive) in [
            (0, false, true),
            (600, false, true),
            (601, false, false),
            (60, true, true),
            (61, true, false),
        ] {
            assert_eq!(lives(since, is_stepping), alive, "{since} {is_stepping}");
        }
        let (_, text) = told("livez", &live(pulse(900, false)), false);
        assert_eq!(
            text,
            "[-]engine failed: the last step was 900 s ago, the limit is 600 s\nlivez check \
             failed\n"
        );
    }

    #[test]
    fn ready_says_what_is_missing() {
        let mut snapshot = Snapshot { awaits_clock: true, ..Snapshot::default() };
        let (is_well, text) = told("readyz", &ready(&snapshot), false);
        assert!(
            !is_well && text.contains("[-]files failed") && text.contains("[-]clock failed"),
            "{text}"
        );
        snapshot.sources.insert("files".to_owned(), false);
        snapshot.awaits_clock = false;
        assert_eq!(
            told("readyz", &ready(&snapshot), false),
            (true, "ok\n".to_owned()),
            "a degraded source is a finding, not a reason to wait"
        );
        assert_eq!(
            told("readyz", &ready(&snapshot), true),
            (true, "[+]files ok\n[+]clock ok\nreadyz check passed\n".to_owned())
        );
    }
}
