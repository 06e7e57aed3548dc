//! Tests of the engine: a sequence of observations, and the reports that it gives.

use super::*;
use crate::base::schema;
use crate::base::time::{Delta, Wall};
use crate::findings::{Code, Severity, Subject};
use crate::ledger::{self, AlertEvent, Restored};
use crate::world::clocks::{Exchange, Leap, Round, Sample, ServerName};
use crate::world::cluster::{AccountName, AccountSeen, ClusterSeen, Pod};
use crate::world::observation::{BlindSpot, DeliveryState, FileContent, FileSeen, SourceState};
use crate::world::tokens::{MAX_TOKENS, State, claims_for_tests as claims};

mod agent;
mod claimed;
mod clock;
mod cluster;
mod copies;
mod elsewhere;
mod issued;
mod keys;
mod kubelet;
mod logged;
mod metrics;
mod posture;
mod readers;
mod rejecting;
mod restart;
mod shares;
mod still;
mod syncs;
mod tokens;
mod verifier;

const IAT: i64 = 1_800_000_000;

fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos((age + 10_000) * 1_000_000_000),
    }
}

fn key(pod: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: "kube-api-access-x".into(), path: "token".into() }
}

fn token(pod: &str, iat_age: i64, lifetime: i64) -> Observation {
    let mut claims = claims(IAT + iat_age, lifetime, None);
    claims.binding.pod = Some(crate::world::tokens::ObjectRef {
        name: format!("{pod}-name"),
        uid: Some(pod.into()),
    });
    Observation::File(FileSeen {
        key: key(pod),
        written_at: Some(Wall::from_secs(IAT + iat_age + 1)),
        directory: None,
        content: FileContent::Token(Box::new(claims)),
        signature: None,
    })
}

fn engine() -> Engine {
    Engine::new(Config { node: "n1".into(), ..Config::default() })
}

/// Runs the engine by its own wake-ups from one age to another. Returns the alerts about tokens:
/// age, event, code and severity.
fn run(engine: &mut Engine, from: i64, to: i64) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let (mut now, mut reported) = (at(from), Vec::new());
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(to).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        reported.extend(alerts(&engine.step(&now, Observation::Tick).reports, now.wall));
    }
    reported
}

fn alerts(reports: &[Report], now: Wall) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let about_tokens = |report: &Report| match report {
        Report::Alert(alert) if alert.finding.code.as_str().starts_with("token.") => Some((
            (now - Wall::from_secs(IAT)).as_secs(),
            alert.event,
            alert.finding.code,
            alert.finding.severity,
        )),
        _ => None,
    };
    reports.iter().filter_map(about_tokens).collect()
}

fn summaries(reports: &[Report]) -> Vec<&str> {
    let alerts = reports
        .iter()
        .filter_map(|report| if let Report::Alert(alert) = report { Some(alert) } else { None });
    alerts.map(|alert| alert.finding.summary.as_str()).collect()
}

fn spans(reports: &[Report]) -> Vec<&'static str> {
    reports
        .iter()
        .filter_map(|report| if let Report::Span(span) = report { Some(span.name) } else { None })
        .collect()
}

/// A round in which three servers give `offset`.
pub(super) fn measured(now: &Reading, offset: Delta) -> Observation {
    let bound = Delta::from_millis(5);
    let sample = Sample {
        offset,
        delay: bound,
        root_distance: bound,
        stratum: 2,
        leap: Leap::None,
        reference_id: "GPS".into(),
        taken: *now,
    };
    let exchange = |host: &str| Exchange {
        server: ServerName {
            host: host.into(),
            port: 123,
            address: Some("192.0.2.1".into()),
            pool: None,
        },
        started: now.after(Delta::from_millis(-10)),
        ended: *now,
        result: Ok(sample.clone()),
    };
    Observation::NtpRound(Round {
        started: now.after(Delta::from_millis(-10)),
        ended: *now,
        exchanges: ["a", "b", "c"].map(exchange).into(),
        voters: Vec::new(),
    })
}

fn spot(pod: &str) -> BlindSpot {
    BlindSpot {
        pod_uid: pod.into(),
        volume: "v".into(),
        directory: "/d".into(),
        reason: "its tmpfs is not mounted here".into(),
        is_partly: false,
    }
}

fn listed(deletion: Option<i64>) -> Observation {
    let deletion = deletion.map(|age| Wall::from_secs(IAT + age));
    let service_account = Some("cart".into());
    let pod = Pod {
        uid: "p1".into(),
        namespace: "shop".into(),
        name: "cart-0".into(),
        service_account,
        deletion,
        ..Pod::default()
    };
    Observation::Cluster(ClusterSeen::Listed(vec![pod]))
}

fn account(uid: Option<&str>) -> Observation {
    let account = AccountName { namespace: "shop".into(), name: "cart".into() };
    Observation::ServiceAccount(AccountSeen { account, uid: uid.map(Into::into) })
}

fn queries(outcome: &Outcome) -> Vec<String> {
    let account = |query: &'_ Query| match query {
        Query::ServiceAccount(account) => Some(account.name.clone()),
        Query::Keys | Query::PodsAtAddress(_) | Query::KubeletMetrics | Query::Tokens(_) => None,
    };
    outcome.queries.iter().filter_map(account).collect()
}

/// An engine with access to the API server, whose only token is late, and its last outcome.
fn late() -> (Engine, Outcome) {
    let mut engine = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = engine.step(&at(1), listed(None));
    let fresh = engine.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(queries(&fresh), [""; 0], "its turn comes later");
    let outcome = engine.step(&at(3_000), Observation::Tick);
    (engine, outcome)
}
