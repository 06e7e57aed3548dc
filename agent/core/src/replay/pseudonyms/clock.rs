//! Time servers and their answers without names.

use super::Pseudonyms;
use super::names::Kind;
use crate::world::clocks::{
    DateSeen, Exchange, ExchangeError, KernelClock, Round, Sample, ServerName, Step,
};

/// What a stratum 1 server's reference id may be (RFC 5905 figure 12): anything else is an address.
const REFERENCE_IDS: [&str; 20] = [
    "GOES", "GPS", "GAL", "PPS", "IRIG", "WWVB", "DCF", "HBG", "MSF", "JJY", "LORC", "TDF", "CHU",
    "WWV", "WWVH", "NIST", "ACTS", "USNO", "PTB", "LOCL",
];

impl Pseudonyms {
    pub(super) fn date(&self, seen: DateSeen) -> DateSeen {
        let DateSeen { sent, received, date, names } = seen;
        let names = names.iter().map(|name| self.name(Kind::Host, name)).collect();
        DateSeen { sent, received, date, names }
    }

    pub(super) fn round(&self, round: Round) -> Round {
        let Round { started, ended, exchanges, voters } = round;
        let exchanges = exchanges.into_iter().map(|exchange| self.exchange(exchange)).collect();
        let voters = voters.into_iter().map(|voter| self.server_name(voter)).collect();
        Round { started, ended, exchanges, voters }
    }

    fn exchange(&self, exchange: Exchange) -> Exchange {
        let Exchange { server, started, ended, result } = exchange;
        Exchange {
            server: self.server_name(server),
            started,
            ended,
            result: match result {
                Ok(sample) => Ok(self.sample(sample)),
                Err(error) => Err(self.exchange_error(error)),
            },
        }
    }

    pub(super) fn server_name(&self, server: ServerName) -> ServerName {
        let ServerName { host, port, address, pool } = server;
        ServerName {
            host: self.host(&host),
            port,
            address: address.map(|address| self.host(&address)),
            pool,
        }
    }

    fn sample(&self, sample: Sample) -> Sample {
        let Sample { offset, delay, root_distance, stratum, leap, reference_id, taken } = sample;
        let is_source = REFERENCE_IDS.contains(&reference_id.as_str());
        let reference_id =
            if is_source { reference_id } else { self.name(Kind::Address, &reference_id) };
        Sample { offset, delay, root_distance, stratum, leap, reference_id, taken }
    }

    fn exchange_error(&self, error: ExchangeError) -> ExchangeError {
        match error {
            ExchangeError::Resolve(reason) => ExchangeError::Resolve(self.text(&reason)),
            ExchangeError::Timeout => ExchangeError::Timeout,
            ExchangeError::Network(reason) => ExchangeError::Network(self.text(&reason)),
            ExchangeError::InvalidResponse(reason) => {
                ExchangeError::InvalidResponse(self.text(&reason))
            }
            ExchangeError::KissOfDeath(code) => ExchangeError::KissOfDeath(self.text(&code)),
            ExchangeError::Unsynchronised => ExchangeError::Unsynchronised,
            ExchangeError::RootDistanceExceeded(distance) => {
                ExchangeError::RootDistanceExceeded(distance)
            }
            ExchangeError::ClockStepped => ExchangeError::ClockStepped,
        }
    }

    /// A server as findings name it: as [`ServerName`]'s `Display` would after the replacement.
    pub(super) fn server(&self, server: &str) -> String {
        let (place, address) = match server.strip_suffix(')').and_then(|s| s.rsplit_once(" (")) {
            Some((place, address)) => (place, Some(address)),
            None => (server, None),
        };
        let Some((host, port)) = place.rsplit_once(':') else { return self.text(server) };
        let host = self.host(host.trim_start_matches('[').trim_end_matches(']'));
        match address {
            Some(address) => format!("{host}:{} ({})", self.text(port), self.host(address)),
            None => format!("{host}:{}", self.text(port)),
        }
    }
}

/// Figures only.
pub(super) fn kernel(kernel: KernelClock) -> KernelClock {
    let KernelClock { synchronised, max_error, estimated_error, leap, steering_ppm, taken } =
        kernel;
    KernelClock { synchronised, max_error, estimated_error, leap, steering_ppm, taken }
}

/// Figures only.
pub(super) fn step(step: Step) -> Step {
    let Step { size, after } = step;
    Step { size, after }
}
