//! NTP exchanges with time servers (RFC 5905): client only, nothing is ever set.

mod courtesy;
mod exchange;
mod packet;
mod poller;
mod server;

pub use server::is_public_pool;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::clocks::{Round, ServerName};
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::sleep;

use poller::Poller;

/// Rounds at this distance follow the first one and a step, as in RFC 5905's burst: the best of
/// three answers is known after 4 s.
const BURST_SPACING: Duration = Duration::from_secs(2);
/// How many rounds a burst has after its first.
const BURST_ROUNDS: u32 = 2;

/// A clock that is being set is often set twice; and whoever sets it without end must not make us
/// ask without end.
const SETTLE: Duration = Duration::from_millis(50);

/// What to ask, and how.
#[derive(Clone, Debug)]
pub struct NtpConfig {
    /// The servers; names with several addresses are several servers.
    pub servers: Vec<ServerName>,
    /// For one answer. 1 s is half of what already counts as too far.
    pub timeout: Duration,
    /// Questions to one server in one round: a second where the first got no answer.
    pub attempts: u8,
    /// Between rounds, jittered by a tenth. At least 16 s, unless every server is on this machine.
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

/// Asks every server once, now.
pub async fn measure(config: &NtpConfig) -> Round {
    Poller::new(config.clone()).round().await
}

/// Asks for ever, and at once when `remeasure` says so; ends when nobody listens any more. With no
/// server it says so in one empty round.
pub async fn run(config: NtpConfig, out: Sender<Observation>, remeasure: Arc<Notify>) {
    let mut poller = Poller::new(config);
    let mut told = None;
    let mut quick_rounds = BURST_ROUNDS;
    loop {
        let round = poller.round().await;
        // A round in which nobody was due says nothing; the first one says at least that nobody is
        // configured.
        let has_news = told.is_none() || !round.exchanges.is_empty();
        if has_news && tell(round, &mut told, &out).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(poller.pause(quick_rounds > 0)) => quick_rounds = quick_rounds.saturating_sub(1),
            () = remeasure.notified() => {
                quick_rounds = BURST_ROUNDS;
                sleep(SETTLE).await;
            }
            () = out.closed() => return,
        }
    }
}

/// Sends the round, after the source's state if that changed.
async fn tell(
    round: Round,
    told: &mut Option<SourceState>,
    out: &Sender<Observation>,
) -> Result<(), SendError<Observation>> {
    let state = source_state(&round);
    if told.as_ref() != Some(&state) {
        *told = Some(state.clone());
        out.send(Observation::Source(state)).await?;
    }
    out.send(Observation::NtpRound(round)).await
}

fn source_state(round: &Round) -> SourceState {
    let silent = !round.exchanges.is_empty()
        && round.exchanges.iter().all(|exchange| exchange.result.is_err());
    let reason = || {
        round
            .exchanges
            .iter()
            .find_map(|exchange| exchange.result.as_ref().err())
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let degraded = silent.then(|| {
        format!(
            "no time server gives a usable answer ({}); the kernel's word is used while it lasts",
            reason()
        )
    });
    SourceState { source: "ntp".to_owned(), degraded }
}

#[cfg(test)]
mod tests;
