//! Example nodes for the tests.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::engine::{AgentView, ClockView, ClusterFigures, Status, TokenView};
use tokenwatch_core::findings::{Code, Finding, Remedy, Severity, Subject};
use tokenwatch_core::world::Crowded;
use tokenwatch_core::world::clocks::{
    ClockState, Estimate, ExchangeError, KernelClock, Leap, Sample, ServerName, ServerReport, Vote,
};
use tokenwatch_core::world::cluster::PodRef;
use tokenwatch_core::world::cluster::{Container, Owner, Phase, Pod};
use tokenwatch_core::world::observation::{BlindSpot, DeliveryState};
use tokenwatch_core::world::privileges::{Level, Privileges};
use tokenwatch_core::world::readers::ReaderView;
use tokenwatch_core::world::tokens::{
    Binding, Claims, Deadlines, KubeletPolicy, ObjectRef, SigningKey, TokenKey, verdict,
};

use crate::reader_list;

pub(crate) const NOW: Reading = Reading {
    wall: Wall::from_secs(1_800_000_000),
    monotonic: Monotonic::from_nanos(86_400_000_000_000),
};

/// A healthy node without tokens.
pub(crate) fn empty() -> Status {
    Status {
        node: "worker-1".into(),
        now: NOW,
        readers: Vec::new(),
        tokens: Vec::new(),
        legacy: Vec::new(),
        findings: Vec::new(),
        clock: ClockView {
            estimate: Estimate {
                offset: Delta::from_millis(2),
                bound: Delta::from_millis(5),
                assumed: false,
                alone: false,
                state: ClockState::Synchronised,
            },
            offset_limit: Delta::from_millis(500),
            servers: vec![
                server("time-1.example", Ok(sample(2, 4)), Vote::Agrees),
                server("time-2.example", Ok(sample(90_000, 10)), Vote::Falseticker),
                server("time-3.example", Err(ExchangeError::Timeout), Vote::Unusable),
                server("time-4.example", Ok(sample(3, 4)), Vote::Agrees),
                server("time-5.example", Ok(sample(1, 5)), Vote::Agrees),
            ],
            agreeing: 3,
            voters: 5,
            servers_configured: true,
            kernel: Some(KernelClock {
                synchronised: true,
                max_error: Delta::from_millis(9),
                estimated_error: Delta::ZERO,
                leap: Leap::None,
                steering_ppm: 0,
                taken: NOW,
            }),
        },
        agent: AgentView {
            blind: Vec::new(),
            crowded: Crowded::default(),
            sources: BTreeMap::from([("files".to_owned(), None), ("ntp".to_owned(), None)]),
            delivery: DeliveryState::default(),
            privileges: Some(Privileges { rung: Level::Files, lacking: Vec::new() }),
            cluster: None,
            unreachable: None,
        },
    }
}

fn server(host: &str, result: Result<Sample, ExchangeError>, vote: Vote) -> ServerReport {
    ServerReport {
        server: ServerName { host: host.into(), port: 123, address: None, pool: None },
        result,
        vote,
    }
}

fn sample(offset: i64, root_distance: i64) -> Sample {
    let (offset, root_distance) = (Delta::from_millis(offset), Delta::from_millis(root_distance));
    Sample {
        offset,
        delay: root_distance,
        root_distance,
        stratum: 2,
        leap: Leap::None,
        reference_id: "GPS".into(),
        taken: NOW,
    }
}

/// A token with a lifetime of one hour.
pub(crate) fn token(pod: &str, age: i64) -> TokenView {
    token_of(pod, age, 3_600, None)
}

pub(crate) fn token_of(pod: &str, age: i64, lifetime: i64, warn_after: Option<i64>) -> TokenView {
    let issued_at = NOW.wall - Delta::from_secs(age);
    let after = |secs| issued_at + Delta::from_secs(secs);
    let claims = Claims {
        issuer: "https://kubernetes.default.svc".into(),
        subject: "system:serviceaccount:shop:cart".into(),
        audiences: vec!["https://kubernetes.default.svc".into()],
        issued_at,
        not_before: issued_at,
        expires_at: after(lifetime),
        warn_after: warn_after.map(after),
        credential: None,
        binding: Binding {
            namespace: "shop".into(),
            service_account: ObjectRef { name: "cart".into(), uid: None },
            pod: Some(ObjectRef { name: pod.into(), uid: Some(format!("uid-{pod}")) }),
            ..Binding::default()
        },
        key: SigningKey::default(),
    };
    let deadlines = Deadlines::of(&claims, &KubeletPolicy::default());
    let interval = empty().clock.estimate.interval(NOW.wall);
    TokenView {
        key: TokenKey {
            pod_uid: format!("uid-{pod}"),
            volume: "kube-api-access".into(),
            path: "token".into(),
        },
        pod: PodRef {
            namespace: Some("shop".into()),
            name: Some(pod.into()),
            uid: format!("uid-{pod}"),
            owner: None,
            is_claimed: false,
        },
        state: deadlines.state(NOW.wall),
        verdict: verdict(&claims, &interval),
        claims,
        deadlines,
        appeared_at: Some(issued_at + Delta::from_secs(2)),
        known: None,
        signature: None,
    }
}

