//! A collector that does as it is told: the services that opentelemetry-proto generates over gRPC,
//! bare protobuf over HTTP.

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
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::{Code, Status};

use crate::sinks::otlp::Protocol;

/// What to do with one request for logs. With none left: accept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Accept,
    Reject(i64),
    Later,
    Refuse,
    TooMany(usize),
    /// Whatever it is, it is not to be had.
    Bad,
    /// Bad while a record with this in its id is among them.
    Poison(&'static str),
    Hang,
    Reset,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) accepted: Vec<String>,
    pub(super) requests: usize,
    pub(super) headers: HeaderMap,
    pub(super) peers: Vec<Vec<u8>>,
    pub(super) traces: Vec<ExportTraceServiceRequest>,
    pub(super) metrics: Vec<ExportMetricsServiceRequest>,
    pub(super) logs: Vec<ExportLogsServiceRequest>,
}

#[derive(Clone)]
pub(super) struct Collector {
    pub(super) seen: Arc<Mutex<Seen>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    protocol: Protocol,
}

impl Collector {
    pub(super) fn new(protocol: Protocol, script: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            seen: Arc::default(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            protocol,
        }
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
        LogsServiceServer::new(self)
            .accept_compressed(CompressionEncoding::Gzip)
            .call(request)
            .await
    }

    async fn http(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, String> {
        let (head, body) = request.into_parts();
        let body = inflated(&head.headers, body.collect().await.unwrap().to_bytes());
        self.seen.lock().unwrap().headers = head.headers;
        match head.uri.path() {
            "/v1/traces" => self.seen.lock().unwrap().traces.push(Message::decode(body).unwrap()),
            "/v1/metrics" => self.seen.lock().unwrap().metrics.push(Message::decode(body).unwrap()),
            _ => return self.http_logs(Message::decode(body).unwrap()).await,
        }
        Ok(Response::default())
    }

    async fn http_logs(
        self,
        request: ExportLogsServiceRequest,
    ) -> Result<Response<Full<Bytes>>, String> {
        let (status, body) = match self.logs(request).await {
            Ok(answer) => (200, answer.encode_to_vec()),
            Err(status) if status.code() == Code::Aborted => return Err("reset".into()),
            Err(status) => (http_status(status.code()), Vec::new()),
        };
        Ok(Response::builder().status(status).body(Full::new(body.into())).unwrap())
    }

    async fn logs(
        &self,
        request: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, Status> {
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Accept);
        self.seen.lock().unwrap().logs.push(request.clone());
        let records = request
            .resource_logs
            .into_iter()
            .flat_map(|logs| logs.scope_logs)
            .flat_map(|logs| logs.log_records);
        let ids: Vec<String> = records
            .map(|record| {
                record.attributes[0]
                    .value
                    .clone()
                    .map(|value| format!("{value:?}"))
                    .unwrap_or_default()
            })
            .collect();
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
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "too old".into(),
        });
        Ok(ExportLogsServiceResponse { partial_success })
    }

    /// Polls, for at most ten seconds.
    pub(super) async fn until(&self, done: impl Fn(&Seen) -> bool) {
        let polling = async {
            while !done(&self.seen.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), polling).await;
        assert!(waited.is_ok(), "it did not come: {:?}", self.seen.lock().unwrap());
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
