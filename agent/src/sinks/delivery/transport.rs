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
use crate::regular_file::Reads;
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
    /// Of the TLS files.
    reads: Reads,
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

impl Connected {
    /// The client, and the fingerprint of files that are to be compared now.
    fn taken(&mut self) -> (Client, Option<[u8; 32]>) {
        let is_due = clocks::timer() - self.checked >= RECHECK;
        if is_due {
            self.checked = clocks::timer();
        }
        (self.client.clone(), self.fingerprint.filter(|_| is_due))
    }
}

impl Transport {
    pub(super) fn new(target: Target) -> Self {
        let (connected, diagnosis) = (Mutex::new(None), Diagnosis::default());
        Self { target, connected, diagnosis, reads: Reads::default(), clock: None }
    }

    /// Which explains a certificate that is not valid by a clock that is wrong.
    pub(super) fn with_clock(self, clock: &SnapshotSource) -> Self {
        Self { clock: Some(SnapshotSource::clone(clock)), ..self }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends one message, and returns the answer's bytes. Takes no longer than the target's
    /// timeout, and once a minute as long as it takes to read TLS files and to find out what is
    /// wrong.
    pub(super) async fn send(&self, message: Bytes) -> Result<Bytes, Failure> {
        match self.exchange(message).await {
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
        match self.diagnosis.of(&self.target, &self.reads).await {
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

    /// Files have a time limit of their own, whose error names the one that does not answer.
    async fn exchange(&self, message: Bytes) -> Result<Bytes, Failure> {
        let client = self.client().await.map_err(|why| Failure::connection(&why))?;
        let exchange = timeout(self.target.timeout, exchange(client, &self.target, message));
        exchange.await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> Failure {
        let text = format!("no answer within {} ms", self.target.timeout.as_millis());
        Failure::new(Kind::Connection, Cause::Connection(Trouble::Late), text)
    }

    /// The client in use, or a new one where there is none or its TLS files have changed.
    async fn client(&self) -> Result<Client, TlsError> {
        if let Some(client) = self.in_use().await {
            return Ok(client);
        }
        let (client, fingerprint) = connect(&self.target, &self.reads).await?;
        let new = Connected { client: client.clone(), fingerprint, checked: clocks::timer() };
        *self.lock() = Some(new);
        Ok(client)
    }

    async fn in_use(&self) -> Option<Client> {
        let (client, fingerprint) = self.lock().as_mut().map(Connected::taken)?;
        if let Some(fingerprint) = fingerprint
            && self.have_changed(fingerprint).await
        {
            tracing::info!(collector = %self.target, "TLS files have changed: connecting again");
            return None;
        }
        Some(client)
    }

    /// Files that are half replaced do not end a connection that works.
    async fn have_changed(&self, since: [u8; 32]) -> bool {
        let files = self.target.tls.clone();
        let read = move || {
            let new = Material::read(&files)?;
            Ok(new.fingerprint() != since && new.config(&files).is_ok())
        };
        let changed = self.reads.run(read).await.unwrap_or_else(|late| Err(late.into()));
        changed.inspect_err(|error| self.warn_unreadable(error)).unwrap_or_default()
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

    /// As after a failed connection.
    #[cfg(test)]
    pub(super) fn disconnect(&self) {
        *self.lock() = None;
    }

    /// For a test in which a disk hangs.
    #[cfg(test)]
    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
