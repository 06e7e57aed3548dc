//! An OTLP receiver on loopback: gRPC, all three signals. It keeps nothing; it passes on what
//! arrives as plain values.

use std::net::{Ipv4Addr, SocketAddr};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::Error;
use crate::received::{self, Received};

/// A running receiver. Dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    task: AbortHandle,
}

impl Receiver {
    /// Starts a receiver on a free port of 127.0.0.1, on the current runtime. The channel is
    /// unbounded because back pressure would change what the receiver is there to show. Once the
    /// channel's other end is dropped, the receiver refuses all requests.
    pub async fn start() -> Result<(Self, UnboundedReceiver<Received>), Error> {
        let (listener, address) = bound().await.map_err(Error::listen("OTLP receiver"))?;
        let (sender, received) = unbounded_channel();
        let task = tokio::spawn(serve(listener, Inbox(sender))).abort_handle();
        Ok((Self { address, task }, received))
    }

    /// Where to send: `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bound() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, inbox: Inbox) {
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(inbox.clone()).accept_compressed(Gzip))
        .add_service(LogsServiceServer::new(inbox.clone()).accept_compressed(Gzip))
        .add_service(MetricsServiceServer::new(inbox).accept_compressed(Gzip));
    // It ends with an error only when its connections are lost, which its clients see as well.
    let _ = server.serve_with_incoming(TcpIncoming::from(listener)).await;
}

#[derive(Clone)]
struct Inbox(UnboundedSender<Received>);

impl Inbox {
    fn take<Answer: Default>(
        &self,
        items: impl Iterator<Item = Received>,
    ) -> Result<Response<Answer>, Status> {
        for item in items {
            self.0
                .send(item)
                .map_err(|_| Status::unavailable("the receiver's channel is closed"))?;
        }
        Ok(Response::new(Answer::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(received::spans(request.into_inner()).map(|span| Received::Span(Box::new(span))))
    }
}

#[tonic::async_trait]
impl LogsService for Inbox {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take(received::logs(request.into_inner()).map(|log| Received::Log(Box::new(log))))
    }
}

#[tonic::async_trait]
impl MetricsService for Inbox {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take(std::iter::once(Received::Metrics(received::metrics(&request.into_inner()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    fn one_span() -> ExportTraceServiceRequest {
        let span = Span {
            name: "token.generation".into(),
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        }
    }

    #[tokio::test]
    async fn the_channel_holds_what_a_client_sends() {
        let (receiver, mut received) = Receiver::start().await.unwrap();
        let client = TraceServiceClient::connect(receiver.endpoint()).await.unwrap();
        client.send_compressed(Gzip).export(one_span()).await.unwrap();
        let Some(Received::Span(span)) = received.recv().await else { panic!("no span") };
        assert_eq!((span.name.as_str(), span.parent), ("token.generation", None));
    }

    #[tokio::test]
    async fn without_a_reader_it_refuses_requests() {
        let (receiver, received) = Receiver::start().await.unwrap();
        drop(received);
        let mut client = TraceServiceClient::connect(receiver.endpoint()).await.unwrap();
        assert_eq!(client.export(one_span()).await.unwrap_err().code(), tonic::Code::Unavailable);
    }
}
