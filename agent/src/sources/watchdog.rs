//! Whether the sources make progress. A read of a file system that hangs never returns, and so the
//! thread that reads cannot report it: somebody else has to look.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenwatch_core::base::time::{Delta, Monotonic, Reading};
use tokenwatch_core::world::observation::Standstill;

use super::health::Source;
use crate::clocks;

/// From when on a read that has not returned is a standstill: the shortest time from a rotation by
/// kubelet to the moment at which a token that was not replaced is late is 4 s (a token of ten
/// minutes: 96 s after it is due, and a healthy kubelet takes up to 92 s). So no rotation that a
/// source missed in this time makes a token look late.
const LIMIT: Delta = Delta::from_secs(2);
/// Nothing is being read.
const RESTING: i64 = 0;

/// The sources that read files. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Watchdog(Arc<Mutex<Vec<Arc<Work>>>>);

/// The work of one source.
#[derive(Debug)]
struct Work {
    source: Source,
    /// When the last step of it began, in nanoseconds since boot.
    since: AtomicI64,
    /// Whether it was done at some time since it was reported to stand still.
    has_rested: AtomicBool,
    is_reported: AtomicBool,
}

/// What a source shows of its work.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Work>);

impl Progress {
    /// A step of the work begins, after which nothing of an earlier one is left.
    pub(super) fn step(&self) {
        self.0.since.store(clocks::now().monotonic.as_nanos().max(RESTING + 1), Ordering::Relaxed);
    }

    /// All work is done.
    pub(super) fn rest(&self) {
        self.0.since.store(RESTING, Ordering::Relaxed);
        self.0.has_rested.store(true, Ordering::Relaxed);
    }

    /// Does work of one step.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.step();
        let result = work();
        self.rest();
        result
    }
}

impl Watchdog {
    /// Follows the work of a source from now on.
    pub(super) fn follow(&self, source: Source) -> Progress {
        let work = Arc::new(Work {
            source,
            since: AtomicI64::new(RESTING),
            has_rested: AtomicBool::new(false),
            is_reported: AtomicBool::new(false),
        });
        self.works().push(Arc::clone(&work));
        Progress(work)
    }

    /// The sources that stand still at `now` and did not at the last call, or the other way round.
    pub fn changes(&self, now: &Reading) -> Vec<Standstill> {
        self.works().iter().filter_map(|work| work.change(now)).collect()
    }

    fn works(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// A source that stood still works again only once all its work is done: until then it has not
    /// read what changed meanwhile.
    fn change(&self, now: &Reading) -> Option<Standstill> {
        let standstill = |since| Some(Standstill { source: self.source.name().to_owned(), since });
        if self.is_reported.load(Ordering::Relaxed) {
            let has_rested = self.has_rested.swap(false, Ordering::Relaxed);
            self.is_reported.store(!has_rested, Ordering::Relaxed);
            return has_rested.then(|| standstill(None)).flatten();
        }
        let since = self.since.load(Ordering::Relaxed);
        let age = now.monotonic - Monotonic::from_nanos(since);
        if since == RESTING || age < LIMIT {
            return None;
        }
        self.has_rested.store(false, Ordering::Relaxed);
        self.is_reported.store(true, Ordering::Relaxed);
        standstill(Some(now.after(Delta::ZERO - age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(watchdog: &Watchdog, secs: i64) -> Vec<(String, Option<i64>)> {
        let now = clocks::now().after(Delta::from_secs(secs));
        let age = |since: Reading| (now.monotonic - since.monotonic).as_secs();
        let changes = watchdog.changes(&now).into_iter();
        changes.map(|one| (one.source, one.since.map(age))).collect()
    }

    #[test]
    fn a_source_stands_still_from_a_step_that_does_not_end_until_all_is_done() {
        let watchdog = Watchdog::default();
        let (files, copies) = (watchdog.follow(Source::Files), watchdog.follow(Source::Copies));
        assert_eq!(changes(&watchdog, 3_600), [], "nobody has begun");
        files.step();
        copies.during(|| assert_eq!(changes(&watchdog, 1), [], "it takes a while"));
        assert_eq!(changes(&watchdog, 5), [("files".to_owned(), Some(5))]);
        assert_eq!(changes(&watchdog, 9), [], "it is known");
        files.step();
        assert_eq!(changes(&watchdog, 0), [], "there is more to do");
        files.rest();
        files.step();
        assert_eq!(changes(&watchdog, 0), [("files".to_owned(), None)]);
        assert_eq!(changes(&watchdog, 7), [("files".to_owned(), Some(7))], "and again");
    }
}
