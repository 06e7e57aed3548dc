//! Asks the agent that runs on this node.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokenwatch_core::base::text::shown;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Settings;
use crate::reader_list::{PodName, ReaderList};
use crate::setup;

/// Time limit of the connection: the agent is on the same machine.
const CONNECT: Duration = Duration::from_secs(1);
/// Time limit of the answer. The agent lets a request wait for 5 s.
const ANSWER: Duration = Duration::from_secs(8);
/// Longest answer. A list has at most 1,000 readers with 16 reads each.
const MOST_BYTES: usize = 4 << 20;

/// Why no agent answered.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The settings say that it does not listen.
    Off,
    /// Nothing can be reached at these addresses.
    Nobody(Vec<(SocketAddr, String)>),
    /// What listens there does not have this list: another program, or an older agent.
    NoList(SocketAddr, StatusCode),
    /// It has too much to do.
    Busy(SocketAddr),
    /// The answer is not such a list.
    Foreign(SocketAddr),
    /// It watches other kubelet roots than the settings name.
    OtherRoots(SocketAddr, Vec<String>),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no agent can be asked (http.enabled is false)"),
            Self::Nobody(tried) => write!(f, "no agent answers on this node ({})", listed(tried)),
            Self::NoList(at, status) => {
                write!(f, "what answers at {at} is no agent, or an older one (HTTP {status})")
            }
            Self::Busy(at) => write!(f, "the agent at {at} has too many requests"),
            Self::Foreign(at) => write!(f, "what answers at {at} is not an agent"),
            Self::OtherRoots(at, roots) => write!(f, "the agent at {at} watches {}", other(roots)),
        }
    }
}

fn other(roots: &[String]) -> String {
    let roots: Vec<_> = roots.iter().map(|root| shown(root)).collect();
    format!("other kubelet roots: {}", roots.join(", "))
}

