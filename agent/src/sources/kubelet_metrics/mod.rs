//! kubelet's metrics, requested when the engine asks for them. Off unless the settings ask for it.
//!
//! - `lines`: the lines of the body, of bounded length;
//! - `sample`: the parts of a line;
//! - `counters`: the few families that are kept.
//!
//! kubelet asks the API server about the agent's token. So a kubelet that does not reach it answers
//! 401, and that is an observation, too.

mod counters;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod lines;
mod sample;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::kubelet::metrics::{KubeletCounters, MetricsSeen};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::health::{Health, Meaning, Source};
use super::send::send_all;
use crate::kubernetes::{Error, ErrorKind, KubeletClient, KubeletError, MetricsBody};
use lines::Lines;

/// Timeout of the head, and of the body. kubelet needs up to 11 s to give up on the API server.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a body: kubelet 1.34 with few pods has 160 kB, and each pod adds some.
const MOST_MIB: usize = 16;
const MAX_BODY: usize = MOST_MIB << 20;

/// Answers each query until the engine drops the channel.
pub async fn run(
    client: Arc<KubeletClient>,
    queries: Arc<Notify>,
    observations: Sender<Observation>,
) {
    let mut health = Health::new(Source::KubeletMetrics);
    loop {
        queries.notified().await;
        if !send_all(&observations, answer(&client, &mut health).await).await {
            return;
        }
    }
}

/// What there is to report after a query.
async fn answer(client: &KubeletClient, health: &mut Health) -> Vec<Observation> {
    let (seen, health) = match read(client, TIMEOUT).await {
        Ok(counters) => (Some(MetricsSeen::Counters(counters)), health.update(None)),
        Err(error) => (shown_by(&error), degraded(client, &error, health)),
    };
    seen.map(Observation::KubeletMetrics).into_iter().chain(health).collect()
}

/// For a caller that looks only once.
#[derive(Debug)]
pub struct Once(Arc<KubeletClient>);

impl Once {
    /// Of this kubelet.
    pub fn new(client: Arc<KubeletClient>) -> Self {
        Self(client)
    }

    /// What kubelet shows now, and what did not work.
    pub async fn look(&self) -> (Option<Observation>, Option<String>) {
        let (seen, trouble) = look(&self.0).await;
        (seen.map(Observation::KubeletMetrics), trouble)
    }
}

async fn look(client: &KubeletClient) -> (Option<MetricsSeen>, Option<String>) {
    match read(client, TIMEOUT).await {
        Ok(counters) => (Some(MetricsSeen::Counters(counters)), None),
        Err(error) => (shown_by(&error), Some(text(client, &error))),
    }
}

async fn read(client: &KubeletClient, limit: Duration) -> Result<KubeletCounters, KubeletError> {
    let body = client.metrics(limit).await?;
    let late = || Error::invalid(format_args!("its body was not complete within {limit:?}"));
    let read = timeout(limit, counted(body)).await;
    Ok(read.unwrap_or_else(|_| Err(late()))?)
}

/// Reads a body to its end. A part of it would have too few counts.
async fn counted(mut body: MetricsBody) -> Result<KubeletCounters, Error> {
    let (mut lines, mut counters, mut size) = (Lines::default(), KubeletCounters::default(), 0);
    while let Some(part) = body.next().await? {
        size += part.len();
        if size > MAX_BODY {
            return Err(Error::invalid(format_args!("its body is larger than {MOST_MIB} MiB")));
        }
        lines.push(&part, |line| counters::take(&mut counters, line));
    }
    lines.finish(|line| counters::take(&mut counters, line));
    // Every kubelet has this one: what does not is no kubelet, or a proxy's page.
    let is_kubelet = counters.started.is_some();
    is_kubelet.then_some(counters).ok_or_else(|| Error::invalid("it has no metrics"))
}

/// What a failure shows about kubelet.
fn shown_by(error: &KubeletError) -> Option<MetricsSeen> {
    match error {
        KubeletError::Untrusted(_) | KubeletError::Unverified => None,
        KubeletError::Closed => Some(MetricsSeen::Closed),
        KubeletError::Request(error) => match error.kind() {
            ErrorKind::Refused(status) => Some(MetricsSeen::Refused(status)),
            ErrorKind::Configuration | ErrorKind::Connection(_) | ErrorKind::Invalid => None,
        },
    }
}

fn degraded(
    client: &KubeletClient,
    error: &KubeletError,
    health: &mut Health,
) -> Option<Observation> {
    let text = text(client, error);
    match error {
        KubeletError::Untrusted(_) | KubeletError::Unverified | KubeletError::Closed => {
            health.update(Some(text))
        }
        KubeletError::Request(error) => health.degraded(Meaning::Api(error.kind()), text),
    }
}

/// What does not work, and what the agent does instead.
fn text(client: &KubeletClient, error: &KubeletError) -> String {
    let why = match error {
        KubeletError::Untrusted(error) => format!("{UNVERIFIED}: {error}; {NO_REQUEST}"),
        KubeletError::Unverified => format!("{UNVERIFIED}: {}; {NO_REQUEST}", unknown(client)),
        KubeletError::Closed => "nothing listens there".to_owned(),
        KubeletError::Request(error) => refused(error),
    };
    format!("kubelet ({}): metrics not read, because {why}", client.server())
}

fn refused(error: &Error) -> String {
    match error {
        Error::Configuration(error) => error.to_string(),
        Error::Connection(_) => "the connection failed, or no answer came in time".to_owned(),
        Error::Refused { status, .. } => match status.as_u16() {
            401 | 500 => UNAUTHORIZED.to_owned(),
            403 => FORBIDDEN.to_owned(),
            status => format!("it answered {status}"),
        },
        Error::Invalid(reason) => reason.to_string(),
    }
}

const UNVERIFIED: &str = "kubelet's certificate cannot be verified";
const NO_REQUEST: &str = "no request was sent";
const UNAUTHORIZED: &str = "kubelet did not accept the agent's token: it cannot ask the API server \
                            about it, or its webhook for tokens is off";
const FORBIDDEN: &str = "the agent's account has no right on them: it needs get on nodes/metrics";

fn unknown(client: &KubeletClient) -> String {
    let trust = client.trust();
    let authorities = match &trust.authorities {
        Some(file) => format!("no authority in {} signed it for this node", file.display()),
        None => "kubelet.metrics_ca names no authority".to_owned(),
    };
    format!("it is none of those in {}, and {authorities}", trust.certificate.display())
}
