//! Reads on behalf of async code. A read of a disk that hangs never returns, and the runtime has
//! few workers: each read has a thread of its own, and a time limit.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

/// Time limit of the reads of one call. A disk answers within milliseconds, and a busy one within a
/// second or two.
const LIMIT: Duration = Duration::from_secs(5);

thread_local! {
    /// Of a thread that reads for somebody: where it notes what it reads.
    static READING: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// Reads the files of one purpose, one call at a time: a disk that hangs keeps one thread, however
/// often somebody tries. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Locked by the call that reads, until it is done.
    turn: Arc<tokio::sync::Mutex<()>>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Whether a call took longer than the limit. It may be done by now.
    is_late: AtomicBool,
    /// What is being read.
    what: Mutex<String>,
}

impl Progress {
    fn note(&self, what: String) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn no_answer(&self) -> NoAnswer {
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        NoAnswer { what, limit: LIMIT }
    }
}

/// A file that has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    what: String,
    limit: Duration,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, limit) = (&self.what, self.limit.as_secs());
        write!(f, "{what} has not answered within {limit} s: look for a file system that hangs")
    }
}

impl std::error::Error for NoAnswer {}

impl Reads {
    /// Does `read`, which may block, on another thread. Fails after the time limit, and at once
    /// while an earlier call takes longer than that.
    pub async fn run<T, F>(&self, read: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.until(tokio::time::sleep(LIMIT), read).await
    }

    /// The same with any time limit.
    async fn until<T, F>(&self, late: impl Future<Output = ()>, read: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        if self.hangs() {
            return Err(self.progress.no_answer());
        }
        tokio::select! {
            biased;
            Some(outcome) = self.in_turn(read) => return Ok(outcome),
            () = late => {}
        }
        self.progress.is_late.store(true, Ordering::Relaxed);
        Err(self.progress.no_answer())
    }

    fn hangs(&self) -> bool {
        self.progress.is_late.load(Ordering::Relaxed) && self.turn.try_lock().is_err()
    }

    /// None: it panicked, or the runtime is shutting down.
    async fn in_turn<T, F>(&self, read: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let progress = Arc::clone(&self.progress);
        progress.is_late.store(false, Ordering::Relaxed);
        spawn_blocking(move || noted(progress, turn, read)).await.ok()
    }
}

fn noted<T>(progress: Arc<Progress>, turn: OwnedMutexGuard<()>, read: impl FnOnce() -> T) -> T {
    progress.note("a file".to_owned()); // until it is opened
    READING.set(Some(progress));
    let outcome = read();
    READING.set(None);
    drop(turn);
    outcome
}

/// Notes what this thread reads from now on, if it reads for [`Reads`].
pub fn reading(what: impl fmt::Display) {
    READING.with_borrow(|progress| {
        if let Some(progress) = progress {
            progress.note(what.to_string());
        }
    });
}

#[cfg(test)]
impl Reads {
    /// As if the disk hung after `read`, until what this returns is dropped.
    pub(crate) async fn hang(
        &self,
        read: impl FnOnce() + Send + 'static,
    ) -> std::sync::mpsc::Sender<()> {
        let (release, released) = std::sync::mpsc::channel();
        let (hangs, hanging) = tokio::sync::oneshot::channel();
        let read = move || {
            read();
            let _ = hangs.send(()); // it is awaited below
            let _ = released.recv(); // it was dropped
        };
        let late = async { hanging.await.unwrap() };
        self.until(late, read).await.unwrap_err();
        release
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On one thread: with the read on it, the test would never end.
    #[tokio::test]
    async fn a_disk_that_hangs_is_named_and_keeps_one_thread() {
        let reads = Reads::default();
        let release = reads.hang(|| reading("/etc/tls.crt")).await;
        let second = reads.clone().run(|| unreachable!("a second read of that disk")).await;
        assert_eq!(
            second.map_err(|error: NoAnswer| error.to_string()),
            Err::<(), _>(
                "/etc/tls.crt has not answered within 5 s: look for a file system that hangs"
                    .to_owned()
            )
        );
        assert_eq!(Reads::default().run(|| 7).await, Ok(7), "another disk");
        drop(release);
        drop(reads.turn.lock().await);
        assert_eq!(reads.run(|| 7).await, Ok(7), "it answers again");
    }

    #[tokio::test]
    async fn calls_have_their_turns() {
        let reads = Reads::default();
        let (first, second) = tokio::join!(reads.run(|| 1), reads.run(|| 2));
        assert_eq!((first, second), (Ok(1), Ok(2)));
    }
}
