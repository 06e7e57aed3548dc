//! Properties that hold for every sequence of observations: steps of the clock, forged claims,
//! files that appear and disappear, collectors that fail.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::measured;
use super::*;
use crate::base::ids::SpanId;
use crate::base::schema;
use crate::base::time::{Delta, Wall};
use crate::findings::{Code, FindingId};
use crate::ledger::{Alert, AlertEvent};
use crate::traces::Span;
use crate::world::clocks::{KernelClock, Leap, Step};
use crate::world::cluster::{ClusterSeen, Container, MountedPart, Phase, Pod, TokenMount};
use crate::world::observation::{Absence, BlindSpot, DeliveryState, FileSeen};
use crate::world::observation::{FileContent, SourceState};
use crate::world::tokens::{Binding, Claims, GenerationId, Verdict, claims_for_tests};

const START: i64 = 1_800_000_000;
/// How long the machine has run by then.
const UP: i64 = 400 * 1_000_000_000;

/// An event, and the time since the one before.
#[derive(Clone, Debug)]
struct Event {
    wait: Delta,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Token {
        pod: u8,
        claims: Box<Claims>,
        written: Option<Wall>,
    },
    Broken {
        pod: u8,
        malformed: bool,
        reason: u8,
    },
    Gone {
        pod: u8,
    },
    LeftOut {
        pod: u8,
    },
    Missing {
        pod: u8,
        absence: Absence,
    },
    WithoutTokens {
        pods: u8,
    },
    Unreachable,
    Blind {
        pods: u8,
    },
    Source {
        degraded: bool,
    },
    Measured {
        offset: Delta,
    },
    NoAnswer,
    Kernel {
        synchronised: bool,
    },
    ClockSet {
        by: Delta,
    },
    Delivery {
        waiting: u64,
        lost: u64,
    },
    /// The complete list of pods, after these changes.
    Pods([PodChange; 3]),
    /// The engine's own wake-up.
    Wake,
}

/// Usually near the start, else any time.
fn wall() -> impl Strategy<Value = Wall> {
    prop_oneof![
        8 => (-7_200..7_200i64).prop_map(|age| Wall::from_secs(START + age)),
        1 => any::<i64>().prop_map(Wall::from_nanos),
    ]
}

/// Few different generations, so that some are written again.
fn claims() -> impl Strategy<Value = Claims> {
    let plain = (0..6i64, prop_oneof![Just(600), Just(3_600)])
        .prop_map(|(nth, lifetime)| claims_for_tests(START + nth * 450, lifetime, None));
    let extended =
        (0..4i64).prop_map(|nth| claims_for_tests(START + nth * 300, 31_536_000, Some(3_607)));
    let forged =
        (wall(), wall(), wall(), proptest::option::of(wall()), proptest::option::of("[0-9a-f]{2}"))
            .prop_map(|(issued_at, not_before, expires_at, warn_after, credential)| Claims {
                issued_at,
                not_before,
                expires_at,
                warn_after,
                credential,
                binding: Binding { namespace: "\u{202e}evil\x1b[2J".into(), ..binding() },
                ..claims_for_tests(START, 600, None)
            });
    prop_oneof![4 => plain, 1 => extended, 2 => forged]
}

fn binding() -> Binding {
    claims_for_tests(START, 600, None).binding
}

fn offset() -> impl Strategy<Value = Delta> {
    prop_oneof![
        4 => (-400..400i64).prop_map(Delta::from_millis),
        3 => (-200..200i64).prop_map(Delta::from_secs),
        1 => any::<i64>().prop_map(Delta::from_nanos),
    ]
}

fn absence() -> impl Strategy<Value = Absence> {
    prop_oneof![Just(Absence::NoFile), Just(Absence::EmptyVolume), Just(Absence::Emptied)]
}

/// A container that mounts the token: in each pod another part of the volume.
fn container(pod: u8) -> Container {
    let part = match pod {
        0 => MountedPart::Whole,
        1 => MountedPart::File,
        _ => MountedPart::Directory,
    };
    let TokenKey { volume, path, .. } = key(pod);
    let mount = TokenMount { volume, path, mount_path: "/t".into(), part, convention: None };
    let started = Some(Wall::from_secs(START + 60));
    Container { started, tokens: vec![mount], ..Container::default() }
}

