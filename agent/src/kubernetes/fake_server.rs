//! An API server for tests, on loopback: it sends one scripted reply per request, in order, and
//! then none.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Access, ApiClient};

/// The reply to one request.
pub(crate) enum Reply {
    /// A whole response: status, `Retry-After`, body.
    Whole(u16, Option<&'static str>, String),
    /// The beginning of a body, which stays open.
    Open(Vec<String>),
    /// The beginning of a body, and its proper end.
    Ended(Vec<String>),
    /// The beginning of a body, and then the connection is cut.
    Cut(Vec<String>),
    /// No response.
    Silence,
}

/// A request as the server received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) accept: String,
    pub(crate) body: serde_json::Value,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    requests: Vec<Received>,
    open: Vec<UnboundedSender<io::Result<Bytes>>>,
}

/// The running server.
#[derive(Clone)]
pub(crate) struct FakeServer {
    pub(crate) port: u16,
    /// The directory with the token, as kubelet would create it.
    pub(crate) account: PathBuf,
    state: Arc<Mutex<State>>,
    _directory: Arc<tempfile::TempDir>,
}

struct Body(UnboundedReceiver<io::Result<Bytes>>);

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }
}

impl FakeServer {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "first").unwrap();
        std::fs::write(directory.path().join("ca.crt"), "").unwrap();
        let fake = Self {
            port: listener.local_addr().unwrap().port(),
            account: directory.path().to_owned(),
            state: Arc::new(Mutex::new(State { replies: replies.into(), ..State::default() })),
            _directory: Arc::new(directory),
        };
        tokio::spawn(fake.clone().serve(listener));
        fake
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let fake = self.clone();
            let service = service_fn(move |request| fake.clone().respond(request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    }

    async fn respond(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name: &str| {
            let value = head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        let received = Received {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            authorization: header("authorization"),
            accept: header("accept"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let (parts_in, parts_out) = unbounded_channel();
        let reply = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(received);
            state.replies.pop_front().unwrap_or(Reply::Silence)
        };
        let mut response = Response::builder().status(200).header("audit-id", "1");
        let (parts, end) = match reply {
            Reply::Whole(status, retry, body) => {
                response = response.status(status);
                response = retry
                    .into_iter()
                    .fold(response, |response, seconds| response.header("retry-after", seconds));
                (vec![body], None)
            }
            Reply::Ended(parts) => (parts, None),
            Reply::Cut(parts) => (parts, Some(Err(io::Error::other("cut")))),
            Reply::Open(parts) => {
                self.state.lock().unwrap().open.push(parts_in.clone());
                (parts, None)
            }
            Reply::Silence => std::future::pending().await,
        };
        for part in parts {
            parts_in.send(Ok(part.into())).unwrap();
        }
        if let Some(end) = end {
            // The parts have to be sent first: a cut discards what is still in the writer's buffer.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = parts_in.send(end);
            });
        }
        Ok(response.body(Body(parts_out)).unwrap())
    }

    /// More replies.
    pub(crate) fn then(&self, reply: Reply) {
        self.state.lock().unwrap().replies.push_back(reply);
    }

    /// Sends more of every open response.
    pub(crate) fn send(&self, part: &str) {
        for open in &self.state.lock().unwrap().open {
            open.send(Ok(part.to_owned().into())).unwrap();
        }
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The requests, as soon as there are `count` of them.
    pub(crate) async fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        for _ in 0..1_000 {
            let requests = self.requests();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {count} requests in 20 s: {:#?}", self.requests());
    }

    /// A client for which it is the pod's API server.
    pub(crate) fn client(&self) -> Arc<ApiClient> {
        let server = format!("http://127.0.0.1:{}", self.port);
        Arc::new(ApiClient::new(Access::Pod { server, directory: self.account.clone() }))
    }
}

/// The body that the API server sends with an error status.
pub(crate) fn status(code: u16, message: &str) -> String {
    let kind = r#""kind": "Status", "apiVersion": "v1", "status": "Failure""#;
    format!(r#"{{{kind}, "message": "{message}", "code": {code}}}"#)
}
