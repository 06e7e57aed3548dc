//! The connection to one target: requests over it, and what is wrong where they fail.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokenwatch_core::base::time::Delta;
use tokio::time::{Instant, timeout};

use super::advice::Time;
use super::cause::Cause;
use super::exchange::exchange;
use super::failure::{Failure, Kind};
use super::pool::{Client, connect};
use super::speaks::Diagnosis;
use super::tls::{Material, TlsError};
use crate::clocks;
use crate::config::otlp::Target;
use crate::network::Trouble;
use crate::sinks::SnapshotSource;

/// TLS files are read again this often while a connection lasts; after a failed connection they are
/// read before the next try.
const RECHECK: Duration = Duration::from_mins(1);
/// An offset of the clock from which it is named beside a certificate that is not valid now.
const NOTABLE_OFFSET: Delta = Delta::from_secs(1);

/// The connection to one target. Cheap until the first request.
pub(super) struct Transport {
    target: Target,
    connected: Mutex<Option<Connected>>,
    diagnosis: Diagnosis,
    /// Where it is known how wrong the clock is.
    clock: Option<SnapshotSource>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("target", &self.target).finish_non_exhaustive()
    }
}

struct Connected {
    client: Client,
    fingerprint: Option<[u8; 32]>,
    checked: Instant,
}

impl Transport {
    pub(super) fn new(target: Target) -> Self {
        let (connected, diagnosis) = (Mutex::new(None), Diagnosis::default());
        Self { target, connected, diagnosis, clock: None }
    }

    /// Which explains a certificate that is not valid by a clock that is wrong.
    pub(super) fn with_clock(self, clock: &SnapshotSource) -> Self {
        Self { clock: Some(SnapshotSource::clone(clock)), ..self }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends one message, and returns the answer's bytes. Takes no longer than the target's
    /// timeout, and once a minute as long as it takes to find out what is wrong.
    pub(super) async fn send(&self, message: Bytes) -> Result<Bytes, Failure> {
        let exchange = timeout(self.target.timeout, self.exchange(message));
        let outcome = exchange.await.unwrap_or_else(|_| Err(self.timed_out()));
        match outcome {
            Ok(answer) => {
                self.diagnosis.forget().await;
                Ok(answer)
            }
            Err(failure) => Err(self.explained(failure).await),
        }
    }

    /// With what is wrong, as far as that can be found out.
    async fn explained(&self, failure: Failure) -> Failure {
        if failure.kind == Kind::Connection {
            // A connection that swallows requests would be reused until TCP gives up, a quarter of
            // an hour later.
            *self.lock() = None;
        }
        self.at_target(self.diagnosed(failure).await)
    }

    async fn diagnosed(&self, failure: Failure) -> Failure {
        if !failure.cause.is_unclear() {
            return failure;
        }
        match self.diagnosis.of(&self.target).await {
            Some(spoken) => failure.of_cause(Cause::Speaks(spoken)),
            None => failure,
        }
    }

    /// With the target, and what to do.
    pub(super) fn at_target(&self, failure: Failure) -> Failure {
        let offset =
            self.clock.as_ref().and_then(|clock| clock().clock.offset_beyond(NOTABLE_OFFSET));
        failure.explained(&self.target, Time { now: clocks::now().wall, offset })
    }

    async fn exchange(&self, message: Bytes) -> Result<Bytes, Failure> {
        let client = self.client().map_err(|why| Failure::connection(&why))?;
        exchange(client, &self.target, message).await
    }

    fn timed_out(&self) -> Failure {
        let text = format!("no answer within {} ms", self.target.timeout.as_millis());
        Failure::new(Kind::Connection, Cause::Connection(Trouble::Late), text)
    }

    /// The client in use, or a new one where there is none or its TLS files have changed.
    fn client(&self) -> Result<Client, TlsError> {
        let mut connected = self.lock();
        if let Some(current) = connected.as_mut() {
            if !self.is_stale(current) {
                return Ok(current.client.clone());
            }
            tracing::info!(collector = %self.target, "TLS files have changed: connecting again");
        }
        let (client, fingerprint) = connect(&self.target)?;
        let checked = clocks::timer();
        Ok(connected.insert(Connected { client, fingerprint, checked }).client.clone())
    }

    /// Files that are half replaced do not end a connection that works.
    fn is_stale(&self, current: &mut Connected) -> bool {
        let Some(fingerprint) = current.fingerprint else { return false };
        if clocks::timer() - current.checked < RECHECK {
            return false;
        }
        current.checked = clocks::timer();
        let tls = &self.target.tls;
        let read = Material::read(tls).inspect_err(|error| self.warn_unreadable(error));
        read.is_ok_and(|new| new.fingerprint() != fingerprint && new.config(tls).is_ok())
    }

    fn warn_unreadable(&self, error: &TlsError) {
        tracing::warn!(
            collector = %self.target,
            %error,
            "TLS files cannot be read again: the connection keeps the previous ones"
        );
    }

    /// As if the TLS files had been read `by` earlier.
    #[cfg(test)]
    pub(super) fn age_connection(&self, by: Duration) {
        if let Some(connected) = self.lock().as_mut() {
            connected.checked = connected.checked.checked_sub(by).unwrap();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
