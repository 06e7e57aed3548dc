//! For people: what would be sent, as lines.
//!
//! A thread of its own writes, behind a bounded queue: a terminal that is stopped, or a pipe that nobody reads, costs lines (counted, and said
//! when writing goes on) and never time.

mod lines;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokenwatch_core::action::Action;
use tokenwatch_core::observation::DeliveryState;
use tokio::sync::{oneshot, watch};

use super::ShutdownReport;
use lines::Lines;

/// Blocks of lines that wait to be written. One alert is one block of under 1 kB: a megabyte at worst.
const QUEUE: usize = 1_024;

/// Writes lines.
#[derive(Debug)]
pub struct Console {
    queue: SyncSender<Action>,
    dropped: Arc<AtomicU64>,
    ended: oneshot::Receiver<()>,
    delivery: watch::Sender<DeliveryState>,
}

impl Console {
    /// Starts the writing thread.
    pub fn start(writer: Box<dyn Write + Send>, colour: bool) -> Result<Self, String> {
        let (queue, actions) = sync_channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { out: writer, lines: Lines::new(colour), dropped: Arc::clone(&dropped) };
        let run = move || {
            writer.run(&actions);
            let _ = end.send(()); // nobody waits if the agent did not stop in order
        };
        std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(run)
            .map_err(|why| format!("the console cannot be written to: {why}"))?;
        Ok(Self { queue, dropped, ended, delivery: watch::Sender::default() })
    }

    /// Queues what there is to say; what does not fit is counted.
    pub fn take(&self, actions: Vec<Action>) {
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

    /// Writes what is queued, within `bound`.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        drop(self.queue);
        let unfinished = tokio::time::timeout(bound, self.ended).await.is_err();
        ShutdownReport { unfinished, ..ShutdownReport::default() }
    }
}

struct Writer {
    out: Box<dyn Write + Send>,
    lines: Lines,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, actions: &Receiver<Action>) {
        while let Ok(action) = actions.recv() {
            // A closed pipe is not the agent's business: it goes on watching, and the queue is emptied all the same.
            let _ = self.write(&action);
        }
        let _ = self.out.flush();
    }

    fn write(&mut self, action: &Action) -> std::io::Result<()> {
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