pub(crate) fn finding(token: &TokenView, code: Code, severity: Severity) -> (Finding, Wall) {
    let finding = Finding {
        code,
        severity,
        subject: Subject::token(&token.key, token.pod.clone()),
        summary: "kubelet has stopped rotating it".into(),
        deadline: Some(token.deadlines.effective),
        evidence: Attributes::new()
            .with("issued_at", token.claims.issued_at)
            .with("lifetime", Delta::from_secs(3_600)),
        remedy: Remedy {
            text: "Look at kubelet.".into(),
            command: Some("journalctl -u kubelet | tail".into()),
        },
        trace: None,
    };
    (finding, NOW.wall - Delta::from_secs(125))
}

/// A node with one example of every trouble.
pub(crate) fn troubled() -> Status {
    let mut stalled = token("pay-0", 3_300);
    let owner = Owner { kind: "StatefulSet".into(), name: "pay".into() };
    stalled.pod.owner = Some(owner.clone());
    let container = Container {
        id: None,
        name: "app".into(),
        image: "registry.example/pay:1.2".into(),
        volumes: vec!["kube-api-access".into()],
        ..Container::default()
    };
    stalled.known = Some(Pod {
        owner: Some(owner),
        containers: vec![container],
        phase: Phase::Running,
        ..Pod::default()
    });
    let expired = token("old-0", 3_700);
    let findings = vec![
        finding(&expired, Code::Expired, Severity::Critical),
        finding(&stalled, Code::RotationStalled, Severity::Warning),
    ];
    let hidden = BlindSpot {
        pod_uid: "uid-hidden".into(),
        volume: "kube-api-access".into(),
        directory: "/host/var/lib/kubelet/pods/uid-hidden".into(),
        reason: "kubelet mounted it after this agent started, and the mount does not propagate"
            .into(),
        is_partly: false,
    };
    let sources = [
        ("files".to_owned(), None),
        ("ntp".to_owned(), None),
        ("watch".to_owned(), Some("no inotify watches are left".to_owned())),
    ];
    let cart = token("cart-0", 600);
    let readers = vec![
        reader_list::sample::healthy(&cart, NOW.wall),
        reader_list::sample::stale(&cart, NOW.wall),
        reader_list::sample::unknown(&stalled, NOW.wall),
    ];
    Status {
        readers,
        tokens: vec![
            cart,
            expired,
            stalled,
            token_of("long-0", 1_200, 31_536_000, Some(3_607)),
            token("early-0", -300),
        ],
        findings,
        agent: AgentView {
            blind: vec![hidden],
            crowded: Crowded::default(),
            sources: BTreeMap::from(sources),
            delivery: DeliveryState {
                waiting_since: Some(Reading {
                    wall: NOW.wall - Delta::from_secs(90),
                    monotonic: NOW.monotonic - Delta::from_secs(90),
                }),
                waiting: 2,
                given_up: 1,
                rejected: 0,
                last_error: Some("connection refused".into()),
                ..DeliveryState::default()
            },
            cluster: Some(ClusterFigures { pods: 12, age: Delta::from_secs(240) }),
            unreachable: Some("timed out".into()),
            ..empty().agent
        },
        ..empty()
    }
}

/// A node with this many tokens, each with two readers that read as often as is kept.
pub(crate) fn full(tokens: i64) -> Status {
    let tokens: Vec<TokenView> =
        (0..tokens).map(|n| token(&format!("app-{n:04}-7c9f8d6b5-x2k4q"), n % 3_500)).collect();
    let readers = tokens.iter().flat_map(two_readers).collect();
    Status { tokens, readers, ..empty() }
}

fn two_readers(token: &TokenView) -> [ReaderView; 2] {
    let read = |n: i64| NOW.wall - Delta::from_secs(n * 60);
    let busy = ReaderView {
        reads: (0..16).rev().map(read).collect(),
        ..reader_list::sample::healthy(token, NOW.wall)
    };
    [busy, reader_list::sample::stale(token, NOW.wall)]
}
