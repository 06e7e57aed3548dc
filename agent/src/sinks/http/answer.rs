//! Which answer a request gets.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::gate::Gate;
use super::openmetrics::{self, Format};
use super::{Shown, host, page, probes};

/// What there is; told to whoever asks for something else.
const PATHS: &str = "/         status page\n/metrics  OpenMetrics\n/livez    does the agent \
                     live\n/readyz   has it seen everything once\n";
const PLAIN: &str = "text/plain; charset=utf-8";

pub(super) type Answer = Response<Full<Bytes>>;

/// Answers requests.
pub(super) struct Answers {
    shown: Shown,
    gate: Gate,
}

impl Answers {
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, gate: Gate::default() }
    }

    /// A body that is sent along is not read.
    pub(super) async fn to(&self, request: &Request<Incoming>) -> Answer {
        self.to_parts(request).await
    }

    async fn to_parts<B>(&self, request: &Request<B>) -> Answer {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let allow = (header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return with(
                text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "only GET and HEAD: nothing can be changed here\n".to_owned(),
                ),
                [allow],
            );
        }
        match request.uri().path() {
            "/livez" => probe("livez", &probes::live((self.shown.views.pulse)()), request),
            "/readyz" => self.ready(request).await,
            _ if !is_meant_for_us(request) => {
                text(StatusCode::MISDIRECTED_REQUEST, misdirected(request))
            }
            "/metrics" => self.metrics(request).await,
            "/" => self.page().await,
            _ => text(StatusCode::NOT_FOUND, format!("there is no such path; there are\n{PATHS}")),
        }
    }

    async fn ready<B>(&self, request: &Request<B>) -> Answer {
        let snapshot = self.gate.through(|| (self.shown.views.snapshot)()).await;
        snapshot.map_or_else(busy, |snapshot| probe("readyz", &probes::ready(&snapshot), request))
    }

    async fn metrics<B>(&self, request: &Request<B>) -> Answer {
        let format = Format::accepted(
            request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()),
        );
        let written = self
            .gate
            .through(|| self.shown.pull.read().map(|figures| openmetrics::write(&figures, format)))
            .await;
        match written {
            Some(Some(written)) => answer(StatusCode::OK, format.content_type(), written),
            Some(None) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are no figures: the agent is about to end\n".to_owned(),
            ),
            None => busy(),
        }
    }

    async fn page(&self) -> Answer {
        let page = self.gate.through(|| page::render(&(self.shown.views.status)())).await;
        let policy = HeaderValue::try_from(page::policy())
            .unwrap_or(HeaderValue::from_static("default-src 'none'"));
        page.map_or_else(busy, |page| {
            with(
                answer(StatusCode::OK, "text/html; charset=utf-8", page),
                [(header::CONTENT_SECURITY_POLICY, policy)],
            )
        })
    }
}

fn probe<B>(name: &str, checks: &[probes::Check], request: &Request<B>) -> Answer {
    let verbose = request.uri().query().is_some_and(|query| {
        query.split('&').any(|part| part.split('=').next() == Some("verbose"))
    });
    let (is_well, said) = probes::told(name, checks, verbose);
    text(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, said)
}

/// Nobody but a browser can be made to ask for somebody else, and every browser says whom it asks
/// for.
fn is_meant_for_us<B>(request: &Request<B>) -> bool {
    let named = request.headers().get_all(header::HOST).iter().map(HeaderValue::to_str);
    let is_ours = |name: Result<&str, _>| name.is_ok_and(host::is_ours);
    named.into_iter().all(is_ours)
        && request.uri().authority().is_none_or(|authority| host::is_ours(authority.as_str()))
}

fn misdirected<B>(request: &Request<B>) -> String {
    let host =
        request.headers().get(header::HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let host = tokenwatch_core::base::text::shown(host);
    format!(
        "not answered under the name \"{host}\", which anybody could point here: ask by address, \
         as localhost, or by the name of a Service\n"
    )
}

fn busy() -> Answer {
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("5"));
    with(
        text(StatusCode::SERVICE_UNAVAILABLE, "too many requests before this one\n".to_owned()),
        [retry],
    )
}

fn text(status: StatusCode, said: String) -> Answer {
    answer(status, PLAIN, said)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    with(answer, fixed.map(|(name, value)| (name, HeaderValue::from_static(value))))
}

fn with<const N: usize>(mut answer: Answer, headers: [(HeaderName, HeaderValue); N]) -> Answer {
    for (name, value) in headers {
        answer.headers_mut().insert(name, value); // in place of what stands there: a browser obeys every policy of several
    }
    answer
}
