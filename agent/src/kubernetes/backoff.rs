//! How long to wait before a request is repeated.

use std::time::Duration;

use rand::Rng as _;

use super::Error;

/// First wait. Another API server behind a load balancer is there at once; one that restarts takes
/// ten times as long.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait. The agent notices the end of an outage within a minute, and 5,000 nodes send 80
/// requests a second to a server that has just come back.
const LONGEST: Duration = Duration::from_secs(64);
/// Longest wait that a server can request, so that a wrong header does not stop the agent for a
/// day.
const LONGEST_REQUESTED: Duration = Duration::from_mins(10);

/// Exponential backoff from 1 s to 64 s. Each wait is drawn from the upper half of its range, so
/// that the nodes of a fleet do not retry at the same time.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Starts again from the first wait, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after a failure. A wait that the server requests is lengthened by up to half, for
    /// the same reason as above.
    pub fn after(&mut self, error: &Error) -> Duration {
        let requested = error.retry_after().unwrap_or_default().min(LONGEST_REQUESTED);
        self.next().max(requested.mul_f64(rand::rng().random_range(1.0..=1.5)))
    }

    /// The wait after something that ended too early.
    #[allow(clippy::should_implement_trait)] // it never ends, and it counts
    pub fn next(&mut self) -> Duration {
        let doublings = self.failures.min(6); // 2^6 s is the longest
        let doubled = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for secs in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0] {
            let wait = backoff.next().as_secs_f64();
            assert!((secs / 2.0..=secs).contains(&wait), "{wait} for {secs}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn a_wait_requested_by_the_server_is_kept_within_reason() {
        let busy = |secs: &str| {
            let headers =
                HeaderMap::from_iter([(http::header::RETRY_AFTER, secs.parse().unwrap())]);
            Error::refused(StatusCode::TOO_MANY_REQUESTS, &headers, b"")
        };
        let wait = |secs| Backoff::default().after(&busy(secs)).as_secs_f64();
        assert!((20.0..=30.0).contains(&wait("20")));
        assert!((600.0..=900.0).contains(&wait("86400")));
        assert!(wait("soon") <= 1.0);
    }
}
