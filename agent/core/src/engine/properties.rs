//! What holds whatever is seen: clocks that are set, claims that lie, files that come and go,
//! collectors that fail.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::measured;
use super::*;
use crate::base::ids::SpanId;
use crate::base::schema;
use crate::base::time::Wall;
use crate::findings::FindingId;
use crate::ledger::AlertEvent;
use crate::world::clocks::{KernelClock, Leap, Step};
use crate::world::observation::{BlindSpot, DeliveryState, FileSeen};
use crate::world::observation::{FileContent, SourceState};
use crate::world::tokens::{Binding, Claims, claims_for_tests};

const START: i64 = 1_800_000_000;

/// What happens, and how long after what happened before.
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
    Blind {
        pods: u8,
    },
    Source {
        degraded: bool,
    },
    Measured {
        offset: Delta,
    },
    Silence,
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
    /// The engine's own wake-up.
    Wake,
}

/// Near the start, mostly; else anything at all.
fn wall() -> impl Strategy<Value = Wall> {
    prop_oneof![8 => (-7_200..7_200i64).prop_map(|age| Wall::from_secs(START + age)), 1 => any::<i64>().prop_map(Wall::from_nanos)]
}

/// Few generations, so that some come back.
fn claims() -> impl Strategy<Value = Claims> {
    let honest = (0..6i64, prop_oneof![Just(600), Just(3_600)])
        .prop_map(|(nth, life)| claims_for_tests(START + nth * 450, life, None));
    let extended =
        (0..4i64).prop_map(|nth| claims_for_tests(START + nth * 300, 31_536_000, Some(3_607)));
    let lying =
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
    prop_oneof![4 => honest, 1 => extended, 2 => lying]
}

fn binding() -> Binding {
    claims_for_tests(START, 600, None).binding
}

fn offset() -> impl Strategy<Value = Delta> {
    prop_oneof![4 => (-400..400i64).prop_map(Delta::from_millis), 3 => (-200..200i64).prop_map(Delta::from_secs), 1 => any::<i64>().prop_map(Delta::from_nanos)]
}

fn what() -> impl Strategy<Value = What> {
    let pod = || 0..3u8;
    prop_oneof![
        6 => (pod(), claims(), proptest::option::of(wall())).prop_map(|(pod, claims, written)| What::Token { pod, claims: Box::new(claims), written }),
        2 => (pod(), any::<bool>(), 0..3u8).prop_map(|(pod, malformed, reason)| What::Broken { pod, malformed, reason }),
        2 => pod().prop_map(|pod| What::Gone { pod }),
        1 => pod().prop_map(|pods| What::Blind { pods }),
        1 => any::<bool>().prop_map(|degraded| What::Source { degraded }),
        3 => offset().prop_map(|offset| What::Measured { offset }),
        1 => Just(What::Silence),
        1 => any::<bool>().prop_map(|synchronised| What::Kernel { synchronised }),
        2 => offset().prop_map(|by| What::ClockSet { by }),
        2 => (0..9u64, 0..9u64).prop_map(|(waiting, lost)| What::Delivery { waiting, lost }),
        10 => Just(What::Wake),
    ]
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

fn silence(now: &Reading) -> Observation {
    let Observation::NtpRound(mut round) = measured(now, Delta::ZERO) else {
        return Observation::Tick;
    };
    round
        .exchanges
        .iter_mut()
        .for_each(|exchange| exchange.result = Err(crate::world::clocks::ExchangeError::Timeout));
    Observation::NtpRound(round)
}

fn observation(what: &What, now: &Reading, before: &Reading) -> Observation {
    let file = |pod: u8, written_at, content| {
        Observation::File(FileSeen { key: key(pod), written_at, content })
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
        What::Blind { pods } => Observation::Blind(
            (0..*pods)
                .map(|pod| BlindSpot {
                    pod_uid: key(pod).pod_uid,
                    volume: "v".into(),
                    directory: "/d".into(),
                    reason: "hidden".into(),
                })
                .collect(),
        ),
        What::Source { degraded } => Observation::Source(SourceState {
            source: "watch".into(),
            degraded: degraded.then(|| "out of watches".into()),
        }),
        What::Measured { offset } => measured(now, *offset),
        What::Silence => silence(now),
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
        }),
        What::Wake => Observation::Tick,
    }
}

