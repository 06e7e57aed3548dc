//! Listens on one address, and limits what clients can cost.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::connections::{Connections, Slot};
use super::respond::{Responder, is_probe};

/// Bytes of request line and headers: far more than any browser sends, and hyper's minimum.
const MOST_HEADER_BYTES: usize = 8 * 1024;
/// Headers of one request. Browsers send about 20.
const MOST_HEADERS: usize = 64;
/// Time limit for the headers of a request, including the pause before them: twice the interval of
/// the status page, so that it keeps its connection.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Lifetime of a connection: after this it gets no further request.
const LIFETIME: Duration = Duration::from_mins(1);
/// Time limit for the response in progress at that moment.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// First wait before listening again. An address of a node may appear after the agent started.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait: whoever frees a port or adds an address sees the effect within this time.
const LAST_RETRY: Duration = Duration::from_mins(1);
/// Pause after a connection that could not be accepted. Without a free file descriptor the next
/// attempt would fail too.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves `address` until the task is dropped. Tries again while the address is unavailable.
pub(super) async fn run(
    address: SocketAddr,
    responder: Arc<Responder>,
    connections: Arc<Connections>,
) {
    let listener = bind(address).await;
    info!(%address, "HTTP server listening");
    let serve = |stream, peer: SocketAddr| {
        serve(stream, Arc::clone(&responder), connections.open(peer.ip()))
    };
    accept_all(&listener, address, serve).await;
}

/// Starts a task for each connection.
async fn accept_all<Serving: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    address: SocketAddr,
    serve: impl Fn(TcpStream, SocketAddr) -> Serving,
) {
    // Dropped with this task, which closes the connections.
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => drop(tasks.spawn(serve(stream, peer))),
                Err(error) => pause(address, &error).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn pause(address: SocketAddr, error: &io::Error) {
    debug!(%address, %error, "cannot accept an HTTP connection");
    sleep(ACCEPT_PAUSE).await;
}

/// Logs only the first failure. The other addresses have tasks of their own.
async fn bind(address: SocketAddr) -> TcpListener {
    let mut wait = FIRST_RETRY;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if wait == FIRST_RETRY => warn_unavailable(address, &error),
            Err(_) => {}
        }
        sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

fn warn_unavailable(address: SocketAddr, error: &io::Error) {
    warn!(
        %address, %error, advice = advice(error.kind()),
        "cannot listen for HTTP; trying again at least every minute"
    );
}

fn advice(error: io::ErrorKind) -> &'static str {
    match error {
        io::ErrorKind::AddrInUse => {
            "another process uses the port: stop it, or set http.port to another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine or pod does not have the address: correct http.address"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege that the agent should not have: set http.port to a \
             higher port"
        }
        _ => "correct http.address and http.port, or set http.enabled to false",
    }
}

async fn serve(stream: TcpStream, responder: Arc<Responder>, slot: Slot) {
    let slot = Arc::new(slot);
    tokio::select! {
        () = respond(stream, responder, Arc::clone(&slot)) => {}
        () = slot.evicted() => {}
    }
}

async fn respond(stream: TcpStream, responder: Arc<Responder>, slot: Arc<Slot>) {
    let service = service_fn(move |request| {
        let (responder, slot) = (Arc::clone(&responder), Arc::clone(&slot));
        async move {
            if !is_probe(&request) {
                slot.asks_for_more();
            }
            Ok::<_, std::convert::Infallible>(responder.respond(&request).await)
        }
    });
    let mut connection = pin!(limited().serve_connection(TokioIo::new(stream), service));
    // Errors are those of the client: it disconnected, or it sent something other than HTTP.
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_RESPONSE_TIMEOUT, connection).await;
    }
}

pub(super) fn limited() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_address_comes_with_advice() {
        assert!(advice(io::ErrorKind::AddrInUse).contains("http.port"));
        assert!(advice(io::ErrorKind::AddrNotAvailable).contains("http.address"));
        assert!(advice(io::ErrorKind::PermissionDenied).contains("1024"));
    }
}
