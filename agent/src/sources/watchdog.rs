//! Whether the sources make progress. A read of a file system that hangs never returns, and so the
//! thread that reads cannot report it: somebody else has to look.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenwatch_core::base::time::{Delta, Monotonic, Reading};
use tokenwatch_core::world::observation::Standstill;
use tokio::sync::Notify;

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
pub struct Watchdog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    works: Mutex<Vec<Arc<Work>>>,
    /// Everything has to be read again.
    again: Notify,
}

/// The work of one source.
#[derive(Debug)]
struct Work {
    source: Source,
    /// When the last step of it began, in nanoseconds since boot.
    since: AtomicI64,
    /// Whether it was done at some time since it was reported to stand still: one more than `read`
    /// was then; 0 if it was not.
    rested: AtomicU64,
    is_reported: AtomicBool,
    /// How often everything had to be read again.
    wanted: AtomicU64,
    /// Up to which of these times everything was read.
    read: AtomicU64,
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
        self.0.rested.store(self.0.read.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The source begins to read everything. Returns what to pass to [`Self::has_read`].
    pub(super) fn begins_to_read(&self) -> u64 {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// The source has read everything.
    pub(super) fn has_read(&self, wanted: u64) {
        self.0.read.store(wanted, Ordering::Relaxed);
    }

    /// Whether a step takes so long at `now` that nothing may be known of what happened since.
    pub(super) fn stands_still(&self, now: Monotonic) -> bool {
        self.0.age(now).is_some()
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
            rested: AtomicU64::new(0),
            is_reported: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            read: AtomicU64::new(0),
        });
        self.works().push(Arc::clone(&work));
        Progress(work)
    }

    /// The sources that stand still at `now` and did not at the last call, or the other way round.
    /// That of token files comes first: each of the others makes the engine judge.
    pub fn changes(&self, now: &Reading) -> Vec<Standstill> {
        let mut changes: Vec<_> = self.works().iter().filter_map(|it| it.change(now)).collect();
        changes.sort_by_key(|change| change.source != Source::Files.name());
        changes
    }

    /// The process did not run from `since` to `now`: it was stopped, or the machine slept. What
    /// the source of token files knows is as old, until it has read everything again.
    pub fn stopped(&self, since: Monotonic, now: &Reading) -> Vec<Standstill> {
        let age = now.monotonic - since;
        let works = self.works();
        let files = works.iter().filter(|work| work.source == Source::Files);
        let stopped = files.filter_map(|work| work.stopped(age, now)).collect();
        self.0.again.notify_one();
        stopped
    }

    /// Waits until everything has to be read again.
    pub(super) async fn again(&self) {
        self.0.again.notified().await;
    }

    fn works(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.0.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// A source that stood still works again only once all its work is done: until then it has not
    /// read what changed meanwhile.
    fn change(&self, now: &Reading) -> Option<Standstill> {
        if self.is_reported.load(Ordering::Relaxed) {
            let rested = self.rested.swap(0, Ordering::Relaxed);
            let is_done = rested > self.wanted.load(Ordering::Relaxed);
            self.is_reported.store(!is_done, Ordering::Relaxed);
            return is_done.then(|| self.standstill(None));
        }
        let age = self.age(now.monotonic)?;
        self.rested.store(0, Ordering::Relaxed);
        self.is_reported.store(true, Ordering::Relaxed);
        Some(self.standstill(Some(now.after(Delta::ZERO - age))))
    }

    /// None if it is known already that it stands still.
    fn stopped(&self, age: Delta, now: &Reading) -> Option<Standstill> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let is_known = self.is_reported.swap(true, Ordering::Relaxed);
        (!is_known).then(|| self.standstill(Some(now.after(Delta::ZERO - age))))
    }

    fn standstill(&self, since: Option<Reading>) -> Standstill {
        Standstill { source: self.source.name().to_owned(), since }
    }

    /// How long a step takes at `now` that is a standstill.
    fn age(&self, now: Monotonic) -> Option<Delta> {
        let since = self.since.load(Ordering::Relaxed);
        let age = now - Monotonic::from_nanos(since);
        (since != RESTING && age >= LIMIT).then_some(age)
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
    fn a_step_that_takes_long_is_a_standstill_until_it_ends() {
        let progress = Watchdog::default().follow(Source::Openers);
        let stands_still =
            |secs| progress.stands_still(clocks::now().monotonic + Delta::from_secs(secs));
        assert!(!stands_still(3_600), "it rests");
        progress.step();
        assert!(!stands_still(1) && stands_still(3));
        progress.rest();
        assert!(!stands_still(3_600));
    }

    #[test]
    fn that_the_files_are_old_is_known_first() {
        let watchdog = Watchdog::default();
        let sources = [Source::Copies, Source::Processes, Source::Files, Source::Openers];
        let works = sources.map(|source| watchdog.follow(source));
        works.iter().for_each(Progress::step);
        let order: Vec<String> = changes(&watchdog, 60).into_iter().map(|(name, _)| name).collect();
        assert_eq!(order.len(), sources.len());
        assert_eq!(order[0], "files");
    }

    #[test]
    fn after_a_stop_only_a_whole_rescan_of_the_files_counts() {
        let watchdog = Watchdog::default();
        let (files, _copies) = (watchdog.follow(Source::Files), watchdog.follow(Source::Copies));
        let early = files.begins_to_read();
        let now = clocks::now();
        let stopped = watchdog.stopped(now.monotonic - Delta::from_secs(60), &now);
        let since = stopped[0].since.unwrap();
        assert_eq!((stopped.len(), stopped[0].source.as_str()), (1, "files"));
        assert_eq!((now.monotonic - since.monotonic).as_secs(), 60);
        files.rest();
        assert_eq!(changes(&watchdog, 0), [], "it has handled an event");
        files.has_read(early);
        files.rest();
        assert_eq!(changes(&watchdog, 0), [], "it began to read before the stop");
        let all = files.begins_to_read();
        files.step();
        files.has_read(all);
        assert_eq!(changes(&watchdog, 0), [], "what it has read is not reported yet");
        files.rest();
        assert_eq!(changes(&watchdog, 0), [("files".to_owned(), None)]);
        assert_eq!(changes(&watchdog, 0), []);
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
