//! The transport in the shape that opentelemetry-otlp's exporter of metrics wants.
//!
//! The exporter encodes, and hands over one HTTP request. The client takes only its body: endpoint,
//! headers and protocol are the transport's, so that both protocols, TLS and timeouts are the same
//! for all three signals. It also logs why an export fails, because the exporter calls every
//! failure a network error.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokenwatch_otlp::PartialSuccess;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::backoff::Backoff;
use super::cause::Cause;
use super::courier::GREETING;
use super::failure::{Failure, Kind};
use super::news::{News, warning};
use super::transport::Transport;

/// Requests per export. With the waits of [`Backoff`] they outlast a collector's restart of some
/// 10 s; the next export has the same figures, only newer.
const TRIES: u32 = 4;

/// The exporter's own timeout must never fire: the transport bounds each try.
pub(super) const EXPORTER_TIMEOUT: Duration = Duration::from_hours(1);

/// What the trait's async function is underneath.
type Sent<'b> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>;

/// Sends for an exporter.
#[derive(Clone, Debug)]
pub(super) struct Client {
    transport: Arc<Transport>,
    news: Arc<Mutex<News>>,
    closing: watch::Receiver<bool>,
    runtime: Handle,
}

impl Client {
    /// To be called within a tokio runtime. Greets the collector after a while: the first export
    /// may be minutes away.
    pub(super) fn start(transport: Transport, closing: watch::Receiver<bool>) -> Self {
        let target = transport.target();
        let news = Mutex::new(News::new(target.signal, target.to_string()));
        let (transport, news) = (Arc::new(transport), Arc::new(news));
        let client = Self { transport, news, closing, runtime: Handle::current() };
        client.runtime.spawn(client.clone().greet());
        client
    }

    /// Sends a request without metrics, if nothing was sent by then.
    async fn greet(mut self) {
        self.wait(GREETING).await;
        if *self.closing.borrow() || self.news().was_reached() {
            return;
        }
        match self.transport.send(Bytes::new()).await {
            // Some backends want metrics; but they have answered.
            Err(failure) if failure.kind != Kind::Data => self.news().failed(&failure, 0),
            Ok(_) | Err(_) => self.news().accepted(),
        }
    }

    /// Tries up to [`TRIES`] times. When the agent stops, it tries without waiting.
    async fn send(mut self, message: Bytes) -> Result<Bytes, Failure> {
        let mut backoff = Backoff::default();
        for _ in 1..TRIES {
            match self.once(message.clone()).await {
                Err(failure) if is_worth_retrying(failure.kind) => {
                    self.wait(backoff.after(&failure)).await;
                }
                outcome => return outcome,
            }
        }
        self.once(message).await
    }

    /// One try, and the news of it.
    async fn once(&self, message: Bytes) -> Result<Bytes, Failure> {
        let sent = self.transport.send(message).await.and_then(|answer| self.checked(answer));
        if let Err(failure) = &sent {
            self.news().failed(failure, 1);
        }
        sent
    }

    /// The answer, if it is one to metrics; its fields are those of the answers to other signals.
    fn checked(&self, answer: Bytes) -> Result<Bytes, Failure> {
        let partial = PartialSuccess::decode(&answer).map_err(|why| {
            let failure = Failure::new(Kind::Refused, Cause::NotOtlp, why.to_string());
            self.transport.at_target(failure)
        })?;
        let mut news = self.news();
        news.accepted();
        if let Some((cause, error)) = warning(&partial, "data points", self.transport.target()) {
            news.trouble(cause, &error, 0);
        }
        Ok(answer)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
    }
}

fn is_worth_retrying(kind: Kind) -> bool {
    match kind {
        Kind::Connection | Kind::Transient => true,
        Kind::Data | Kind::Refused => false,
    }
}

/// Exporters poll from threads outside the runtime, and hyper needs one: the work is spawned onto
/// it.
impl HttpClient for Client {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sent<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = self.runtime.spawn(self.clone().send(request.into_body()));
        Box::pin(async move {
            sent.await?.map(Response::new).map_err(|failure| HttpError::from(failure.text))
        })
    }
}
