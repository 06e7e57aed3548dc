//! The console sink: alerts and traces as lines of text on standard output.
//!
//! A separate thread writes, behind a bounded queue. A terminal that is stopped, or a pipe that
//! nobody reads, costs lines but no time: the sink counts the lost lines and prints their number
//! when it can write again. If the reader closes the pipe (`| head`), the agent stops, because its
//! only output is gone.

mod lines;

use std::io::{self, ErrorKind, Write};
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
use crate::streams;
pub(crate) use lines::Lines;

/// Most reports in the queue. One alert takes less than 1 kB, so the queue takes 1 MB at most.
const QUEUE: usize = 1_024;

/// The console sink.
#[derive(Debug)]
pub struct Console {
    queue: SyncSender<Report>,
    dropped: Arc<AtomicU64>,
    ended: oneshot::Receiver<()>,
    /// Whether the reader of the output has closed it.
    closed: watch::Sender<bool>,
    delivery: watch::Sender<DeliveryState>,
}

impl Console {
    /// Starts printing on standard output. Fails if the operating system gives no thread.
    pub fn stdout(colour: bool) -> io::Result<Self> {
        let console = Self::start(Box::new(streams::out()), colour)?;
        let closed = console.closed.clone();
        let watch_reader = move || {
            if wait_until_closed().is_ok() {
                closed.send_replace(true);
            }
        };
        spawn("stdout", watch_reader)?;
        Ok(console)
    }

    /// Starts printing on `out`. Fails if the operating system gives no thread.
    pub fn start(out: Box<dyn Write + Send>, colour: bool) -> io::Result<Self> {
        let (queue, reports) = sync_channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let (dropped, closed) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(false));
        let lines = Lines::new(colour);
        let writer = Writer { out, lines, dropped: Arc::clone(&dropped), closed: closed.clone() };
        let run = move || {
            writer.run(&reports);
            let _ = end.send(()); // fails only if nobody waits for the end
        };
        spawn("console", run)?;
        Ok(Self { queue, dropped, ended, closed, delivery: watch::Sender::default() })
    }

    /// Queues reports, and counts those that do not fit.
    pub fn take(&self, reports: Vec<Report>) {
        for report in reports {
            if self.queue.try_send(report).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Constant: there is no collector to wait for.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        self.delivery.subscribe()
    }

    /// Returns when the reader has closed the output. Other write errors may be temporary (a full
    /// disk): they do not count.
    pub async fn closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await; // the sender is here
    }

    /// Writes the rest of the queue, within `bound`.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        drop(self.queue);
        let unfinished = tokio::time::timeout(bound, self.ended).await.is_err();
        ShutdownReport { unfinished, ..ShutdownReport::default() }
    }
}

/// Returns when the reader of standard output has closed it, even if nothing is written meanwhile:
/// poll(2) then reports POLLERR for a pipe. For a file it never returns. An error means that poll
/// does not work here.
fn wait_until_closed() -> Result<(), Errno> {
    let stdout = streams::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(0) | Err(Errno::EINTR) => {}
            closed => return closed.map(drop),
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

struct Writer {
    out: Box<dyn Write + Send>,
    lines: Lines,
    dropped: Arc<AtomicU64>,
    closed: watch::Sender<bool>,
}

impl Writer {
    fn run(mut self, reports: &Receiver<Report>) {
        while let Ok(report) = reports.recv() {
            // The loop goes on after a broken pipe, so that the queue cannot fill up while the
            // agent stops.
            if self.write(&report).is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
                self.closed.send_replace(true);
            }
        }
        let _ = self.out.flush();
    }

    fn write(&mut self, report: &Report) -> io::Result<()> {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(self.out, "({lost} entries lost: the output was not read in time)")?;
        }
        if let Some(text) = self.lines.of(report) {
            self.out.write_all(text.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
