//! The signals that ask the agent to end.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::proc;

/// Handles SIGTERM (from kubelet), SIGINT (from a terminal) and SIGHUP (from a terminal that is
/// closed) from now on; returns what waits for one of them. Call it within a tokio runtime, and
/// before anything that can take long: the first process of a container gets no signal that it does
/// not handle.
///
/// A SIGHUP that is ignored stays ignored, as whoever started the agent with nohup(1) wants it. If
/// the process cannot install handlers, the default action of each signal ends it.
pub fn stop_signal() -> impl Future<Output = ()> {
    let hangs_up = !proc::ignores(libc::SIGHUP);
    let handled = handle(SignalKind::terminate()).zip(handle(SignalKind::interrupt()));
    let hangup = hangs_up.then(|| handle(SignalKind::hangup())).flatten();
    async move {
        let Some((mut terminate, mut interrupt)) = handled else {
            return std::future::pending().await;
        };
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = received(hangup) => "SIGHUP",
        };
        info!(signal = name, "stopping");
    }
}

fn handle(kind: SignalKind) -> Option<Signal> {
    signal(kind).ok()
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
