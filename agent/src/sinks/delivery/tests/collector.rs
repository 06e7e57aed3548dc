//! A scripted collector: the services that opentelemetry-proto generates over gRPC, bare protobuf
//! over HTTP. Alerts and spans are answered from a script each.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message;
use tokenwatch_otlp::protocol::{Protocol, Signal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::{Code, Status};

/// What to do with one request. With none left: accept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Accept,
    Reject(i64),
    Later,
    Refuse,
    TooMany(usize),
    /// Every record is bad.
    Bad,
    /// Bad while a record with this in its id is among them.
    Poison(&'static str),
    Hang,
    Reset,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Ids of the alerts that were accepted, and names of the spans.
    pub(super) accepted: Vec<String>,
    pub(super) requests: usize,
    pub(super) headers: HeaderMap,
    pub(super) peers: Vec<Vec<u8>>,
    pub(super) traces: Vec<ExportTraceServiceRequest>,
    pub(super) metrics: Vec<ExportMetricsServiceRequest>,
    pub(super) logs: Vec<ExportLogsServiceRequest>,
}

type Script = Arc<Mutex<VecDeque<Answer>>>;

#[derive(Clone)]
pub(super) struct Collector {
    pub(super) seen: Arc<Mutex<Seen>>,
    logs: Script,
    traces: Script,
    protocol: Protocol,
}

impl Collector {
    /// Answers requests for logs from `script`.
    pub(super) fn new(protocol: Protocol, script: impl IntoIterator<Item = Answer>) -> Self {
        Self::scripted(protocol, Signal::Logs, script)
    }

    /// Answers requests for this signal from `script`, and accepts all others.
    pub(super) fn scripted(
        protocol: Protocol,
        signal: Signal,
        script: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let this = Self {
            seen: Arc::default(),
            logs: Script::default(),
            traces: Script::default(),
            protocol,
        };
        let scripted = match signal {
            Signal::Logs => &this.logs,
            Signal::Traces => &this.traces,
            Signal::Metrics => panic!("metrics have no script"),
        };
        scripted.lock().unwrap().extend(script);
        this
    }

    pub(super) async fn serve(&self) -> SocketAddr {
        self.serve_at("127.0.0.1:0".parse().unwrap(), None).await
    }

    pub(super) async fn serve_at(
        &self,
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> SocketAddr {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().connection(stream, tls.clone()));
            }
        });
        address
    }

    async fn connection(
        self,
        stream: tokio::net::TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) {
        let Some(tls) = tls else { return self.speak(stream).await };
        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
            let peer = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
            self.seen.lock().unwrap().peers.extend(peer);
            self.speak(stream).await;
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let io = TokioIo::new(stream);
        let _ = match self.protocol {
            Protocol::Grpc => {
                let service = service_fn(move |request| self.clone().grpc(request));
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service)
                    .await
            }
            Protocol::HttpProtobuf => {
                let service = service_fn(move |request| self.clone().http(request));
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
            }
        };
    }

    async fn grpc(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<tonic::body::Body>, Infallible> {
        self.seen.lock().unwrap().headers = request.headers().clone();
        if request.uri().path() == Signal::Traces.grpc_path() {
            let mut server =
                TraceServiceServer::new(self).accept_compressed(CompressionEncoding::Gzip);
            return server.call(request).await;
        }
        let mut server = LogsServiceServer::new(self).accept_compressed(CompressionEncoding::Gzip);
        server.call(request).await
    }

    async fn http(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, String> {
        let (head, body) = request.into_parts();
        let body = inflated(&head.headers, body.collect().await.unwrap().to_bytes());
        self.seen.lock().unwrap().headers = head.headers;
        match head.uri.path() {
            "/v1/traces" => answered(self.traces(Message::decode(body).unwrap()).await),
            "/v1/logs" => answered(self.logs(Message::decode(body).unwrap()).await),
            _ => {
                self.seen.lock().unwrap().metrics.push(Message::decode(body).unwrap());
                Ok(Response::default())
            }
        }
    }

    async fn logs(
        &self,
        request: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, Status> {
        self.seen.lock().unwrap().logs.push(request.clone());
        let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        let ids =
            scopes.flat_map(|logs| logs.log_records).map(|record| id(&record.attributes)).collect();
        let rejected = self.answer(&self.logs, ids).await?;
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "too old".into(),
        });
        Ok(ExportLogsServiceResponse { partial_success })
    }

    async fn traces(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, Status> {
        self.seen.lock().unwrap().traces.push(request.clone());
        let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        let ids = scopes.flat_map(|spans| spans.spans).map(|span| id(&span.attributes)).collect();
        let rejected = self.answer(&self.traces, ids).await?;
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: "too old".into(),
        });
        Ok(ExportTraceServiceResponse { partial_success })
    }

    /// Answers one request with these records from the script; returns how many are rejected.
    async fn answer(&self, script: &Script, ids: Vec<String>) -> Result<i64, Status> {
        let answer = script.lock().unwrap().pop_front().unwrap_or(Answer::Accept);
        self.seen.lock().unwrap().requests += 1;
        let rejected = match answer {
            Answer::Accept => 0,
            Answer::TooMany(most) if ids.len() <= most => 0,
            Answer::Poison(id) if !ids.iter().any(|known| known.contains(id)) => 0,
            Answer::Bad | Answer::Poison(_) => {
                return Err(Status::invalid_argument("cannot be understood"));
            }
            Answer::Reject(rejected) => rejected,
            Answer::Later => return Err(Status::unavailable("starting")),
            Answer::Refuse => return Err(Status::unauthenticated("who are you")),
            Answer::TooMany(_) => return Err(Status::resource_exhausted("too large")),
            Answer::Reset => return Err(Status::aborted("reset")),
            Answer::Hang => return std::future::pending().await,
        };
        self.seen.lock().unwrap().accepted.extend(ids);
        Ok(rejected)
    }

    /// Polls, for at most ten seconds.
    pub(super) async fn until(&self, done: impl Fn(&Seen) -> bool) {
        let polling = async {
            while !done(&self.seen.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), polling).await;
        assert!(waited.is_ok(), "not seen within 10 s: {:?}", self.seen.lock().unwrap());
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        self.logs(request.into_inner()).await.map(tonic::Response::new)
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        self.traces(request.into_inner()).await.map(tonic::Response::new)
    }
}

/// The first attribute's value: the finding's id, or the number of a span.
fn id(attributes: &[KeyValue]) -> String {
    attributes[0].value.clone().map(|value| format!("{value:?}")).unwrap_or_default()
}

/// Over HTTP; an error of hyper's service resets the connection.
fn answered(answer: Result<impl Message, Status>) -> Result<Response<Full<Bytes>>, String> {
    let (status, body) = match answer {
        Ok(answer) => (200, answer.encode_to_vec()),
        Err(status) if status.code() == Code::Aborted => return Err("reset".into()),
        Err(status) => (http_status(status.code()), Vec::new()),
    };
    Ok(Response::builder().status(status).body(Full::new(body.into())).unwrap())
}

fn http_status(code: Code) -> u16 {
    match code {
        Code::Unavailable => 503,
        Code::ResourceExhausted => 413,
        Code::InvalidArgument => 400,
        _ => 401,
    }
}

fn inflated(headers: &HeaderMap, body: Bytes) -> Bytes {
    if !headers.contains_key("content-encoding") {
        return body;
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(&body[..]), &mut plain).unwrap();
    plain.into()
}
