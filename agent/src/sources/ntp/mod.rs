//! NTP exchanges with time servers (RFC 5905). A client only: it never sets a clock.

mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod packet;
mod poll_policy;
mod poller;
mod resolve;
mod voters;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::clocks::{Round, ServerName};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::sleep;

use super::health::{Health, Meaning, Source};
use poller::Poller;

/// Time between the rounds of a burst, as in RFC 5905's burst: the best of three responses is known
/// after 4 s.
const BURST_SPACING: Duration = Duration::from_secs(2);
/// Rounds of a burst after its first one. A burst follows the start and each step of the clock.
const BURST_ROUNDS: u32 = 2;
/// Pause after a step: a clock that is set is often set twice, and a clock that is set without end
/// must not cause requests without end.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// Which servers to poll, and how.
#[derive(Clone, Debug)]
pub struct NtpConfig {
    /// The servers. The addresses of a name have one vote together, and those of a pool one each.
    pub servers: Vec<ServerName>,
    /// Timeout of one request. 1 s is half of the round-trip time at which a response proves
    /// nothing any more.
    pub timeout: Duration,
    /// Requests to one server in one round: a second one where the first got no response.
    pub attempts: u8,
    /// Time between rounds, jittered by a tenth. At least 16 s, unless every server is on this
    /// machine.
    pub interval: Duration,
}

impl Default for NtpConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(1),
            attempts: 2,
            interval: Duration::from_secs(64), // RFC 5905's MINPOLL for clients in the field (2^6)
        }
    }
}

/// Polls every server once, now.
pub async fn measure(config: &NtpConfig) -> Round {
    Poller::new(config.clone()).round().await
}

/// Polls the servers in rounds, and at once when `remeasure` is notified. Ends when the receiver is
/// dropped. Without any server it reports one empty round.
pub async fn run(config: NtpConfig, observations: Sender<Observation>, remeasure: Arc<Notify>) {
    let (mut poller, mut health) = (Poller::new(config), Health::new(Source::Ntp));
    let (mut is_first, mut burst_rounds) = (true, BURST_ROUNDS);
    while report(poller.round().await, &mut is_first, &mut health, &observations).await.is_ok() {
        tokio::select! {
            () = wait(&poller, &remeasure, &mut burst_rounds) => {}
            () = observations.closed() => return,
        }
    }
}

/// Returns when the next round is due, or the clock was set. `burst_rounds` are left of a burst.
async fn wait(poller: &Poller, remeasure: &Notify, burst_rounds: &mut u32) {
    tokio::select! {
        () = sleep(poller.pause(*burst_rounds > 0)) => {
            *burst_rounds = burst_rounds.saturating_sub(1);
        }
        () = remeasure.notified() => {
            *burst_rounds = BURST_ROUNDS;
            sleep(STEP_PAUSE).await;
        }
    }
}

/// Sends the round, after the source's health if that changed. A round in which no server was due
/// carries no news; but the first one shows whether any server is configured.
async fn report(
    round: Round,
    is_first: &mut bool,
    health: &mut Health,
    observations: &Sender<Observation>,
) -> Result<(), SendError<Observation>> {
    if !std::mem::take(is_first) && round.exchanges.is_empty() {
        return Ok(());
    }
    // Without servers the source does not exist: it neither works nor fails.
    let health = match degraded(&round) {
        Some((kind, text)) => health.degraded(Meaning::Ntp(kind), text),
        None if round.exchanges.is_empty() => None,
        None => health.update(None),
    };
    if let Some(health) = health {
        observations.send(health).await?;
    }
    observations.send(Observation::NtpRound(round)).await
}

/// Why the source is degraded after this round: every exchange failed. The kind of the first
/// failure, and a text.
fn degraded(round: &Round) -> Option<(&'static str, String)> {
    let mut errors = round.exchanges.iter().map(|exchange| exchange.result.as_ref().err());
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then(|| {
        let text = format!(
            "no time server gave a usable response (the first: {first}); until one does, the agent \
             uses the kernel's clock state as long as that is valid"
        );
        (first.kind(), text)
    })
}

#[cfg(test)]
mod tests;
