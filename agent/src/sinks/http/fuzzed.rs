//! Any bytes as what a client sends to the HTTP server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::{Config, Engine, Snapshot};
use tokenwatch_core::world::Learned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

use super::Content;
use super::listen::limited;
use super::respond::Responder;
use crate::fuzzed::assert_no_token;
use crate::sinks::metrics::Pull;
use crate::sinks::{Pulse, Views};

/// Room for every response to one input: a page is some 30 kB.
const PIPE: usize = 1 << 20;
/// Bytes of an input: some more than the server takes for a request.
const MAX_INPUT: usize = 16 << 10;

thread_local! {
    /// One for all inputs: a new one each time would take most of the time.
    static RUNTIME: Option<Runtime> = Builder::new_current_thread().enable_all().build().ok();
}

/// The server answers what it is sent, and closes the connection; nothing that looks like a token
/// comes back.
pub(crate) fn http(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_INPUT)];
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else { return };
        let answer = runtime.block_on(answer(bytes));
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1."), "{text}");
        assert_no_token(bytes, &text);
    });
}

async fn answer(bytes: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(PIPE);
    let responder = Arc::new(Responder::new(content(), vec!["node-a.lan".to_owned()]));
    let served = tokio::spawn(serve(server, responder));
    let sent = client.write_all(bytes).await.is_ok() && client.shutdown().await.is_ok();
    let mut answer = Vec::new();
    if sent {
        let _ = client.read_to_end(&mut answer).await; // what came before an error counts
    }
    drop(client);
    let _ = served.await;
    answer
}

async fn serve(stream: DuplexStream, responder: Arc<Responder>) {
    let service = service_fn(|request| {
        let responder = Arc::clone(&responder);
        async move { Ok::<_, Infallible>(responder.respond(&request).await) }
    });
    let _ = limited().serve_connection(TokioIo::new(stream), service).await; // the client's errors
}

fn content() -> Content {
    let now = Reading::default();
    let engine = || Engine::new(Config { node: "n1".into(), ..Config::default() });
    let pulse =
        || Pulse { since: Duration::ZERO, is_stepping: false, longest_pause: Duration::MAX / 4 };
    let views = Views {
        snapshot: Arc::new(Snapshot::default),
        readiness: Arc::new(move || engine().readiness(&now)),
        status: Arc::new(move || engine().status(&now)),
        pulse: Arc::new(pulse),
        learned: Arc::new(Learned::default),
    };
    Content { views, pull: Pull::default(), roots: Vec::new() }
}