fn what() -> impl Strategy<Value = What> {
    let pod = || 0..3u8;
    prop_oneof![
        6 => (pod(), claims(), proptest::option::of(wall())).prop_map(|(pod, claims, written)| {
            What::Token { pod, claims: Box::new(claims), written }
        }),
        2 => (pod(), any::<bool>(), 0..3u8)
            .prop_map(|(pod, malformed, reason)| What::Broken { pod, malformed, reason }),
        2 => pod().prop_map(|pod| What::Gone { pod }),
        1 => pod().prop_map(|pod| What::LeftOut { pod }),
        2 => (pod(), absence()).prop_map(|(pod, absence)| What::Missing { pod, absence }),
        1 => pod().prop_map(|pods| What::WithoutTokens { pods }),
        1 => Just(What::Unreachable),
        1 => pod().prop_map(|pods| What::Blind { pods }),
        1 => any::<bool>().prop_map(|degraded| What::Source { degraded }),
        3 => offset().prop_map(|offset| What::Measured { offset }),
        1 => Just(What::NoAnswer),
        1 => any::<bool>().prop_map(|synchronised| What::Kernel { synchronised }),
        2 => offset().prop_map(|by| What::ClockSet { by }),
        2 => (0..9u64, 0..9u64).prop_map(|(waiting, lost)| What::Delivery { waiting, lost }),
        3 => [pod_change(), pod_change(), pod_change()].prop_map(What::Pods),
        10 => Just(What::Wake),
    ]
}

/// What can happen to a pod at the API server. None of it is ever taken back.
#[derive(Clone, Copy, Debug)]
enum PodChange {
    Nothing,
    Ended,
    Deleted(Wall),
    Unknown,
}

/// The pods at the API server; none of those that it does not know.
type ListedPods = [Option<(Phase, Option<Wall>)>; 3];

fn pod_change() -> impl Strategy<Value = PodChange> {
    prop_oneof![
        4 => Just(PodChange::Nothing),
        1 => Just(PodChange::Ended),
        2 => wall().prop_map(PodChange::Deleted),
        1 => Just(PodChange::Unknown),
    ]
}

fn change(pods: &mut ListedPods, changes: [PodChange; 3]) {
    for (pod, change) in pods.iter_mut().zip(changes) {
        let Some((phase, deletion)) = pod else { continue };
        match change {
            PodChange::Nothing => {}
            PodChange::Ended => *phase = Phase::Failed,
            PodChange::Deleted(at) => *deletion = Some(deletion.map_or(at, |old| old.min(at))),
            PodChange::Unknown => *pod = None,
        }
    }
}

fn list(pods: &ListedPods) -> Observation {
    let pod = |(number, one): (u8, &Option<(Phase, Option<Wall>)>)| {
        one.map(|(phase, deletion)| Pod {
            uid: key(number).pod_uid,
            namespace: "shop".into(),
            name: format!("cart-{number}"),
            containers: vec![container(number)],
            phase,
            deletion,
            ..Pod::default()
        })
    };
    Observation::Cluster(ClusterSeen::Listed((0..).zip(pods).filter_map(pod).collect()))
}

fn event() -> impl Strategy<Value = Event> {
    let wait = prop_oneof![6 => 0..90_000i64, 1 => 0..7_200_000i64].prop_map(Delta::from_millis);
    (wait, what()).prop_map(|(wait, what)| Event { wait, what })
}

fn config() -> impl Strategy<Value = Config> {
    (any::<bool>(), 60..14_400i64).prop_map(|(servers_configured, remind)| {
        let mut config = Config {
            node: "n1".into(),
            remind_every: Delta::from_secs(remind),
            ..Config::default()
        };
        config.clock.servers_configured = servers_configured;
        config
    })
}

fn key(pod: u8) -> TokenKey {
    TokenKey { pod_uid: format!("pod-{pod}"), volume: "v".into(), path: "token".into() }
}

fn no_answer(now: &Reading) -> Observation {
    let Observation::NtpRound(mut round) = measured(now, Delta::ZERO) else {
        return Observation::Tick;
    };
    round
        .exchanges
        .iter_mut()
        .for_each(|exchange| exchange.result = Err(crate::world::clocks::ExchangeError::Timeout));
    Observation::NtpRound(round)
}

