//! What is probably not meant: settings that can work, and rarely do.

use std::collections::BTreeSet;

use tokenwatch_otlp::protocol::{Protocol, Signal};

use super::endpoint::shown_endpoint;
use super::target::{Settings, Target};
use crate::config::proxy::Route;

/// IANA's ports for OTLP.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

impl Settings {
    /// One sentence for each doubt about the targets.
    pub fn doubts(&self) -> Vec<String> {
        let doubts = self.targets().flat_map(Target::doubts);
        doubts.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Where the variables of a proxy do not apply, and why.
    pub fn exceptions(&self) -> Vec<String> {
        self.routes(|route| match route {
            Route::Excepted(exception) => Some(exception.to_string()),
            Route::Direct | Route::Through(_) | Route::Unusable(_) => None,
        })
    }

    /// The proxies on the way to the targets.
    pub fn proxies(&self) -> Vec<String> {
        self.routes(|route| route.proxy().map(ToString::to_string))
    }

    fn routes(&self, text: impl Fn(&Route) -> Option<String>) -> Vec<String> {
        let texts = self.targets().filter_map(|target| text(&target.route));
        texts.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Target {
    /// The first of two signals' paths in the endpoint, which a base endpoint already had.
    pub fn doubled_path(&self) -> Option<&'static str> {
        let path = self.endpoint.path();
        let before = path.strip_suffix(self.signal.http_path())?;
        let paths = Signal::ALL.map(Signal::http_path);
        paths.into_iter().find(|path| before.trim_end_matches('/').ends_with(path))
    }

    fn doubts(&self) -> Vec<String> {
        [self.doubtful_port(), self.doubtful_path(), self.unusable_proxy()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn doubtful_port(&self) -> Option<String> {
        let (port, usual) = match self.protocol {
            Protocol::HttpProtobuf => (GRPC_PORT, Protocol::Grpc),
            Protocol::Grpc => (HTTP_PORT, Protocol::HttpProtobuf),
        };
        if self.endpoint.port_u16() != Some(port) {
            return None;
        }
        let authority = self.endpoint.authority()?;
        let (set, usual) = (self.protocol.name(), usual.name());
        Some(format!(
            "the protocol is {set}, and the port of {authority} is the usual one of {usual}"
        ))
    }

    fn doubtful_path(&self) -> Option<String> {
        if self.protocol == Protocol::Grpc {
            return None;
        }
        let own = self.signal.http_path();
        if let Some(first) = self.doubled_path() {
            return Some(format!(
                "{}: the endpoint holds {first} already, and the agent appends {own}",
                shown_endpoint(&self.endpoint)
            ));
        }
        let is_usual = self.endpoint.path().ends_with(own);
        (!is_usual).then(|| {
            format!(
                "{}: the endpoint of a single signal is used as it is, and usually ends in {own}",
                shown_endpoint(&self.endpoint)
            )
        })
    }

    fn unusable_proxy(&self) -> Option<String> {
        match &self.route {
            Route::Unusable(unusable) => Some(format!("{unusable}; it connects directly")),
            Route::Direct | Route::Excepted(_) | Route::Through(_) => None,
        }
    }
}
