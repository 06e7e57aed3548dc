//! Delivers alerts at least once: an alert is done when the collector says that it took it.
//!
//! One request is under way at a time. A failure puts the batch back and waits. An alert is given
//! up when memory is full, or when the collector refuses that one for good (see [`super::queue`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use prost::Message as _;
use tokenwatch_core::base::schema::SCHEMA_URL;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::value::Value;
use tokenwatch_core::ledger::Alert;
use tokenwatch_core::world::observation::DeliveryState;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use super::convert;
use super::failure::{Failure, Kind};
use super::queue::{Entry, Queue};
use super::resource::Resource;
use super::settings::Target;
use super::transport::Transport;
use crate::clocks;
use crate::sinks::metrics::Counters;

/// At about 1 kB each half a megabyte; [`super::queue`] bounds the bytes as well.
const MOST_PER_REQUEST: usize = 512;
/// While the agent stops, waits are this long: the bound on stopping is a few seconds.
const WAIT_WHILE_CLOSING: Duration = Duration::from_millis(250);

/// The queue of alerts and the task that empties it.
#[derive(Debug)]
pub(super) struct Alerts {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    news: Notify,
    counters: Arc<Counters>,
    /// How many no collector has accepted yet, to the one.
    undelivered: watch::Sender<u64>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that nobody is told of none while one is being queued.
    fn count(&self) {
        let queue = self.queue();
        self.undelivered.send_replace(queue.len() as u64);
    }
}

impl Alerts {
    pub(super) fn start(
        target: Target,
        memory: usize,
        resource: &Resource,
        counters: &Arc<Counters>,
        state: watch::Sender<DeliveryState>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(memory)),
            news: Notify::new(),
            counters: Arc::clone(counters),
            undelivered: watch::Sender::new(0),
        });
        let courier = Courier {
            shared: Arc::clone(&shared),
            transport: Transport::new(target),
            resource: proto_resource(resource),
            backoff: Backoff::default(),
            most: MOST_PER_REQUEST,
            state,
            closing,
        };
        Self { shared, worker: tokio::spawn(courier.run()) }
    }

    /// Queues an alert. The lock is never held over anything slow.
    pub(super) fn push(&self, alert: &Alert) {
        let now = clocks::now();
        let record = convert::log_record(alert, now.wall);
        let given_up = self.shared.queue().push(alert, &record, now);
        self.shared.counters.given_up.add(given_up);
        self.shared.count();
        self.shared.news.notify_one();
    }

    /// How many wait to be accepted.
    pub(super) fn undelivered(&self) -> watch::Receiver<u64> {
        self.shared.undelivered.subscribe()
    }

    /// Waits until all are delivered or `end` is there; says how many are left.
    pub(super) async fn finish(mut self, end: Instant) -> u64 {
        if timeout_at(end, &mut self.worker).await.is_err() {
            self.worker.abort();
        }
        self.shared.queue().len() as u64
    }
}

/// The task that delivers.
struct Courier {
    shared: Arc<Shared>,
    transport: Transport,
    resource: ProtoResource,
    backoff: Backoff,
    most: usize,
    state: watch::Sender<DeliveryState>,
    closing: watch::Receiver<bool>,
}

impl Courier {
    async fn run(mut self) {
        loop {
            let batch = self.shared.queue().start(self.most);
            if !batch.is_empty() {
                self.deliver(batch).await;
            } else if *self.closing.borrow() {
                return;
            } else {
                self.idle().await;
            }
        }
    }

