//! Lines for standard error that wait for a thread of their own: a pipe that nobody reads, as of a
//! paused pager or a log driver that is stuck, blocks that thread and nobody else.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait: some hundred lines. The thread that writes may have as many in its hands.
const MOST: usize = 64 << 10;

/// What waits.
#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines that were dropped since the last ones were taken.
    dropped: u64,
    /// Whether the thread is writing.
    is_writing: bool,
    way: Way,
}

/// Who writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Whoever has a line.
    #[default]
    Direct,
    /// Nobody yet: a thread that is started later.
    Held,
    /// The thread.
    Thread,
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

/// The lines that wait for one output.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    more: Condvar,
    done: Condvar,
}

impl Waiting {
    /// Nothing waits, and there is no thread.
    pub(super) const fn new() -> Self {
        let lines = Vec::new();
        let state = State { lines, dropped: 0, is_writing: false, way: Way::Direct };
        Self { state: Mutex::new(state), more: Condvar::new(), done: Condvar::new() }
    }

    /// From now on lines wait, for a thread that is started later.
    pub(super) fn hold(&self) {
        let mut state = self.lock();
        if state.way == Way::Direct {
            state.way = Way::Held;
        }
    }

    /// Whether lines wait for a thread that is not started yet.
    pub(super) fn is_held(&self) -> bool {
        self.lock().way == Way::Held
    }

    /// From now on a new thread writes to the output. Fails if the operating system gives none:
    /// then what waits is written here, and each further line by whoever has it.
    pub(super) fn start<W: Write + Send + 'static>(&'static self, to: fn() -> W) -> io::Result<()> {
        let mut state = self.lock();
        if state.way == Way::Thread {
            return Ok(());
        }
        let thread = thread::Builder::new().name("stderr".to_owned());
        let started = thread.spawn(move || self.write(to())).map(drop);
        state.way = if started.is_ok() { Way::Thread } else { Way::Direct };
        if started.is_err() {
            let _ = to().write_all(&std::mem::take(&mut state.lines));
        }
        started
    }

    /// Takes a line, or counts it where there is no room. False if whoever has it is to write it.
    pub(super) fn take(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        match state.way {
            Way::Direct => return false,
            Way::Held | Way::Thread => {}
        }
        if state.lines.len() + line.len() > MOST {
            state.dropped += 1;
        } else {
            state.lines.extend_from_slice(line);
        }
        self.more.notify_one();
        true
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(super) fn finish(&self, limit: Duration) {
        let is_busy = |state: &mut State| state.way == Way::Thread && !state.is_idle();
        drop(self.done.wait_timeout_while(self.lock(), limit, is_busy));
    }

    fn write(&self, mut to: impl Write) {
        loop {
            let (lines, dropped) = self.next();
            // An output that is closed or full has no place to report that.
            let _ = to.write_all(&lines);
            if dropped > 0 {
                let _ = writeln!(to, "({dropped} lines of the log lost: nobody read them in time)");
            }
            let _ = to.flush();
            self.lock().is_writing = false;
            self.done.notify_all();
        }
    }

    fn next(&self) -> (Vec<u8>, u64) {
        let state = self.lock();
        let waits = |state: &mut State| state.is_idle();
        let mut state = self.more.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output that takes each write only when the test lets it.
    struct Stuck {
        go: Receiver<()>,
        out: Sender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.go.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
                self.out.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_is_stuck_costs_lines_and_no_time() {
        static WAITING: Waiting = Waiting::new();
        static OUTPUT: Mutex<Option<Stuck>> = Mutex::new(None);
        let (let_go, go) = channel();
        let (out, written) = channel();
        assert!(!WAITING.take(b"no thread yet\n"));
        WAITING.finish(Duration::from_mins(10));
        WAITING.hold();
        assert!(WAITING.take(b"first\n"));
        WAITING.finish(Duration::from_mins(10));
        *OUTPUT.lock().unwrap() = Some(Stuck { go, out });
        WAITING.start(|| OUTPUT.lock().unwrap().take().unwrap()).unwrap();
        let line = [b'x'; 1_024];
        (0..2_000).for_each(|_| assert!(WAITING.take(&line)));
        WAITING.finish(Duration::ZERO); // it is stuck
        assert!(written.try_recv().is_err());
        (0..200).for_each(|_| let_go.send(()).unwrap());
        WAITING.finish(Duration::from_mins(10));
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let text = String::from_utf8(all).unwrap();
        assert!(text.starts_with("first\n") && text.len() <= 2 * MOST + 1_024, "{}", text.len());
        assert!(text.contains(" lines of the log lost: nobody read them in time)"), "{text}");
        // A closed output ends nothing.
        drop(let_go);
        assert!(WAITING.take(b"last\n"));
        WAITING.finish(Duration::from_mins(10));
    }
}