fn listed(tried: &[(SocketAddr, String)]) -> String {
    let one = |(at, why): &(SocketAddr, String)| format!("{at}: {why}");
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The list of the agent on this node, and where it answered.
pub(super) async fn agent(
    settings: &Settings,
    pod: Option<&PodName>,
) -> Result<(SocketAddr, ReaderList), Unanswered> {
    if !settings.http.enabled {
        return Err(Unanswered::Off);
    }
    let mut tried = Vec::new();
    for at in addresses(settings) {
        match list(at, pod).await {
            Ok(list) => return of_roots(at, list, settings),
            Err(Fault::Unreachable(why)) => tried.push((at, why)),
            Err(Fault::Answered(why)) => return Err(why),
        }
    }
    Err(Unanswered::Nobody(tried))
}

/// Where the agent listens, each address once. One that stands for all addresses is the loopback.
fn addresses(settings: &Settings) -> Vec<SocketAddr> {
    let reachable = |address: &IpAddr| match address {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => *address,
    };
    let mut seen = BTreeSet::new();
    let all = settings.http.address.iter().map(reachable);
    let once = all.filter(|address| seen.insert(*address));
    once.map(|address| SocketAddr::new(address, settings.http.port.0)).collect()
}

/// An agent that watches another root knows nothing of the one that the settings name.
fn of_roots(
    at: SocketAddr,
    list: ReaderList,
    settings: &Settings,
) -> Result<(SocketAddr, ReaderList), Unanswered> {
    let own = roots(settings);
    let is_watched = |root: &Path| list.roots.iter().any(|other| Path::new(other) == root);
    if list.roots.is_empty() || own.iter().all(|root| is_watched(root)) {
        return Ok((at, list));
    }
    Err(Unanswered::OtherRoots(at, list.roots))
}

/// The kubelet roots that the settings name.
pub(super) fn roots(settings: &Settings) -> Vec<PathBuf> {
    if settings.roots.is_empty() {
        return Vec::new();
    }
    setup::kubelet_roots(settings).unwrap_or_default() // searches only where none is named
}

/// Why an address has no list.
enum Fault {
    /// Nothing listens there: another address may be the right one.
    Unreachable(String),
    /// Something does.
    Answered(Unanswered),
}

async fn list(at: SocketAddr, pod: Option<&PodName>) -> Result<ReaderList, Fault> {
    let stream = connected(at).await.map_err(Fault::Unreachable)?;
    let answer = timeout(ANSWER, answer(stream, at, pod)).await;
    let foreign = || Fault::Answered(Unanswered::Foreign(at));
    let (status, body) = answer.ok().flatten().ok_or_else(foreign)?;
    match status {
        StatusCode::OK => parsed(&body).ok_or_else(foreign),
        StatusCode::SERVICE_UNAVAILABLE => Err(Fault::Answered(Unanswered::Busy(at))),
        other => Err(Fault::Answered(Unanswered::NoList(at, other))),
    }
}

/// The list in an answer, with every text made safe to print: whoever listens on that port may have
/// written it. Texts of an agent are safe already, and stay as they are.
pub(super) fn parsed(body: &[u8]) -> Option<ReaderList> {
    let mut value = serde_json::from_slice(body).ok()?;
    make_safe(&mut value);
    serde_json::from_value(value).ok()
}

/// `serde_json` refuses what is nested deeper than 128 times.
fn make_safe(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(safe) = shown(text) {
                *text = safe;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_safe),
        Value::Object(values) => values.values_mut().for_each(make_safe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn connected(at: SocketAddr) -> Result<TcpStream, String> {
    match timeout(CONNECT, TcpStream::connect(at)).await {
        Ok(connected) => connected.map_err(|error| error.kind().to_string()),
        Err(_) => Err("no answer within 1 s".to_owned()),
    }
}

/// Status and body. Nothing for what is not HTTP, or too long.
async fn answer(
    stream: TcpStream,
    at: SocketAddr,
    pod: Option<&PodName>,
) -> Option<(StatusCode, Bytes)> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path(pod)).header(header::HOST, at.to_string());
    // The connection ends with its sender. Its errors are those of the request.
    tokio::join!(connection, exchange(sender, request.body(Empty::new()).ok()?)).1
}

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Option<(StatusCode, Bytes)> {
    let response = sender.send_request(request).await.ok()?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.ok()?;
    Some((status, body.to_bytes()))
}

fn path(pod: Option<&PodName>) -> String {
    pod.map_or("/readers".to_owned(), |pod| format!("/readers?pod={}", pod.as_query()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_asked_where_it_listens() {
        let listening = |texts: &[&str]| {
            let mut settings = Settings::default();
            settings.http.address = texts.iter().map(|text| text.parse().unwrap()).collect();
            addresses(&settings).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(listening(&["127.0.0.1"]), ["127.0.0.1:9723"]);
        assert_eq!(
            listening(&["10.0.0.7", "0.0.0.0", "127.0.0.1", "::"]),
            ["10.0.0.7:9723", "127.0.0.1:9723", "[::1]:9723"]
        );
    }

    /// JSON may hold each of these characters as it is.
    #[test]
    fn no_text_of_an_answer_acts_on_a_terminal() {
        let list = |node: &str| {
            format!(
                r#"{{"at": "2026-11-28T10:00:00Z", "node": "{node}", "roots": [], "tokens": 0,
                    "problems": ["{node}"], "left_out": 0, "readers": []}}"#
            )
        };
        for (odd, shown) in [("\u{9b}31m", "\\u{9b}31m"), ("\u{202e}x", "\\u{202e}x")] {
            let list = parsed(list(odd).as_bytes()).unwrap();
            assert_eq!((list.node.as_str(), list.problems[0].as_str()), (shown, shown));
        }
        assert_eq!(parsed(list("node-1").as_bytes()).unwrap().node, "node-1");
        assert!(parsed(b"{}").is_none() && parsed(b"<html>").is_none());
    }

    #[test]
    fn one_pod_is_asked_for_in_the_query() {
        assert_eq!(path(None), "/readers");
        assert_eq!(path(Some(&"shop/cart-0".parse().unwrap())), "/readers?pod=shop/cart-0");
    }
}
