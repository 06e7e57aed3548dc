//! Findings as Kubernetes Events (events.k8s.io/v1), so that `kubectl describe pod` shows them.
//!
//! Best effort: alerts that must arrive go to the collector. The sink writes few Events, keeps them
//! in bounded memory, and drops them rather than load an API server that is in trouble.

mod event;
mod queue;
mod worker;

use std::sync::Arc;

use tokenwatch_core::engine::Report;
use tokio::task::JoinHandle;

use crate::kubernetes::ApiClient;
use event::Regarding;
use queue::{Pending, Queue};
use worker::Worker;

/// The task that writes Events, and its queue.
#[derive(Debug)]
pub struct Events {
    node: String,
    queue: Arc<Queue>,
    worker: JoinHandle<()>,
}

impl Events {
    /// Starts the task on the current tokio runtime.
    pub fn start(server: Arc<ApiClient>, node: String) -> Self {
        let queue = Arc::new(Queue::default());
        let worker = Worker::new(server, node.clone(), Arc::clone(&queue));
        Self { node, queue, worker: tokio::spawn(worker.run()) }
    }

    /// Queues the alerts among these reports. Never blocks, never grows without bound.
    pub(super) fn take(&self, reports: &[Report]) {
        for report in reports {
            let Report::Alert(alert) = report else { continue };
            match Regarding::of(&alert.finding, &self.node) {
                Ok(regarding) => self.queue.push(Pending { regarding, alert: (**alert).clone() }),
                Err(reason) => {
                    tracing::debug!(finding = %alert.finding.code, %reason, "no Event written");
                }
            }
        }
    }

    /// Stops writing. Drops the Events in the queue.
    pub(super) fn stop(self) {
        self.worker.abort();
    }
}

#[cfg(test)]
mod tests;
