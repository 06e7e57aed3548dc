//! Writes Events, one at a time and within a rate limit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokenwatch_core::ledger::AlertEvent;
use tokio::time::Instant;

use super::event;
use super::queue::{Pending, Queue};
use crate::clocks;
use crate::kubernetes::{ApiClient, ApiRequest, Backoff, Error, ErrorKind, is_status};
use crate::recurring::{Notice, Recurring};

/// Timeout of one request. An API server that takes longer is overloaded.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Requests at once: as many as client-go allows one source about one object (defaultSpamBurst).
const BURST: u32 = 25;
/// Interval between requests after the burst. If all of 5,000 nodes have findings, the API server
/// gets 170 requests a second.
const EACH: Duration = Duration::from_secs(30);
/// Attempts for one Event: some two minutes.
const ATTEMPTS: u32 = 6;
/// Events whose count is kept in memory. Each takes some 100 bytes.
const COUNTED: usize = 512;

/// A token bucket: `BURST` requests at first, and one more each `EACH`.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    filled: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Takes one request, or returns the time until the next one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.filled);
        let more = u32::try_from(since.as_secs() / EACH.as_secs()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(BURST);
        self.filled = if self.left == BURST { now } else { self.filled + EACH * more };
        let left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| EACH.saturating_sub(now.saturating_duration_since(self.filled)))?;
        self.left = left;
        Ok(())
    }
}

/// The task that writes.
#[derive(Debug)]
pub(super) struct Worker {
    server: Arc<ApiClient>,
    node: String,
    queue: Arc<Queue>,
    bucket: Bucket,
    backoff: Backoff,
    attempts: u32,
    counts: Counts,
    trouble: Recurring<ErrorKind>,
}

impl Worker {
    pub(super) fn new(server: Arc<ApiClient>, node: String, queue: Arc<Queue>) -> Self {
        let bucket = Bucket::full(clocks::timer());
        Self {
            server,
            node,
            queue,
            bucket,
            backoff: Backoff::default(),
            attempts: 0,
            counts: Counts::default(),
            trouble: Recurring::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // The rate limit comes first: while an alert is in the queue, it can still be merged.
            while let Err(wait) = self.bucket.take(clocks::timer()) {
                tokio::time::sleep(wait).await;
            }
            let next = self.queue.pop().await;
            let written = self.write(&next).await;
            if let Some(wait) = self.after(next, written) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// How long to wait after an attempt.
    fn after(&mut self, tried: Pending, written: Result<(), Error>) -> Option<Duration> {
        self.warn_of_dropped();
        let Err(trouble) = written else {
            self.succeeded();
            return None;
        };
        self.warn(&trouble);
        self.put_back_or_drop(tried, &trouble);
        Some(self.backoff.after(&trouble))
    }

    fn succeeded(&mut self) {
        self.attempts = 0;
        self.backoff.reset();
        if let Some(outage) = self.trouble.succeeded(clocks::timer()) {
            let (server, failures) = (self.server.address(), outage.failures);
            tracing::info!(server, failures, "Events are written again");
        }
    }

    fn put_back_or_drop(&mut self, tried: Pending, trouble: &Error) {
        self.attempts += 1;
        if trouble.is_temporary() && self.attempts < ATTEMPTS {
            self.queue.put_back(tried);
        } else {
            self.attempts = 0;
        }
    }

    fn warn_of_dropped(&self) {
        let dropped = self.queue.take_dropped();
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "dropped Events: there are more findings than the rate limit allows"
            );
        }
    }

    /// Logs each kind of failure as a warning, and those that follow it for debugging.
    fn warn(&mut self, trouble: &Error) {
        let (server, error) = (self.server.address(), trouble);
        match self.trouble.failed(trouble.kind(), clocks::timer()) {
            None => tracing::debug!(server, %error, "cannot write an Event"),
            Some(notice) => tracing::warn!(
                server, %error, failures = failures(notice),
                "cannot write Events to the API server; alerts are not affected"
            ),
        }
    }

    /// A reminder extends the series of the Event that reported the finding. Everything else is a
    /// new Event.
    async fn write(&mut self, pending: &Pending) -> Result<(), Error> {
        let name = event::name(&pending.regarding, &pending.alert);
        if pending.alert.event == AlertEvent::Reminded {
            let patched = self.extend(pending, &name).await;
            if !is_status(&patched, StatusCode::NOT_FOUND) {
                return patched;
            }
            // The API server has deleted it: Events live an hour by default (--event-ttl).
        }
        self.create(pending, name).await
    }

    async fn create(&mut self, pending: &Pending, name: String) -> Result<(), Error> {
        let event = event::new_event(&pending.regarding, &pending.alert, &self.node);
        let path = event::collection(&pending.regarding);
        let created = self.send(Method::POST, path, "application/json", &event).await;
        if is_status(&created, StatusCode::CONFLICT) {
            return self.extend(pending, &name).await; // the agent wrote it before a restart
        }
        self.counts.first(name);
        created
    }

    /// Extends the series of an Event by one.
    async fn extend(&mut self, pending: &Pending, name: &str) -> Result<(), Error> {
        let count = self.counts.count(name) + 1;
        let path = format!("{}/{name}", event::collection(&pending.regarding));
        let series = event::series(&pending.alert, count);
        let patch = "application/merge-patch+json";
        let written = self.send(Method::PATCH, path, patch, &series).await;
        if written.is_ok() {
            self.counts.set(name, count);
        }
        written
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        content: &'static str,
        body: &Value,
    ) -> Result<(), Error> {
        let body = Some((content, Bytes::from(body.to_string())));
        let request = ApiRequest { method, body, ..ApiRequest::get(path) };
        // The response body is not needed. Dropping it unread closes the connection.
        self.server.send(request, TIMEOUT).await.map(drop)
    }
}

/// How many there were by then, of a failure that lasts.
fn failures(notice: Notice) -> Option<u64> {
    match notice {
        Notice::Begins => None,
        Notice::Lasts(outage) => Some(outage.failures),
    }
}

/// How often each Event was seen, oldest first.
#[derive(Debug, Default)]
struct Counts(VecDeque<(String, u32)>);

impl Counts {
    fn first(&mut self, name: String) {
        self.0.retain(|(known, _)| *known != name);
        if self.0.len() >= COUNTED {
            self.0.pop_front();
        }
        self.0.push_back((name, 1));
    }

    /// At least 1: also for an Event that was written before a restart.
    fn count(&self, name: &str) -> u32 {
        self.0.iter().find(|(known, _)| known == name).map_or(1, |(_, count)| *count)
    }

    fn set(&mut self, name: &str, count: u32) {
        self.first(name.to_owned());
        if let Some((_, last)) = self.0.back_mut() {
            *last = count;
        }
    }
}
