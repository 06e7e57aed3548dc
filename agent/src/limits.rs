//! Whether the limits of this process leave room for what it starts. The runtime cannot report
//! that: it panics.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::EventFd;
use nix::sys::resource::{Resource, getrlimit};

/// Descriptors that have to be left: the runtime takes eight, standard input, output and error are
/// open, and a look at a file, a connection, the state file and inotify need one or two each.
const DESCRIPTORS: usize = 16;

/// What a command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A command that ends: the two threads of the runtime, and one that may block.
    Command,
    /// The agent: also the threads of the log, of standard output (two), of files and of readers
    /// (one each, and one for their events), and two more that may block.
    Agent,
}

impl Needs {
    fn threads(self) -> usize {
        match self {
            Self::Command => 3,
            Self::Agent => 10,
        }
    }
}

/// Why the process cannot do its work.
#[derive(Debug)]
pub enum TooLow {
    /// The limit of open files.
    Descriptors(nix::Error),
    /// The limit of processes and threads: how many are needed, and how many there could be.
    Threads(usize, usize, io::Error),
}

impl fmt::Display for TooLow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors(why) => {
                let limit = getrlimit(Resource::RLIMIT_NOFILE);
                let limit =
                    limit.map_or_else(|_| "unknown".to_owned(), |(soft, _)| soft.to_string());
                write!(
                    f,
                    "cannot start: {DESCRIPTORS} more files cannot be open at once ({}; the limit \
                     is {limit}): raise the limit of open files (RLIMIT_NOFILE, LimitNOFILE=)",
                    why.desc()
                )
            }
            Self::Threads(needed, found, why) => write!(
                f,
                "cannot start: {needed} threads are needed, and the operating system gives {found} \
                 ({why}): raise the limit of processes (RLIMIT_NPROC, TasksMax=, podPidsLimit)"
            ),
        }
    }
}

impl std::error::Error for TooLow {}

/// Tries whether there is room, and leaves nothing behind.
pub fn check(needs: Needs) -> Result<(), TooLow> {
    let opened: Result<Vec<EventFd>, _> = (0..DESCRIPTORS).map(|_| EventFd::new()).collect();
    drop(opened.map_err(TooLow::Descriptors)?);
    threads(needs.threads())
}

/// Starts so many threads at the same time, and ends them.
fn threads(needed: usize) -> Result<(), TooLow> {
    // Each thread ends once this lock is free.
    static TRYING: Mutex<()> = Mutex::new(());
    let trying = TRYING.lock().unwrap_or_else(PoisonError::into_inner);
    let wait = || drop(TRYING.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut started, mut refused) = (Vec::<JoinHandle<()>>::new(), None);
    for _ in 0..needed {
        match thread::Builder::new().spawn(wait) {
            Ok(one) => started.push(one),
            Err(why) => {
                refused = Some(why);
                break;
            }
        }
    }
    drop(trying);
    let found = started.len();
    for one in started {
        drop(one.join()); // it cannot panic
    }
    refused.map_or(Ok(()), |why| Err(TooLow::Threads(needed, found, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_low_limits_can_start_anything() {
        assert!(check(Needs::Agent).is_ok() && check(Needs::Command).is_ok());
    }

    #[test]
    fn a_limit_is_named_with_what_to_raise() {
        let files = TooLow::Descriptors(nix::Error::EMFILE).to_string();
        assert!(files.contains("Too many open files") && files.contains("LimitNOFILE="), "{files}");
        let threads = TooLow::Threads(10, 2, io::ErrorKind::WouldBlock.into()).to_string();
        assert!(threads.contains("10 threads") && threads.contains("podPidsLimit"), "{threads}");
    }
}
