//! How long to wait after a failure.

use std::time::Duration;

use rand::Rng as _;

use super::failure::{Failure, Kind};

/// The first wait: a collector's restart behind a Service takes about this long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait while the collector cannot be reached: the end of an outage is noticed within
/// it.
const LONGEST: Duration = Duration::from_secs(30);
/// The wait while it refuses for a reason that only people repair: short enough for whoever repairs
/// it to see that it works.
const REFUSED: Duration = Duration::from_mins(1);
/// The longest wait that a server can request: a broken header must not silence alerts for a day.
const LONGEST_REQUESTED: Duration = Duration::from_mins(10);

/// Doubles from 1 s to 30 s; each wait is drawn from its upper half, so that a fleet does not come
/// back in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether the last request failed.
    pub(super) fn is_retrying(&self) -> bool {
        self.failures > 0
    }

    /// The wait after this failure.
    pub(super) fn after(&mut self, failure: &Failure) -> Duration {
        let wait = self.bound(failure);
        let requested = failure.retry_after.unwrap_or_default().min(LONGEST_REQUESTED);
        requested.max(wait.mul_f64(rand::rng().random_range(0.5..=1.0)))
    }

    /// The longest that the next wait can be, when the server requests none.
    fn bound(&mut self, failure: &Failure) -> Duration {
        let doublings = self.failures.min(5); // 2^5 s is past the longest
        let doubled = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        match failure.kind {
            Kind::Refused => REFUSED,
            Kind::Data => FIRST, // what follows is a smaller request
            Kind::Transient | Kind::Connection => doubled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Cause;
    use super::*;

    fn failure(kind: Kind, retry_after: Option<Duration>) -> Failure {
        Failure { retry_after, ..Failure::new(kind, Cause::Request, "no") }
    }

    #[test]
    fn waits_double_and_end_at_thirty_seconds() {
        let mut backoff = Backoff::default();
        for secs in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] {
            let wait = backoff.after(&failure(Kind::Connection, None));
            assert!(
                (secs / 2.0..=secs).contains(&wait.as_secs_f64()),
                "{wait:?} is not about {secs} s"
            );
        }
        backoff.reset();
        assert!(backoff.after(&failure(Kind::Connection, None)) <= Duration::from_secs(1));
    }

    #[test]
    fn a_batch_that_is_refused_is_halved_without_delay() {
        let mut backoff = Backoff::default();
        assert!(
            (0..9).all(|_| backoff.after(&failure(Kind::Data, None)) <= Duration::from_secs(1))
        );
    }

    #[test]
    fn a_server_gets_the_wait_it_requests_within_reason() {
        let requested = |secs| {
            Backoff::default().after(&failure(Kind::Transient, Some(Duration::from_secs(secs))))
        };
        assert_eq!(requested(7), Duration::from_secs(7));
        assert_eq!(requested(86_400), Duration::from_mins(10));
    }

    #[test]
    fn a_refusing_collector_is_tried_slowly() {
        let wait = Backoff::default().after(&failure(Kind::Refused, None));
        assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_mins(1));
    }
}
