//! The response to a request.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokenwatch_core::base::secrecy::redacted;

use super::openmetrics::{self, Format};
use super::throttle::Throttle;
use super::{Content, authority, page, probes};
use crate::clocks;
use crate::reader_list::{NotAPod, PodName, ReaderList};

const LIVE: &str = "/livez";
const READY: &str = "/readyz";
/// The body of a 404.
const PATHS: &str = "not found; the paths are\n/               status page\n/readers        who \
                     reads which token, as JSON; ?pod=NAMESPACE/NAME for one pod\n/metrics        \
                     metrics for Prometheus\n/runbooks/CODE  what to do about a \
                     finding\n/livez          liveness probe\n/readyz         readiness probe\n";
const PLAIN: &str = "text/plain; charset=utf-8";

pub(super) type Reply = Response<Full<Bytes>>;

/// Whether the request is one of kubelet's probes.
pub(super) fn is_probe<B>(request: &Request<B>) -> bool {
    [LIVE, READY].contains(&request.uri().path())
}

/// Responds to requests.
pub(super) struct Responder {
    content: Content,
    throttle: Throttle,
    names: Vec<String>,
}

impl Responder {
    pub(super) fn new(content: Content, names: Vec<String>) -> Self {
        Self { content, throttle: Throttle::default(), names }
    }

    /// The response. The body of the request is not read.
    pub(super) async fn respond(&self, request: &Request<Incoming>) -> Reply {
        self.respond_to(request).await
    }

    async fn respond_to<B>(&self, request: &Request<B>) -> Reply {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return not_allowed();
        }
        match request.uri().path() {
            LIVE => probe("livez", &probes::live((self.content.views.pulse)()), request),
            READY => self.ready(request),
            _ if !is_for_this_agent(request, &self.names) => misdirected(request),
            "/metrics" => self.metrics(request).await,
            "/readers" => self.readers(request).await,
            "/" => self.page().await,
            path => runbook(path),
        }
    }

    /// A probe shares nothing with pages: however many wait, it has its answer at once.
    fn ready<B>(&self, request: &Request<B>) -> Reply {
        let readiness = (self.content.views.readiness)();
        probe("readyz", &probes::ready(&readiness, &clocks::now()), request)
    }

    async fn metrics<B>(&self, request: &Request<B>) -> Reply {
        let accept = request.headers().get(header::ACCEPT);
        let format = Format::accepted(accept.and_then(|value| value.to_str().ok()));
        let pull = &self.content.pull;
        let write = || pull.read().map(|metrics| openmetrics::write(&metrics, format));
        match self.throttle.run(write).await {
            Some(Some(body)) => reply(StatusCode::OK, format.content_type(), body),
            Some(None) => no_metrics(),
            None => busy(),
        }
    }

    /// Everybody who reads a token, or the readers of one pod.
    async fn readers<B>(&self, request: &Request<B>) -> Reply {
        let pod = match asked_pod(request.uri().query().unwrap_or_default()) {
            Ok(pod) => pod,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let content = &self.content;
        let list =
            || ReaderList::of(&(content.views.status)(), &content.roots, pod.as_ref()).to_json();
        let body = self.throttle.run(list).await;
        body.map_or_else(busy, |body| reply(StatusCode::OK, "application/json", body))
    }

    async fn page(&self) -> Reply {
        let page = self.throttle.run(|| page::render(&(self.content.views.status)())).await;
        page.map_or_else(busy, html)
    }
}

/// The runbook that the path names. It takes microseconds, and nothing of the engine.
fn runbook(path: &str) -> Reply {
    let code = path.strip_prefix(page::runbook::PATH).and_then(|code| code.parse().ok());
    code.map_or_else(
        || text(StatusCode::NOT_FOUND, PATHS.to_owned()),
        |code| html(page::runbook::render(code)),
    )
}

fn html(page: String) -> Reply {
    let policy = HeaderValue::try_from(page::policy())
        .unwrap_or(HeaderValue::from_static("default-src 'none'"));
    with(
        reply(StatusCode::OK, "text/html; charset=utf-8", page),
        [(header::CONTENT_SECURITY_POLICY, policy)],
    )
}

/// The pod in the query, if there is one. Nothing is decoded: no name of a pod needs it.
fn asked_pod(query: &str) -> Result<Option<PodName>, NotAPod> {
    let pod = query.split('&').find_map(|part| part.strip_prefix("pod="));
    pod.map(str::parse).transpose()
}

fn probe<B>(name: &str, checks: &[probes::Check], request: &Request<B>) -> Reply {
    let verbose = request.uri().query().is_some_and(|query| {
        query.split('&').any(|part| part.split('=').next() == Some("verbose"))
    });
    let (has_passed, body) = probes::summary(name, checks, verbose);
    text(if has_passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

/// Whether the request is not part of a DNS rebinding attack. Only a browser can be tricked into
/// such a request, and every browser names the host that it requests.
fn is_for_this_agent<B>(request: &Request<B>, names: &[String]) -> bool {
    let named = request.headers().get_all(header::HOST).iter().map(HeaderValue::to_str);
    let is_own = |name: &str| authority::is_own(name, names);
    named.into_iter().all(|name| name.is_ok_and(is_own))
        && request.uri().authority().is_none_or(|name| is_own(name.as_str()))
}

fn misdirected<B>(request: &Request<B>) -> Reply {
    let host =
        request.headers().get(header::HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let host = tokenwatch_core::base::text::shown(host);
    let why = format!(
        "refused: somebody else could make the name \"{host}\" point here; use an IP address, \
         localhost, or the name of a Service that ends in .svc, or add the name to http.names\n"
    );
    text(StatusCode::MISDIRECTED_REQUEST, why)
}

fn not_allowed() -> Reply {
    let allow = (header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    let why = "only GET and HEAD are allowed\n".to_owned();
    with(text(StatusCode::METHOD_NOT_ALLOWED, why), [allow])
}

fn no_metrics() -> Reply {
    let why = "no metrics: the agent is shutting down\n".to_owned();
    text(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn busy() -> Reply {
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("5"));
    with(text(StatusCode::SERVICE_UNAVAILABLE, "too many requests\n".to_owned()), [retry])
}

fn text(status: StatusCode, body: String) -> Reply {
    reply(status, PLAIN, body)
}

/// Every body is made here: nothing that looks like a token is served.
fn reply(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let body = match redacted(&body) {
        Cow::Borrowed(_) => body,
        Cow::Owned(safe) => safe,
    };
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    with(reply, fixed.map(|(name, value)| (name, HeaderValue::from_static(value))))
}

fn with<const N: usize>(mut reply: Reply, headers: [(HeaderName, HeaderValue); N]) -> Reply {
    for (name, value) in headers {
        // Replaces the header: a browser would obey all of several policies.
        reply.headers_mut().insert(name, value);
    }
    reply
}
