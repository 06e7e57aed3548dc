//! When the thread reads the queue of opens, and when it sets missing watches.

use tokenwatch_core::base::time::{Delta, Monotonic};

/// From the first event after a quiet time to the reading: events of one process are together then,
/// and little else.
const FIRST: Delta = Delta::from_millis(5);
/// Shortest time between two readings of a busy queue.
const BETWEEN: Delta = Delta::from_millis(100);
/// Wait before the watches of a volume whose watches have ended are set again.
const AFTER_END: Delta = Delta::from_millis(50);
/// Wait before missing watches are set again. It doubles …
const FIRST_RETRY: Delta = Delta::from_secs(1);
/// … up to this.
const LAST_RETRY: Delta = Delta::from_secs(60);

/// Longest time from a sync of kubelet to its report. The others of that time are in it, too.
const REPORT: Delta = Delta::from_secs(5);
/// Longest time between two reports, also of no sync: the core takes a longer one for a time in
/// which the agent was stopped.
const NO_SYNC: Delta = Delta::from_secs(30);

/// The times of the thread.
#[derive(Debug)]
pub(super) struct Pace {
    started: Monotonic,
    /// When the queue was last read to its end.
    read: Monotonic,
    /// When it was last known to be empty.
    empty: Monotonic,
    reading: Option<Monotonic>,
    retry: Option<Monotonic>,
    /// When syncs were last reported.
    reported: Monotonic,
    /// Whether there are syncs to report.
    has_syncs: bool,
    wait: Delta,
}

impl Pace {
    pub(super) fn new(now: Monotonic) -> Self {
        let (reading, retry, wait) = (None, None, FIRST_RETRY);
        let (reported, has_syncs) = (now, false);
        Self { started: now, read: now, empty: now, reading, retry, reported, has_syncs, wait }
    }

    pub(super) fn has_run_for(&self, time: Delta, now: Monotonic) -> bool {
        now - self.started >= time
    }

    /// The queue has events.
    pub(super) fn plan_reading(&mut self, now: Monotonic) {
        self.reading.get_or_insert((self.read + BETWEEN).max(now + FIRST));
    }

    pub(super) fn is_reading_planned(&self) -> bool {
        self.reading.is_some()
    }

    pub(super) fn is_reading_due(&self, now: Monotonic) -> bool {
        self.reading.is_some_and(|due| due <= now)
    }

    /// The queue was read to its end.
    pub(super) fn read(&mut self, now: Monotonic) {
        (self.read, self.empty, self.reading) = (now, now, None);
    }

    /// The queue is empty.
    pub(super) fn idle(&mut self, now: Monotonic) {
        self.empty = now;
    }

    /// There is more in it.
    pub(super) fn read_partly(&mut self, now: Monotonic) {
        self.reading = Some(now);
    }

    /// When the queue was last known to be empty: what happened before was taken.
    pub(super) fn empty(&self) -> Monotonic {
        self.empty
    }

    /// How long ago the queue was last known to be empty.
    pub(super) fn since_empty(&self, now: Monotonic) -> Delta {
        now - self.empty
    }

    /// Set watches at this time, at the latest.
    pub(super) fn retry_at(&mut self, at: Monotonic) {
        self.retry = Some(self.retry.map_or(at, |planned| planned.min(at)));
    }

    /// Watches have ended. A volume that is mounted again needs new ones.
    pub(super) fn lacking(&mut self, now: Monotonic) {
        self.retry.get_or_insert(now + AFTER_END);
    }

    pub(super) fn is_retry_due(&self, now: Monotonic) -> bool {
        self.retry.is_some_and(|due| due <= now)
    }

    /// Watches were set; or some were not, and there will be another attempt.
    pub(super) fn retried(&mut self, now: Monotonic, has_failed: bool) {
        self.wait = if has_failed { (self.wait + self.wait).min(LAST_RETRY) } else { FIRST_RETRY };
        self.retry = has_failed.then(|| now + self.wait);
    }

    /// Whether there are syncs to report.
    pub(super) fn has_syncs(&mut self, has_syncs: bool) {
        self.has_syncs = has_syncs;
    }

    fn report_due(&self) -> Monotonic {
        self.reported + if self.has_syncs { REPORT } else { NO_SYNC }
    }

    pub(super) fn is_report_due(&self, now: Monotonic) -> bool {
        self.report_due() <= now
    }

    pub(super) fn reported(&mut self, now: Monotonic) {
        (self.reported, self.has_syncs) = (now, false);
    }

    /// When something is due.
    pub(super) fn due(&self) -> Monotonic {
        self.reading.into_iter().chain(self.retry).fold(self.report_due(), Monotonic::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::default() + Delta::from_millis(millis)
    }

    #[test]
    fn a_quiet_queue_is_read_soon_and_a_busy_one_ten_times_a_second() {
        let mut pace = Pace::new(at(0));
        let mut read = Vec::new();
        for millis in 1_000..2_000 {
            pace.plan_reading(at(millis)); // an event each millisecond
            if pace.is_reading_due(at(millis)) {
                pace.read(at(millis));
                read.push(millis);
            }
        }
        assert_eq!(read[..3], [1_005, 1_105, 1_205]);
        assert_eq!(read.len(), 10);
    }

    #[test]
    fn missing_watches_are_set_ever_less_often_and_at_once_after_a_change() {
        let mut pace = Pace::new(at(0));
        pace.retry_at(at(0));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = pace.retry.expect("an attempt");
            assert!(pace.is_retry_due(due));
            pace.retried(due, true);
            waits.push((pace.retry.expect("another one") - due).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        pace.retry_at(at(5));
        assert_eq!(pace.due(), at(5));
        pace.retried(at(5), false);
        assert_eq!(pace.retry, None);
    }

    #[test]
    fn syncs_are_reported_together_and_that_there_are_none_twice_a_minute() {
        let mut pace = Pace::new(at(0));
        assert_eq!(pace.due(), at(30_000));
        pace.has_syncs(true);
        assert_eq!(pace.due(), at(5_000));
        assert!(!pace.is_report_due(at(4_999)) && pace.is_report_due(at(5_000)));
        pace.reported(at(5_000));
        assert_eq!(pace.due(), at(35_000));
    }
}
