//! What an endpoint that does not answer as configured answers to: the other scheme, the other
//! protocol, or both. The four ways are tried at the same time, without the headers and the client
//! certificate, which nobody but the configured collector may see.

use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use tokenwatch_otlp::protocol::{Compression, Protocol};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::cause::Spoken;
use super::exchange::attempt;
use crate::clocks;
use crate::config::otlp::{Target, TlsFiles};
use crate::regular_file::Reads;

/// Timeout of a try. It delays the next request once, and a collector that works answers sooner.
const LIMIT: Duration = Duration::from_secs(2);
/// While it lasts, the trouble is looked at again after this.
const AGAIN: Duration = Duration::from_mins(1);

/// The last diagnosis of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(Mutex<Option<(Instant, Option<Spoken>)>>);

impl Diagnosis {
    /// What the endpoint answers to, if that is not what is configured. Looks at most once a
    /// minute.
    pub(super) async fn of(&self, target: &Target, reads: &Reads) -> Option<Spoken> {
        let mut last = self.0.lock().await;
        if let Some((at, spoken)) = *last
            && clocks::timer() - at < AGAIN
        {
            return spoken;
        }
        let spoken = Box::pin(spoken(target, reads)).await; // rare, and large
        *last = Some((clocks::timer(), spoken));
        spoken
    }

    /// The endpoint works: what fails next is another trouble.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

async fn spoken(target: &Target, reads: &Reads) -> Option<Spoken> {
    if target.route.proxy().is_some() {
        return None; // a proxy answers to anything
    }
    let own = Spoken { tls: target.is_tls(), protocol: target.protocol };
    let protocol = Spoken { protocol: other(own.protocol), ..own };
    let scheme = Spoken { tls: !own.tls, ..own };
    let both = Spoken { tls: !own.tls, ..protocol };
    let (own, by_protocol, by_scheme, by_both) = tokio::join!(
        answers(target, own, reads),
        answers(target, protocol, reads),
        answers(target, scheme, reads),
        answers(target, both, reads)
    );
    let tried = [(by_protocol, protocol), (by_scheme, scheme), (by_both, both)];
    let found = tried.into_iter().find(|(answers, _)| *answers);
    found.filter(|_| !own).map(|(_, spoken)| spoken)
}

fn other(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Grpc => Protocol::HttpProtobuf,
        Protocol::HttpProtobuf => Protocol::Grpc,
    }
}

async fn answers(target: &Target, way: Spoken, reads: &Reads) -> bool {
    let Some(target) = stranger(target, way) else { return false };
    match timeout(LIMIT, attempt(&target, Bytes::new(), reads)).await {
        Ok(Ok(_)) => true,
        Ok(Err(failure)) => failure.cause.is_answer(),
        Err(_) => false,
    }
}

/// The same endpoint, spoken to another way by somebody without credentials.
fn stranger(target: &Target, way: Spoken) -> Option<Target> {
    let mut parts = target.endpoint.clone().into_parts();
    parts.scheme = Some(if way.tls { Scheme::HTTPS } else { Scheme::HTTP });
    Some(Target {
        endpoint: Uri::from_parts(parts).ok()?,
        protocol: way.protocol,
        headers: HeaderMap::new(),
        timeout: LIMIT,
        compression: Compression::None,
        tls: TlsFiles { client: None, ..target.tls.clone() },
        ..target.clone()
    })
}
