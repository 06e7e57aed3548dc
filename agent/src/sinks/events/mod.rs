//! Findings as Kubernetes Events (events.k8s.io/v1), so that `kubectl describe pod` tells the
//! story.
//!
//! A courtesy: what has to arrive goes to the collector. Events are few, wait in bounded memory,
//! and are given up rather than pressed on an API server that is in trouble.

mod event;
mod queue;
mod worker;

use std::sync::Arc;

use tokenwatch_core::engine::Report;
use tokio::task::JoinHandle;

use crate::kubernetes::ApiClient;
use event::Subject;
use queue::{Pending, Queue};
use worker::Worker;

/// The task that writes Events, and what waits for it.
#[derive(Debug)]
pub struct Events {
    node: String,
    queue: Arc<Queue>,
    worker: JoinHandle<()>,
}

impl Events {
    /// Starts the task that writes, on the runtime it is called in.
    pub fn start(server: Arc<ApiClient>, node: String) -> Self {
        let queue = Arc::new(Queue::default());
        let worker = Worker::new(server, node.clone(), Arc::clone(&queue));
        Self { node, queue, worker: tokio::spawn(worker.run()) }
    }

    /// Takes the alerts among these. Never blocks, never grows without bound.
    pub(super) fn take(&self, actions: &[Report]) {
        for action in actions {
            let Report::Alert(alert) = action else { continue };
            match Subject::of(&alert.finding, &self.node) {
                Ok(subject) => self.queue.push(Pending { subject, alert: (**alert).clone() }),
                Err(why) => tracing::debug!("no Event about {}: {why}", alert.finding.code),
            }
        }
    }

    /// Stops writing: what waits is not worth waiting for.
    pub(super) fn stop(self) {
        self.worker.abort();
    }
}

#[cfg(test)]
mod tests;