/// The events with the readings at which they happen: the boot clock only runs on, the wall clock
/// is set about.
fn play(
    config: &Config,
    events: &[Event],
    mut see: impl FnMut(&Reading, &Engine, Vec<Report>),
) -> Engine {
    let mut engine = Engine::new(config.clone());
    let mut now =
        Reading { wall: Wall::from_secs(START), monotonic: Monotonic::from_nanos(1_000_000_000) };
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
        let actions = engine.step(&now, observation(&event.what, &now, &before)).reports;
        see(&now, &engine, actions);
    }
    let closing = engine.close(&now);
    see(&now, &engine, closing);
    engine
}

proptest! {
    // A case is a day on a node, of some 30 steps: these take seconds, and thousands of them were run when this was written.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Never a panic, and for each finding: raised, reminded any number of times, cleared, and so on from the start.
    #[test]
    fn every_finding_is_raised_then_reminded_then_cleared(config in config(), events in vec(event(), 0..60)) {
        let mut active: BTreeMap<FindingId, Wall> = BTreeMap::new();
        let mut wrong = Vec::new();
        let engine = play(&config, &events, |_, _, actions| {
            for alert in actions.into_iter().filter_map(|action| if let Report::Alert(alert) = action { Some(*alert) } else { None }) {
                let known = match alert.event {
                    AlertEvent::Raised => active.insert(alert.id.clone(), alert.raised_at).is_none(),
                    AlertEvent::Reminded => active.get(&alert.id) == Some(&alert.raised_at),
                    AlertEvent::Cleared => active.remove(&alert.id) == Some(alert.raised_at),
                };
                if !known || alert.id != alert.finding.id("n1") {
                    wrong.push(alert);
                }
            }
        });
        prop_assert!(wrong.is_empty(), "{:#?}", wrong);
        let shown: BTreeSet<_> = engine.findings().iter().map(|finding| finding.id("n1")).collect();
        prop_assert!(shown.iter().all(|id| active.contains_key(id)), "what is shown was raised");
    }

    #[test]
    fn the_root_of_a_generation_is_told_once_at_most(config in config(), events in vec(event(), 0..60)) {
        let mut roots: BTreeSet<SpanId> = BTreeSet::new();
        let mut twice = Vec::new();
        play(&config, &events, |_, _, actions| {
            for span in actions.into_iter().filter_map(|action| if let Report::Span(span) = action { Some(span) } else { None }) {
                let is_root = span.name == schema::SPAN_GENERATION && span.parent.is_none();
                if (is_root && !roots.insert(span.context.span_id)) || span.end < span.start {
                    twice.push(span);
                }
            }
        });
        prop_assert!(twice.is_empty(), "{:#?}", twice);
    }

    /// A recorded day says the same when it is replayed.
    #[test]
    fn the_same_day_is_the_same_story(config in config(), events in vec(event(), 0..60)) {
        let story = || {
            let mut told = Vec::new();
            let engine = play(&config, &events, |now, engine, actions| told.push((actions, engine.next_wake(), engine.tokens(now))));
            (told, engine.findings())
        };
        prop_assert_eq!(story(), story());
    }

    /// It is woken in the future, so that whoever drives it never spins.
    #[test]
    fn the_next_wake_is_ahead(config in config(), events in vec(event(), 0..60)) {
        let mut late = Vec::new();
        play(&config, &events, |now, engine, _| {
            late.extend(engine.next_wake().filter(|at| *at <= now.monotonic).map(|at| (*now, at)));
        });
        prop_assert!(late.is_empty(), "{:?}", late);
    }

    /// Whatever else was seen in between, woken or not: when it has judged, it holds what a fresh look at the same file holds.
    #[test]
    fn nothing_stale_is_shown_of_a_file_that_is_gone(config in config(), events in vec(event(), 0..60)) {
        let mut engine = play(&config, &events, |_, _, _| {});
        let now = Reading { wall: Wall::from_secs(START), monotonic: Monotonic::from_nanos(i64::MAX / 2) };
        for pod in 0..3 {
            let _ = engine.step(&now, Observation::Gone(key(pod)));
        }
        prop_assert!(engine.tokens(&now).is_empty());
        prop_assert!(engine.findings().iter().all(|finding| !finding.code.as_str().starts_with("token.")));
    }
}