    async fn idle(&mut self) {
        tokio::select! {
            () = self.shared.news.notified() => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
    }

    async fn deliver(&mut self, batch: Vec<Entry>) {
        match self.send(&batch).await {
            Ok(refusal) => self.accepted(batch.len(), &refusal),
            Err(failure) => {
                let wait = self.failed(batch, &failure);
                self.wait(wait).await;
            }
        }
    }

    async fn send(&self, batch: &[Entry]) -> Result<Refusal, Failure> {
        let records = batch.iter().filter_map(Entry::record).collect();
        let answer = self.transport.send(request(&self.resource, records)).await?;
        let answer = ExportLogsServiceResponse::decode(answer).map_err(|_| {
            let text = "it answered, but not in OTLP: is this the collector's OTLP port?";
            Failure::new(Kind::Refused, text).at(self.transport.target())
        })?;
        Ok(Refusal::of(answer))
    }

    /// Rejected records are not sent again: the specification forbids it, and they would be
    /// rejected for ever.
    fn accepted(&mut self, sent: usize, refusal: &Refusal) {
        let sent = sent as u64;
        let rejected = refusal.records.min(sent);
        self.shared.queue().settle();
        self.shared.counters.accepted.add(sent - rejected);
        self.shared.counters.rejected.add(rejected);
        self.backoff.reset();
        self.most = self.most.saturating_mul(2).min(MOST_PER_REQUEST);
        self.tell(refusal.told(self.transport.target()));
    }

    /// How long to wait.
    fn failed(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        let wait = match failure.kind {
            Kind::Data if batch.len() == 1 => self.refused(batch, failure),
            Kind::Data => {
                self.most = batch.len() / 2;
                self.back(batch, failure)
            }
            Kind::Connection | Kind::Transient | Kind::Refused => self.back(batch, failure),
        };
        self.tell(Some(failure.text.clone()));
        wait
    }

    fn back(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        let given_up = self.shared.queue().put_back(batch);
        self.shared.counters.given_up.add(given_up);
        self.backoff.after(failure)
    }

    /// One alert that is not wanted alone. Those that were not wanted before are tried as slowly as
    /// what only people repair.
    fn refused(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        let accepted = self.shared.counters.accepted.get();
        let again = batch.iter().any(Entry::is_isolated);
        if batch.iter().any(|entry| entry.is_hopeless(accepted)) {
            let records: Vec<_> = batch.iter().filter_map(Entry::record).collect();
            tracing::warn!(
                "an alert was refused for good: {} ({})",
                failure.text,
                records.iter().map(what_it_says).collect::<String>()
            );
            self.shared.queue().settle();
            self.shared.counters.rejected.add(batch.len() as u64);
        } else {
            let given_up = self.shared.queue().isolate(batch, accepted);
            self.shared.counters.given_up.add(given_up);
        }
        self.backoff.after(&Failure {
            kind: if again { Kind::Refused } else { Kind::Data },
            ..failure.clone()
        })
    }

    /// Publishes how delivery goes; an error is logged when it is another than before.
    fn tell(&self, error: Option<String>) {
        self.shared.count();
        let (waiting_since, waiting) = {
            let queue = self.shared.queue();
            (queue.waiting_since(), queue.len() as u64)
        };
        if let Some(error) = &error
            && self.state.borrow().last_error.as_ref() != Some(error)
        {
            tracing::warn!(waiting, "alerts are not delivered: {error}");
        }
        let counters = &self.shared.counters;
        let (given_up, rejected) = (counters.given_up.get(), counters.rejected.get());
        let new = DeliveryState { waiting_since, waiting, given_up, rejected, last_error: error };
        self.state.send_if_modified(|state| {
            let modified = *state != new;
            *state = new;
            modified
        });
    }

    async fn wait(&mut self, time: Duration) {
        if *self.closing.borrow() {
            return tokio::time::sleep(WAIT_WHILE_CLOSING).await;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
    }
}

/// The record's sentence: it holds nothing that the diary must not.
fn what_it_says(record: &LogRecord) -> String {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    match body {
        Some(any_value::Value::StringValue(text)) => shown(text).into_owned(),
        _ => String::new(),
    }
}

/// What a collector did not take of what it accepted.
#[derive(Debug, Default)]
struct Refusal {
    records: u64,
    message: String,
}

impl Refusal {
    fn of(answer: ExportLogsServiceResponse) -> Self {
        let partial = answer.partial_success.unwrap_or_default();
        Self {
            records: u64::try_from(partial.rejected_log_records).unwrap_or(0),
            message: partial.error_message,
        }
    }

    /// A message without rejected records is a warning, and is said too.
    fn told(&self, target: &Target) -> Option<String> {
        let message = shown(&self.message);
        match self.records {
            0 if message.is_empty() => None,
            0 => Some(format!("{target}: accepted, with a warning: {message}")),
            rejected => Some(format!("{target}: {rejected} alerts rejected for good: {message}")),
        }
    }
}

fn request(resource: &ProtoResource, log_records: Vec<LogRecord>) -> Bytes {
    let scope = InstrumentationScope {
        name: convert::SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope), log_records, schema_url: SCHEMA_URL.to_owned() }];
    let logs = ResourceLogs {
        resource: Some(resource.clone()),
        scope_logs,
        schema_url: SCHEMA_URL.to_owned(),
    };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec().into()
}

fn proto_resource(resource: &Resource) -> ProtoResource {
    let attributes = resource
        .0
        .iter()
        .map(|(name, value)| convert::key_value(name, &Value::from(value)))
        .collect();
    ProtoResource { attributes, ..ProtoResource::default() }
}
