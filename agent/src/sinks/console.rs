//! For people: what would be sent, as lines.
//!
//! A thread of its own writes, behind a bounded queue: a terminal that is stopped, or a pipe that
//! nobody reads, costs lines (counted, and said when writing goes on) and never time. A reader that
//! is gone for good (`| head`) is told: then the agent has nobody to speak to.

mod lines;

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokenwatch_core::engine::Report;
use tokenwatch_core::world::observation::DeliveryState;
use tokio::sync::{oneshot, watch};

use super::ShutdownReport;
pub(crate) use lines::Lines;

/// Blocks of lines that wait to be written. One alert is one block of under 1 kB: a megabyte at
/// worst.
const QUEUE: usize = 1_024;

/// Writes lines.
#[derive(Debug)]
pub struct Console {
    queue: SyncSender<Report>,
    dropped: Arc<AtomicU64>,
    ended: oneshot::Receiver<()>,
    /// Whether nobody will read any more.
    closed: watch::Sender<bool>,
    delivery: watch::Sender<DeliveryState>,
}

impl Console {
    /// On standard output.
    pub fn stdout(colour: bool) -> Result<Self, String> {
        let console = Self::start(Box::new(std::io::stdout()), colour)?;
        let closed = console.closed.clone();
        let watch = move || {
            if wait_for_the_reader_to_go() {
                closed.send_replace(true);
            }
        };
        spawn("stdout", watch)?;
        Ok(console)
    }

    /// Starts the writing thread.
    pub fn start(writer: Box<dyn Write + Send>, colour: bool) -> Result<Self, String> {
        let (queue, actions) = sync_channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let closed = watch::Sender::new(false);
        let writer = Writer {
            out: writer,
            lines: Lines::new(colour),
            dropped: Arc::clone(&dropped),
            closed: closed.clone(),
        };
        let run = move || {
            writer.run(&actions);
            let _ = end.send(()); // nobody waits if the agent did not stop in order
        };
        spawn("console", run)?;
        Ok(Self { queue, dropped, ended, closed, delivery: watch::Sender::default() })
    }

    /// Queues what there is to say; what does not fit is counted.
    pub fn take(&self, actions: Vec<Report>) {
        for action in actions {
            if self.queue.try_send(action).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Nothing ever waits for a collector here.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        self.delivery.subscribe()
    }

    /// Returns once whoever read has gone. An output that fails otherwise may recover.
    pub async fn closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await; // the sender is here
    }

    /// Writes what is queued, within `bound`.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        drop(self.queue);
        let unfinished = tokio::time::timeout(bound, self.ended).await.is_err();
        ShutdownReport { unfinished, ..ShutdownReport::default() }
    }
}

/// Returns once nobody reads standard output any more, even if nothing is written meanwhile: a pipe
/// whose reading end is closed reports an error (poll(2), POLLERR). What has no such end, as a
/// file, never does. False: it cannot be told.
fn wait_for_the_reader_to_go() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(0) | Err(Errno::EINTR) => {}
            told => return told.is_ok(),
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|why| format!("the console cannot be written to: {why}"))
}

struct Writer {
    out: Box<dyn Write + Send>,
    lines: Lines,
    dropped: Arc<AtomicU64>,
    closed: watch::Sender<bool>,
}

impl Writer {
    fn run(mut self, actions: &Receiver<Report>) {
        while let Ok(action) = actions.recv() {
            // Even so the queue is emptied: whoever fills it is about to stop.
            if self.write(&action).is_err_and(|why| why.kind() == ErrorKind::BrokenPipe) {
                self.closed.send_replace(true);
            }
        }
        let _ = self.out.flush();
    }

    fn write(&mut self, action: &Report) -> std::io::Result<()> {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(self.out, "({lost} entries were not shown: the output was not read in time)")?;
        }
        if let Some(text) = self.lines.of(action) {
            self.out.write_all(text.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "console/tests.rs"]
mod tests;
