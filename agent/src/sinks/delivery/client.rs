//! The transport in the shape that opentelemetry-otlp's exporter of metrics wants.
//!
//! The exporter encodes, and hands over one HTTP request. The client takes only its body: endpoint,
//! headers and protocol are the transport's, so that both protocols, TLS and timeouts are the same
//! for all three signals.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::backoff::Backoff;
use super::failure::{Failure, Kind};
use super::transport::Transport;
use crate::config::otlp::Target;

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
    closing: watch::Receiver<bool>,
    runtime: Handle,
}

impl Client {
    /// To be called within a tokio runtime.
    pub(super) fn new(target: Target, closing: watch::Receiver<bool>) -> Self {
        Self { transport: Arc::new(Transport::new(target)), closing, runtime: Handle::current() }
    }

    /// Tries up to [`TRIES`] times. When the agent stops, it tries without waiting.
    async fn send(mut self, message: Bytes) -> Result<Bytes, Failure> {
        let mut backoff = Backoff::default();
        for _ in 1..TRIES {
            match self.transport.send(message.clone()).await {
                Err(failure) if is_worth_retrying(failure.kind) => {
                    self.wait(backoff.after(&failure)).await;
                }
                outcome => return outcome,
            }
        }
        self.transport.send(message).await
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
