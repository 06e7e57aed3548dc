//! How long to wait after a failure.

use std::time::Duration;

use rand::Rng as _;

use super::Trouble;

/// The first wait: the next API server behind a load balancer is there at once, one that restarts
/// takes ten times as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: an outage's end is noticed within a minute, and 5,000 nodes are 80 requests a
/// second to what comes back.
const LONGEST: Duration = Duration::from_secs(64);
/// A server may ask for this much at most: nobody is kept away for a day by a broken header.
const LONGEST_ASKED: Duration = Duration::from_mins(10);

/// Doubles from 1 s to 64 s; each wait is drawn from its upper half, so that a fleet does not come
/// back in step.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after this failure; a server that says how long gets up to half as much again, for
    /// the same reason.
    pub fn after(&mut self, trouble: &Trouble) -> Duration {
        let asked = trouble.retry_after().unwrap_or_default().min(LONGEST_ASKED);
        self.next().max(asked.mul_f64(rand::rng().random_range(1.0..=1.5)))
    }

    /// The wait after something that ended too soon.
    #[allow(clippy::should_implement_trait)] // it never ends, and counts
    pub fn next(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST); // 2^6 s is the longest
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn waits_double_and_end_at_a_minute() {
        let mut backoff = Backoff::default();
        for secs in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0] {
            let wait = backoff.next().as_secs_f64();
            assert!((secs / 2.0..=secs).contains(&wait), "{wait} for {secs}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_within_reason() {
        let asking = |secs: &str| {
            let headers =
                HeaderMap::from_iter([(http::header::RETRY_AFTER, secs.parse().unwrap())]);
            Trouble::refused(StatusCode::TOO_MANY_REQUESTS, &headers, b"")
        };
        let wait = |secs| Backoff::default().after(&asking(secs)).as_secs_f64();
        assert!((20.0..=30.0).contains(&wait("20")));
        assert!((600.0..=900.0).contains(&wait("86400")));
        assert!(wait("soon") <= 1.0);
    }
}