fn observation(what: &What, now: &Reading, before: &Reading, pods: &ListedPods) -> Observation {
    let file = |pod: u8, written_at, content| {
        Observation::File(FileSeen {
            key: key(pod),
            written_at,
            directory: None,
            content,
            signature: None,
        })
    };
    match what {
        What::Token { pod, claims, written } => {
            file(*pod, *written, FileContent::Token(claims.clone()))
        }
        What::Broken { pod, malformed: true, reason } => {
            file(*pod, None, FileContent::Malformed { reason: format!("reason {reason}") })
        }
        What::Broken { pod, reason, .. } => {
            file(*pod, None, FileContent::Unreadable { reason: format!("reason {reason}") })
        }
        What::Gone { pod } => Observation::Gone(key(*pod)),
        What::LeftOut { pod } => Observation::LeftOut(key(*pod)),
        What::Missing { pod, absence } => file(*pod, None, FileContent::Missing(*absence)),
        What::WithoutTokens { pods } => {
            Observation::WithoutTokens((0..*pods).map(|pod| key(pod).pod_uid).collect())
        }
        What::Unreachable => {
            Observation::Cluster(ClusterSeen::Unreachable { reason: "EOF".into() })
        }
        What::Blind { pods } => Observation::Blind(
            (0..*pods)
                .map(|pod| BlindSpot {
                    pod_uid: key(pod).pod_uid,
                    volume: "v".into(),
                    directory: "/d".into(),
                    reason: "hidden".into(),
                    is_partly: false,
                })
                .collect(),
        ),
        What::Source { degraded } => Observation::Source(SourceState {
            source: "watch".into(),
            degraded: degraded.then(|| "out of watches".into()),
        }),
        What::Measured { offset } => measured(now, *offset),
        What::NoAnswer => no_answer(now),
        What::Kernel { synchronised } => Observation::Kernel(KernelClock {
            synchronised: *synchronised,
            steering_ppm: 0,
            max_error: Delta::from_millis(20),
            estimated_error: Delta::from_millis(20),
            leap: Leap::None,
            taken: *now,
        }),
        What::ClockSet { by } => Observation::ClockStep(Step { size: *by, after: *now }),
        What::Delivery { waiting, lost } => Observation::Delivery(DeliveryState {
            waiting_since: (*waiting > 0).then_some(*before),
            waiting: *waiting,
            given_up: *lost,
            rejected: *lost,
            last_error: Some("refused".into()),
            ..DeliveryState::default()
        }),
        What::Pods(_) => list(pods),
        What::Wake => Observation::Tick,
    }
}

/// The tokens that the API server has refused for some seconds and will not accept again, each with
/// its generation. The seconds are the API server's cache, and more than the offset of a good
/// clock. A token that is not valid yet is refused only for some time.
fn refused(engine: &Engine, now: &Reading) -> Vec<(TokenKey, GenerationId)> {
    let earlier = Reading { wall: now.wall - Delta::from_secs(12), ..*now };
    let latest = engine.clock(now).interval(now.wall).hi;
    let is_dead =
        |view: &TokenView| view.verdict == Verdict::Dead && latest >= view.deadlines.accepted_from;
    let dead = engine.tokens(&earlier).into_iter().filter(is_dead);
    dead.map(|view| (view.key, view.claims.generation())).collect()
}

/// Runs the events through an engine. The monotonic clock only moves forward, and the wall clock is
/// also set.
fn run(
    config: &Config,
    events: &[Event],
    mut check: impl FnMut(&Reading, &Engine, Vec<Report>),
) -> Engine {
    let mut engine = Engine::new(config.clone());
    let mut pods: ListedPods = [Some((Phase::Running, None)); 3];
    let mut now = Reading { wall: Wall::from_secs(START), monotonic: Monotonic::from_nanos(UP) };
    for event in events {
        let before = now;
        now = match (&event.what, engine.next_wake()) {
            (What::Wake, Some(at)) => {
                now.after((at - now.monotonic).max(Delta::ZERO).min(Delta::from_secs(86_400)))
            }
            _ => now.after(event.wait),
        };
        if let What::ClockSet { by } = event.what {
            now.wall = now.wall + by;
        }
        if let What::Pods(changes) = event.what {
            change(&mut pods, changes);
        }
        let reports = engine.step(&now, observation(&event.what, &now, &before, &pods)).reports;
        check(&now, &engine, reports);
    }
    let closing = engine.close(&now);
    check(&now, &engine, closing);
    engine
}

fn alert(report: Report) -> Option<Alert> {
    if let Report::Alert(alert) = report { Some(*alert) } else { None }
}

fn span(report: Report) -> Option<Box<Span>> {
    if let Report::Span(span) = report { Some(span) } else { None }
}

