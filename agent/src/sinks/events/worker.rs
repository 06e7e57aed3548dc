//! Writes Events, one at a time and not too many.

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
use crate::kubernetes::{ApiClient, ApiRequest, Backoff, Error, is_status};

/// An API server that takes longer for an Event has other worries.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many at once: what client-go lets one source say of one object (defaultSpamBurst).
const BURST: u32 = 25;
/// Then one in so long: 5,000 nodes that are all in trouble are 170 requests a second to an API
/// server that probably is as well.
const EACH: Duration = Duration::from_secs(30);
/// Tries before one is given up: some two minutes.
const TRIES: u32 = 6;
/// Events of which it is remembered how often they were seen. Some 100 bytes each.
const REMEMBERED: usize = 512;

/// Requests that may be made: `BURST` at first, and one more each `EACH`.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    filled: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Takes one, or says how long until there is one.
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

/// The task.
#[derive(Debug)]
pub(super) struct Worker {
    server: Arc<ApiClient>,
    node: String,
    queue: Arc<Queue>,
    bucket: Bucket,
    backoff: Backoff,
    tries: u32,
    seen: Seen,
    /// What could not be written was said once, until something can be again.
    complained: bool,
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
            tries: 0,
            seen: Seen::default(),
            complained: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // Room first: what waits may be merged with what comes meanwhile.
            while let Err(wait) = self.bucket.take(clocks::timer()) {
                tokio::time::sleep(wait).await;
            }
            let next = self.queue.pop().await;
            let written = self.write(&next).await;
            if let Some(wait) = self.learn(next, written) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// What to do after a try: how long to wait.
    fn learn(&mut self, tried: Pending, written: Result<(), Error>) -> Option<Duration> {
        let given_up = self.queue.take_given_up();
        if given_up > 0 {
            tracing::warn!(
                "{given_up} Events were given up: more findings than Events may be written about"
            );
        }
        let Err(trouble) = written else {
            (self.tries, self.complained) = (0, false);
            self.backoff.reset();
            return None;
        };
        self.complain(&trouble);
        self.tries += 1;
        if trouble.is_temporary() && self.tries < TRIES {
            self.queue.put_back(tried);
        } else {
            self.tries = 0;
        }
        Some(self.backoff.after(&trouble))
    }

    fn complain(&mut self, trouble: &Error) {
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!("an Event was not written: {trouble}");
        } else {
            tracing::warn!(
                "Events cannot be written to the API server ({}): {trouble}. Alerts are sent all \
                 the same",
                self.server.address()
            );
        }
    }

    /// A finding that is still there is a series on the Event that says so; everything else is an
    /// Event.
    async fn write(&mut self, pending: &Pending) -> Result<(), Error> {
        let name = event::name(&pending.subject, &pending.alert);
        if pending.alert.event == AlertEvent::Reminded {
            let again = self.again(pending, &name).await;
            if !is_status(&again, StatusCode::NOT_FOUND) {
                return again;
            }
            // Events live an hour unless the cluster says otherwise (--event-ttl).
        }
        let whole = event::whole(&pending.subject, &pending.alert, &self.node);
        let made = self
            .send(Method::POST, event::collection(&pending.subject), "application/json", &whole)
            .await;
        if is_status(&made, StatusCode::CONFLICT) {
            return self.again(pending, &name).await; // the agent before this one made it
        }
        self.seen.first(name);
        made
    }

    async fn again(&mut self, pending: &Pending, name: &str) -> Result<(), Error> {
        let count = self.seen.count(name) + 1;
        let path = format!("{}/{name}", event::collection(&pending.subject));
        let written = self
            .send(
                Method::PATCH,
                path,
                "application/merge-patch+json",
                &event::again(&pending.alert, count),
            )
            .await;
        if written.is_ok() {
            self.seen.set(name, count);
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
        let request =
            ApiRequest { method, path, body: Some((content, Bytes::from(body.to_string()))) };
        // Nothing of the answer is wanted. Dropped unread, it costs the connection that it came by.
        self.server.send(request, PATIENCE).await.map(drop)
    }
}

/// How often Events were seen.
#[derive(Debug, Default)]
struct Seen(VecDeque<(String, u32)>);

impl Seen {
    fn first(&mut self, name: String) {
        self.0.retain(|(known, _)| *known != name);
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((name, 1));
    }

    /// An Event that another agent made was seen once at least.
    fn count(&self, name: &str) -> u32 {
        self.0.iter().find(|(known, _)| known == name).map_or(1, |(_, count)| *count)
    }

    fn set(&mut self, name: &str, count: u32) {
        self.first(name.to_owned());
        if let Some((_, seen)) = self.0.back_mut() {
            *seen = count;
        }
    }
}
