//! An API server that does what the test says, on loopback: one reply per request, in order, then
//! silence.

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

use super::{Access, ApiServer};

/// What comes to one request.
pub(crate) enum Reply {
    /// A whole answer: status, `Retry-After`, body.
    Whole(u16, Option<&'static str>, String),
    /// The beginning of one, and then nothing more.
    Open(Vec<String>),
    /// The beginning of one, and its proper end.
    Ended(Vec<String>),
    /// The beginning of one, and the connection is cut.
    Cut(Vec<String>),
    /// Nothing.
    Silence,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: serde_json::Value,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
    open: Vec<UnboundedSender<io::Result<Bytes>>>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) port: u16,
    /// The directory with the token, as kubelet would make it.
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

impl Fake {
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
            let service = service_fn(move |request| fake.clone().answer(request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header =
            head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            authorization: header.unwrap_or_default(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let (tell, told) = unbounded_channel();
        let reply = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(asked);
            state.replies.pop_front().unwrap_or(Reply::Silence)
        };
        let mut response = Response::builder().status(200);
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
                self.state.lock().unwrap().open.push(tell.clone());
                (parts, None)
            }
            Reply::Silence => std::future::pending().await,
        };
        for part in parts {
            tell.send(Ok(part.into())).unwrap();
        }
        if let Some(end) = end {
            // What came before has to be out first: a cut takes what is still in the writer's hands
            // with it.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = tell.send(end);
            });
        }
        Ok(response.body(Body(told)).unwrap())
    }

    /// More replies.
    pub(crate) fn then(&self, reply: Reply) {
        self.state.lock().unwrap().replies.push_back(reply);
    }

    /// More of every answer that is open.
    pub(crate) fn send(&self, part: &str) {
        for open in &self.state.lock().unwrap().open {
            open.send(Ok(part.to_owned().into())).unwrap();
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// The requests, once there are so many.
    pub(crate) async fn wait_asked(&self, count: usize) -> Vec<Asked> {
        for _ in 0..1_000 {
            let asked = self.asked();
            if asked.len() >= count {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {count} requests in 20 s: {:#?}", self.asked());
    }

    /// A client that takes it for the pod's API server.
    pub(crate) fn client(&self) -> Arc<ApiServer> {
        let server = format!("http://127.0.0.1:{}", self.port);
        Arc::new(ApiServer::new(Access::Pod { server, directory: self.account.clone() }))
    }
}

/// What the API server says beside a status.
pub(crate) fn status(code: u16, message: &str) -> String {
    format!(
        r#"{{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "{message}", "code": {code}}}"#
    )
}
