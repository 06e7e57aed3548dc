//! Answers to gRPC that are gRPC. A web server, or a gateway in front of the collector, answers
//! with a status of HTTP and a page, of which the gRPC library would keep no word.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::Service;

use super::failure::{Failure, NotGrpc};
use super::pool::{Client, whole};
use crate::clocks;
use crate::config::otlp::Target;

/// A client whose other answers are errors.
pub(super) struct GrpcOnly {
    pub(super) client: Client,
    pub(super) target: Target,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

impl Service<Request<Body>> for GrpcOnly {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(&mut self.client, context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let (answer, target) = (self.client.request(request), self.target.clone());
        Box::pin(async move {
            let answer = answer.await?;
            if is_grpc(answer.headers()) {
                return Ok(answer);
            }
            let (head, body) = answer.into_parts();
            let body = whole(body).await.unwrap_or_default();
            let failure = Failure::not_grpc(&head, &body, &target, clocks::now().wall);
            Err(NotGrpc(failure).into())
        })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    content.starts_with(b"application/grpc") || headers.contains_key("grpc-status")
}
