//! Listens on one address, and limits what clients can cost.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::respond::Responder;

/// Connections at once over all addresses: some probes, two Prometheus servers, and a few browsers
/// with six connections each. A further connection closes the oldest one, because kubelet restarts
/// the agent if its probes are refused.
const MOST_CONNECTIONS: usize = 32;
/// Connections from one peer, so that a faulty client closes only its own connections.
const MOST_FROM_PEER: usize = 8;
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
    tokio::select! {
        () = respond(stream, responder) => {}
        () = slot.evicted.notified() => {}
    }
}

async fn respond(stream: TcpStream, responder: Arc<Responder>) {
    let service = service_fn(move |request| {
        let responder = Arc::clone(&responder);
        async move { Ok::<_, std::convert::Infallible>(responder.respond(&request).await) }
    });
    let mut connection = pin!(limited().serve_connection(TokioIo::new(stream), service));
    // Errors are those of the client: it disconnected, or it sent something other than HTTP.
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_RESPONSE_TIMEOUT, connection).await;
    }
}

fn limited() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES);
    builder
}

/// The open connections of all addresses.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// In the order of their age.
    open: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
    next: u64,
}

impl Slots {
    /// The connection that a new one from `peer` replaces.
    fn superfluous(&self, peer: IpAddr) -> Option<u64> {
        let own = self.open.iter().filter(|(_, (other, _))| *other == peer);
        let own: Vec<u64> = own.map(|(number, _)| *number).collect();
        if own.len() >= MOST_FROM_PEER {
            return own.first().copied();
        }
        let is_full = self.open.len() >= MOST_CONNECTIONS;
        self.open.keys().next().copied().filter(|_| is_full)
    }
}

impl Connections {
    /// A slot for a connection from `peer`. Closes the oldest connection of the same peer if that
    /// has too many, or the oldest of all if there are too many.
    fn open(self: &Arc<Self>, peer: IpAddr) -> Slot {
        let mut slots = self.slots();
        let superfluous = slots.superfluous(peer);
        if let Some((_, evicted)) = superfluous.and_then(|number| slots.open.remove(&number)) {
            evicted.notify_one();
        }
        let (number, evicted) = (slots.next, Arc::new(Notify::new()));
        slots.next += 1;
        slots.open.insert(number, (peer, Arc::clone(&evicted)));
        Slot { connections: Arc::clone(self), number, evicted }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection. Dropping it frees the slot.
#[derive(Debug)]
struct Slot {
    connections: Arc<Connections>,
    number: u64,
    /// Notified when a newer connection takes the slot.
    evicted: Arc<Notify>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.slots().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    async fn is_evicted(slot: &Slot) -> bool {
        tokio::time::timeout(Duration::ZERO, slot.evicted.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn a_peer_with_too_many_connections_loses_its_own_oldest() {
        let connections = Arc::new(Connections::default());
        let other = connections.open(peer(2));
        let slots: Vec<_> = (0..20).map(|_| connections.open(peer(1))).collect();
        assert_eq!(connections.slots().open.len(), MOST_FROM_PEER + 1);
        assert!(!is_evicted(&other).await);
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, number < 20 - MOST_FROM_PEER, "{number}");
        }
        drop((slots, other));
        assert!(connections.slots().open.is_empty());
    }

    #[tokio::test]
    async fn a_connection_too_many_closes_the_oldest_of_all() {
        let connections = Arc::new(Connections::default());
        let slots: Vec<_> = (0..40).map(|number| connections.open(peer(number / 8))).collect();
        assert_eq!(
            connections.slots().open.len(),
            MOST_CONNECTIONS,
            "five peers with eight each: the first has lost its connections"
        );
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, number < 8, "{number}");
        }
        let probe = connections.open(peer(200));
        assert!(is_evicted(&slots[8]).await);
        drop((slots, probe));
        assert!(connections.slots().open.is_empty());
    }

    #[test]
    fn an_unavailable_address_comes_with_advice() {
        assert!(advice(io::ErrorKind::AddrInUse).contains("http.port"));
        assert!(advice(io::ErrorKind::AddrNotAvailable).contains("http.address"));
        assert!(advice(io::ErrorKind::PermissionDenied).contains("1024"));
    }
}
