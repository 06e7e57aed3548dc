//! Listens on one address, and bounds what those who come there can cost.

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

use super::answer::Answers;

/// Connections at once, over all addresses: some probes, two Prometheus servers, and a few people
/// with browsers (six connections each). Whoever comes then takes the place of who has been there
/// longest: a probe of kubelet's that is turned away, again and again, ends the agent, and probes
/// are short.
const MOST: usize = 32;
/// Of them from one peer, so that one that goes wrong takes places from itself alone.
const MOST_FROM_ONE: usize = 8;
/// A request's line and headers: far more than any browser sends; the least that hyper reads at
/// once.
const MOST_HEADER_BYTES: usize = 8 * 1024;
/// Headers of a request. Browsers send about twenty.
const MOST_HEADERS: usize = 64;
/// The headers of a request, the pause before them included, take no longer than this: twice a
/// page's own pause, so that it keeps its connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// After this no further request is taken on a connection…
const LIFE: Duration = Duration::from_mins(1);
/// …and the one that is being answered has this long to be read.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// An address may come a moment after the agent: a pod's does not, a node's can.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Whoever frees a port or adds an address sees within this time that it helped.
const LAST_RETRY: Duration = Duration::from_mins(1);
/// When the process has no file descriptor left, another attempt at once would fail as well.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Serves `address` for ever; tries again where it cannot be had.
pub(super) async fn run(address: SocketAddr, answers: Arc<Answers>, doors: Arc<Doors>) {
    let listener = bind(address).await;
    info!("serving http://{address}");
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, Arc::clone(&answers), doors.enter(peer.ip())));
                }
                Err(why) => {
                    debug!("http://{address}: a connection was not taken: {why}");
                    sleep(AFTER_FAILURE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Said once; the other addresses are served meanwhile.
async fn bind(address: SocketAddr) -> TcpListener {
    let mut wait = FIRST_RETRY;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(why) if wait == FIRST_RETRY => warn!("{}", complaint(address, &why)),
            Err(_) => {}
        }
        sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

fn complaint(address: SocketAddr, why: &io::Error) -> String {
    let advice = match why.kind() {
        io::ErrorKind::AddrInUse => {
            "something else listens there: end it, or set http.port to another one"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine, or this pod, has no such address (yet): correct http.address"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 want a privilege that the agent should not have: set http.port to a \
             higher one"
        }
        _ => "correct http.address and http.port, or set http.enabled to false",
    };
    format!(
        "nothing is served on http://{address} ({why}): {advice}. It is tried again at least each \
         minute; everything else works"
    )
}

async fn serve(stream: TcpStream, answers: Arc<Answers>, place: Place) {
    tokio::select! {
        () = answer(stream, answers) => {}
        () = place.taken.notified() => {}
    }
}

async fn answer(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, std::convert::Infallible>(answers.to(&request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A client that goes away or speaks something else is no concern of ours.
    if timeout(LIFE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER_WITHIN, connection).await;
    }
}

/// Who is connected.
#[derive(Debug, Default)]
pub(super) struct Doors(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    /// By number, and so by age.
    places: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
    next: u64,
}

impl Doors {
    /// A place for a connection from `peer`: that of its own oldest where it has many, that of the
    /// oldest of all where none is left.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Place {
        let mut inside = self.inside();
        let own: Vec<u64> = inside
            .places
            .iter()
            .filter(|(_, (other, _))| *other == peer)
            .map(|(number, _)| *number)
            .collect();
        let full = inside.places.len() >= MOST;
        let leaves = if own.len() >= MOST_FROM_ONE {
            own.first()
        } else {
            inside.places.keys().next().filter(|_| full)
        };
        if let Some((_, evicted)) = leaves.copied().and_then(|number| inside.places.remove(&number))
        {
            evicted.notify_one();
        }
        let (number, taken) = (inside.next, Arc::new(Notify::new()));
        inside.next += 1;
        inside.places.insert(number, (peer, Arc::clone(&taken)));
        Place { doors: Arc::clone(self), number, taken }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when dropped.
#[derive(Debug)]
struct Place {
    doors: Arc<Doors>,
    number: u64,
    /// Somebody else has it now.
    taken: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doors.inside().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    async fn has_lost(place: &Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.taken.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn whoever_comes_too_often_takes_places_from_itself() {
        let doors = Arc::new(Doors::default());
        let other = doors.enter(peer(2));
        let places: Vec<_> = (0..20).map(|_| doors.enter(peer(1))).collect();
        assert_eq!(doors.inside().places.len(), MOST_FROM_ONE + 1);
        assert!(!has_lost(&other).await);
        for (number, place) in places.iter().enumerate() {
            assert_eq!(has_lost(place).await, number < 20 - MOST_FROM_ONE, "{number}");
        }
        drop((places, other));
        assert!(doors.inside().places.is_empty());
    }

    #[tokio::test]
    async fn whoever_comes_when_all_places_are_taken_has_the_one_that_was_taken_longest() {
        let doors = Arc::new(Doors::default());
        let places: Vec<_> = (0..40).map(|number| doors.enter(peer(number / 8))).collect();
        assert_eq!(
            doors.inside().places.len(),
            MOST,
            "five that hold eight each: the first has lost its own"
        );
        for (number, place) in places.iter().enumerate() {
            assert_eq!(has_lost(place).await, number < 8, "{number}");
        }
        let probe = doors.enter(peer(200));
        assert!(has_lost(&places[8]).await);
        drop((places, probe));
        assert!(doors.inside().places.is_empty());
    }

    #[test]
    fn an_address_that_cannot_be_had_is_told_with_what_to_do() {
        let told = |kind| complaint("127.0.0.1:9723".parse().unwrap(), &io::Error::from(kind));
        assert!(told(io::ErrorKind::AddrInUse).contains("http.port"));
        assert!(told(io::ErrorKind::AddrNotAvailable).contains("http.address"));
        assert!(told(io::ErrorKind::PermissionDenied).contains("1024"));
    }
}