proptest! {
    // Each case is a day on a node, with about 30 steps. 64 cases take a few seconds.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Nothing panics, and each finding is raised, reminded any number of times, and cleared, in
    /// that order.
    #[test]
    fn every_finding_is_raised_then_reminded_then_cleared(
        config in config(),
        events in vec(event(), 0..60),
    ) {
        let mut active: BTreeMap<FindingId, Wall> = BTreeMap::new();
        let mut wrong = Vec::new();
        let engine = run(&config, &events, |_, _, reports| {
            for alert in reports.into_iter().filter_map(alert) {
                let (id, raised_at) = (alert.id.clone(), alert.raised_at);
                let in_order = match alert.event {
                    AlertEvent::Raised => active.insert(id, raised_at).is_none(),
                    AlertEvent::Reminded => active.get(&id) == Some(&raised_at),
                    AlertEvent::Cleared => active.remove(&id) == Some(raised_at),
                };
                if !in_order || alert.id != alert.finding.id("n1") {
                    wrong.push(alert);
                }
            }
        });
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
        let findings = engine.findings();
        let raised = findings.iter().all(|finding| active.contains_key(&finding.id("n1")));
        prop_assert!(raised, "every active finding was raised");
    }

    #[test]
    fn the_root_of_a_generation_is_exported_at_most_once(
        config in config(),
        events in vec(event(), 0..60),
    ) {
        let mut roots: BTreeSet<SpanId> = BTreeSet::new();
        let mut twice = Vec::new();
        run(&config, &events, |_, _, reports| {
            for span in reports.into_iter().filter_map(span) {
                let is_root = span.name == schema::SPAN_GENERATION && span.parent.is_none();
                if (is_root && !roots.insert(span.context.span_id)) || span.end < span.start {
                    twice.push(span);
                }
            }
        });
        prop_assert!(twice.is_empty(), "{:#?}", twice);
    }

    /// No finding about a token that the API server refuses is resolved while its file is
    /// unchanged, unless another finding stands for it.
    #[test]
    fn no_finding_about_a_refused_token_is_resolved(
        config in config(),
        events in vec(event(), 0..60),
    ) {
        let (mut before, mut wrong) = (Vec::new(), Vec::new());
        run(&config, &events, |now, engine, reports| {
            let (dead, findings) = (refused(engine, now), engine.findings());
            let stands = |finding: &Finding, key: &TokenKey| {
                finding.code == Code::KubeletStalled
                    || finding.code.as_str().starts_with("clock.")
                    || finding.subject.token_key().as_ref() == Some(key)
            };
            let generation = |list: &[(TokenKey, GenerationId)], key: &TokenKey| {
                list.iter().find(|(other, _)| other == key).map(|(_, of)| of.clone())
            };
            for alert in reports.into_iter().filter_map(alert) {
                let Some(key) = alert.finding.subject.token_key() else { continue };
                let (old, new) = (generation(&before, &key), generation(&dead, &key));
                let is_refused = old.is_some() && old == new;
                let is_lifecycle = alert.finding.code.family() == Code::Expired.family();
                let is_cleared = is_lifecycle && alert.event == AlertEvent::Cleared;
                let others = findings.iter().filter(|finding| stands(finding, &key)).count();
                if is_refused && is_cleared && others == 0 {
                    wrong.push(alert);
                }
            }
            before = dead;
        });
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
    }

    /// The same observations give the same reports, which makes a replay possible.
    #[test]
    fn the_engine_is_deterministic(config in config(), events in vec(event(), 0..60)) {
        let outcomes = || {
            let mut steps = Vec::new();
            let engine = run(&config, &events, |now, engine, reports| {
                steps.push((reports, engine.next_wake(), engine.tokens(now)));
            });
            (steps, engine.findings())
        };
        prop_assert_eq!(outcomes(), outcomes());
    }

    /// The next wake-up is in the future, so that the caller does not spin.
    #[test]
    fn the_next_wake_is_in_the_future(config in config(), events in vec(event(), 0..60)) {
        let mut late = Vec::new();
        run(&config, &events, |now, engine, _| {
            late.extend(engine.next_wake().filter(|at| *at <= now.monotonic).map(|at| (*now, at)));
        });
        prop_assert!(late.is_empty(), "{:?}", late);
    }

    /// Nothing is left of a file that no longer exists.
    #[test]
    fn a_file_that_is_gone_leaves_nothing(config in config(), events in vec(event(), 0..60)) {
        let mut engine = run(&config, &events, |_, _, _| {});
        let monotonic = Monotonic::from_nanos(i64::MAX / 2);
        let now = Reading { wall: Wall::from_secs(START), monotonic };
        let _ = engine.step(&now, Observation::Cluster(ClusterSeen::Listed(Vec::new())));
        for pod in 0..3 {
            let _ = engine.step(&now, Observation::Gone(key(pod)));
        }
        prop_assert!(engine.tokens(&now).is_empty());
        let findings = engine.findings();
        prop_assert!(findings.iter().all(|finding| !finding.code.as_str().starts_with("token.")));
    }
}
