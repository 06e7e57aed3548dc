//! Who keeps a token that was replaced: each habit, and the look-alike that is healthy.

mod certainty;
mod containers;
mod lasting;

use super::*;
use crate::world::cluster::{Container, MountedPart, Phase, Sandbox, TokenMount};
use crate::world::readers::{
    Connected, ContainersSeen, Evidence, Habit, MountKind, Opener, ReaderEvent, ReaderVerdict,
    ReadersSeen, RunningContainer, SeenMount,
};

/// kubelet replaces a token of 600 s after 480 s. The API server refuses it after 660 s.
const ROTATION: i64 = 480;
const LIFETIME: i64 = 600;

/// What happens, and when.
type Events = Vec<(i64, Observation)>;
/// What the engine reports about readers, and when.
type Reported = (i64, AlertEvent, Severity);

fn directory(nth: i64) -> String {
    format!("..gen-{nth}")
}

fn readers(what: ReaderEvent) -> Observation {
    let key = key("p1");
    Observation::Readers(ReadersSeen { pod_uid: key.pod_uid, volume: key.volume, what })
}

/// kubelet writes the tokens of `generations` rotations, and the agent watches from the start.
fn kubelet(generations: i64) -> Events {
    (0..generations).flat_map(|nth| generation(nth, true)).collect()
}

fn generation(nth: i64, complete: bool) -> Events {
    let age = nth * ROTATION;
    let Observation::File(mut file) = token("p1", age, LIFETIME) else { unreachable!() };
    file.directory = Some(directory(nth));
    vec![(age + 1, Observation::File(file)), (age + 1, watching(nth, complete, false))]
}

fn watching(nth: i64, complete: bool, moment: bool) -> Observation {
    readers(ReaderEvent::Watching { directory: directory(nth), complete, moment })
}

/// A client reads the token that is in the file at these ages.
fn reads(ages: &[i64]) -> Events {
    ages.iter().map(|age| (*age, opened(*age / ROTATION, None))).collect()
}

/// Somebody reads the token of the first rotation again at these ages.
fn read_again(ages: &[i64]) -> Events {
    let (path, by, within) = (None, None, Delta::ZERO);
    let what = ReaderEvent::ReadAgain { directory: directory(0), path, by, within };
    ages.iter().map(|age| (*age, readers(what.clone()))).collect()
}

fn opened(nth: i64, container: Option<&str>) -> Observation {
    let by = container.map(|id| Opener {
        container_id: Some(id.into()),
        pid: 7,
        program: None,
        session: false,
    });
    readers(ReaderEvent::Opened {
        directory: directory(nth),
        path: "token".into(),
        by,
        within: Delta::ZERO,
    })
}

/// The API server knows the pod; its containers were started at age 2, or as given.
fn pod(containers: &[(&str, i64)]) -> Events {
    let mount = || TokenMount {
        volume: key("p1").volume,
        path: "token".into(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let container = |(name, started): &(&str, i64)| Container {
        name: (*name).into(),
        id: Some(format!("id-{name}")),
        volumes: vec![key("p1").volume],
        started: Some(Wall::from_secs(IAT + started)),
        tokens: vec![mount()],
        ..Container::default()
    };
    let pod = Pod {
        uid: "p1".into(),
        namespace: "shop".into(),
        name: "cart-0".into(),
        phase: Phase::Running,
        containers: containers.iter().map(container).collect(),
        ..Pod::default()
    };
    vec![(1, Observation::Cluster(ClusterSeen::Listed(vec![pod])))]
}

/// What the processes show from one age to another: a look every 15 s.
fn processes(ids: &[&str], from: i64, to: i64, established: u32, opens: bool) -> Events {
    let look = |age: i64| {
        let opened = opens.then_some(Delta::from_secs(15));
        let connected = Connected { established, opened, requests: false };
        (age, containers(ids, &MountKind::Current, Some(connected)))
    };
    (from..to).step_by(15).map(look).collect()
}

fn containers(ids: &[&str], kind: &MountKind, connected: Option<Connected>) -> Observation {
    let running = |id: &&str| RunningContainer {
        id: (*id).into(),
        started: Wall::from_secs(IAT + 2),
        program: "app".into(),
        mounts: vec![SeenMount {
            volume: key("p1").volume,
            mount_path: "/t".into(),
            kind: kind.clone(),
        }],
        library: None,
    };
    let containers = ids.iter().map(running).collect();
    Observation::Containers(ContainersSeen {
        pod_uid: "p1".into(),
        containers,
        partial: false,
        connected,
    })
}

/// Plays the events in the order of time. Returns the engine, and the reports about readers.
fn play(mut events: Events, until: i64) -> (Engine, Vec<Reported>) {
    events.sort_by_key(|(age, _)| *age);
    let (mut engine, mut reported, mut now) = (engine(), Vec::new(), 0);
    for (age, event) in events {
        reported.extend(run(&mut engine, now, age));
        let outcome = engine.step(&at(age), event);
        reported.extend(alerts(&outcome.reports, at(age).wall));
        now = age;
    }
    reported.extend(run(&mut engine, now, until));
    reported.retain(|(_, _, code, _)| *code == Code::ReaderStale);
    let reported = reported.into_iter().map(|(age, event, _, severity)| (age, event, severity));
    (engine, reported.collect())
}

fn every(step: usize, from: i64, to: i64) -> Vec<i64> {
    (from..to).step_by(step).collect()
}

fn habit(engine: &Engine, age: i64) -> (Habit, ReaderVerdict) {
    let readers = engine.status(&at(age)).readers;
    assert_eq!(readers.len(), 1, "{readers:?}");
    (readers[0].habit, readers[0].verdict)
}

#[test]
fn who_reads_once_is_named_before_the_first_refusal() {
    use AlertEvent::{Raised, Reminded};
    use Severity::{Critical, Info, Warning};
    let app = [("app", 2)];
    // (level, what the processes show, reports by 659)
    let table: [(&str, Events, &[Reported]); 4] = [
        ("files", Vec::new(), &[(630, Raised, Info)]),
        (
            "hostPID, a new connection for each request",
            processes(&["id-app"], 2, 659, 0, true),
            &[(497, Raised, Warning), (600, Reminded, Critical)],
        ),
        (
            "hostPID, one connection",
            processes(&["id-app"], 2, 659, 1, false),
            &[(630, Raised, Info)],
        ),
        ("hostPID, no connection", processes(&["id-app"], 2, 659, 0, false), &[]),
    ];
    for (level, seen, expected) in table {
        let events = [kubelet(2), pod(&app), reads(&[4, 5]), seen].concat();
        let (engine, reports) = play(events, 659);
        assert_eq!(reports, expected, "{level}");
        assert_eq!(habit(&engine, 659).0, Habit::Once, "{level}");
    }
}

#[test]
fn healthy_readers_are_never_accused() {
    let app = [("app", 2)];
    let used = || processes(&["id-app"], 2, 1_500, 1, true);
    let quiet = || processes(&["id-app"], 2, 1_500, 0, false);
    // (what it does, its reads, what the processes show, its habit)
    let table: [(&str, Vec<i64>, Events, Habit); 10] = [
        (
            "polls with client-go",
            every(55, 3, 1_500),
            used(),
            Habit::Every { period: Delta::from_secs(55) },
        ),
        ("polls with curl", every(5, 3, 1_500), used(), Habit::EachRequest),
        (
            "reads every 5 min",
            every(300, 3, 1_500),
            processes(&["id-app"], 2, 1_500, 1, false),
            Habit::Unknown, // twice in each generation: too seldom to be sure
        ),
        (
            "reads every 5 min, and always opens a connection",
            every(300, 3, 1_500),
            used(),
            Habit::Unknown,
        ),
        (
            "only watches, with client-go",
            vec![3, 603, 1_203],
            processes(&["id-app"], 2, 1_500, 1, false),
            Habit::Unknown,
        ),
        ("sent one request and is idle", vec![3], quiet(), Habit::Once),
        (
            "is idle for a long time",
            vec![3, 201, 421],
            quiet(),
            Habit::Every { period: Delta::from_secs(209) },
        ),
        ("never reads", Vec::new(), quiet(), Habit::Never),
        ("never reads, and is connected", Vec::new(), used(), Habit::Never),
        ("reads in an exec session", vec![200], quiet(), Habit::Once),
    ];
    for (what, ages, seen, expected) in table {
        let events = [kubelet(4), pod(&app), reads(&ages), seen].concat();
        let (engine, reports) = play(events, 1_500);
        assert_eq!(reports, [], "{what}");
        let (learned, verdict) = habit(&engine, 1_499);
        assert_eq!(learned, expected, "{what}");
        assert_ne!(verdict, ReaderVerdict::Stale, "{what}");
    }
}

#[test]
fn at_level_files_the_same_readers_are_not_accused_either() {
    let table: [(&str, Vec<i64>, (&str, i64)); 5] = [
        ("polls", every(55, 3, 1_500), ("app", 2)),
        ("only watches", vec![3, 603, 1_203], ("app", 2)),
        ("is idle for a long time", vec![3, 200, 420], ("app", 2)),
        ("an init container reads", vec![3], ("app", 20)),
        ("reads in an exec session", vec![200], ("app", 2)),
    ];
    for (what, ages, container) in table {
        let (_, reports) = play([kubelet(4), pod(&[container]), reads(&ages)].concat(), 1_500);
        assert_eq!(reports, [], "{what}");
    }
}

#[test]
fn habits_are_learned_from_two_or_three_rotations() {
    let before = Habit::BeforeExpiry { window: Delta::from_secs(60) };
    // (what it does, its reads, the habit after two rotations, and after three)
    let table: [(&str, Vec<i64>, Habit, Habit); 5] = [
        ("each change", vec![3, 482, 962, 1_442], Habit::OnChange, Habit::OnChange),
        (
            "after each refusal",
            vec![3, 662, 1_142, 1_622],
            Habit::AfterRefusal,
            Habit::AfterRefusal,
        ),
        ("60 s before each end", vec![3, 600, 1_080, 1_560], Habit::Unknown, before),
        ("when its watch ends", vec![3, 593, 1_018, 1_500], Habit::Unknown, Habit::Unknown),
        ("once", vec![3], Habit::Once, Habit::Once),
    ];
    for (what, ages, two, three) in table {
        let events = [kubelet(4), pod(&[("app", 2)]), reads(&ages)].concat();
        let at = |until| {
            let events = events.iter().filter(|(age, _)| *age <= until).cloned().collect();
            habit(&play(events, until).0, until).0
        };
        assert_eq!((at(1_200), at(1_680)), (two, three), "{what}");
    }
}

#[test]
fn a_read_of_the_replaced_token_is_certain() {
    let again = || ReaderEvent::ReadAgain {
        directory: directory(0),
        path: None,
        by: None,
        within: Delta::ZERO,
    };
    let kept = [kubelet(2), pod(&[("app", 2)]), reads(&[4])].concat();
    let (engine, reports) = play([kept.clone(), vec![(500, readers(again()))]].concat(), 520);
    assert_eq!(reports, [(500, AlertEvent::Raised, Severity::Warning)]);
    let summary = engine.status(&at(520)).findings[0].0.summary.clone();
    assert!(summary.contains("app") && summary.contains("kubelet had replaced it"), "{summary}");
    let in_flight = play([kept, vec![(482, readers(again()))]].concat(), 520).1;
    assert_eq!(in_flight, [], "it was opened before the rotation");
}

#[test]
fn what_somebody_holds_is_a_hint_and_a_subpath_explains_it() {
    let held = (485, readers(ReaderEvent::Held { generations: 1 }));
    let events = [kubelet(2), pod(&[("app", 2)]), reads(&[4, 300]), vec![held]].concat();
    let (_, reports) = play(events.clone(), 659);
    assert_eq!(reports, [(556, AlertEvent::Raised, Severity::Info)]);
    let mounted =
        MountKind::Subpath { directory: directory(0), path: "token".into(), deleted: true };
    let subpath = vec![(486, containers(&["id-app"], &mounted, None))];
    assert_eq!(play([events, subpath].concat(), 659).1, []);
}

#[test]
fn missed_events_are_no_evidence() {
    let missed = ReaderEvent::Missed { span: Delta::from_secs(5), why: "overflow".into() };
    let events = [
        kubelet(2),
        pod(&[("app", 2)]),
        reads(&[4]),
        vec![(500, readers(missed))],
        processes(&["id-app"], 2, 659, 1, true),
    ];
    let before = play(events[..3].concat(), 659).1;
    assert_eq!(before, [(630, AlertEvent::Raised, Severity::Info)]);
    let mut late = events.concat();
    late.retain(|(age, event)| *age >= 500 || !matches!(event, Observation::Containers(_)));
    let (engine, reports) = play(late, 659);
    assert_eq!(reports, []);
    let reader = &engine.status(&at(659)).readers[0];
    assert_eq!((reader.verdict, reader.why.as_deref()), (ReaderVerdict::Unknown, Some("overflow")));
}

#[test]
fn an_agent_that_starts_later_does_not_guess() {
    let late = [generation(1, false), pod(&[("app", 2)])].concat();
    let (engine, reports) = play(late, 1_000);
    assert_eq!(reports, []);
    assert_eq!(habit(&engine, 1_000), (Habit::Unknown, ReaderVerdict::Unknown));
}

#[test]
fn a_rotation_that_was_seen_too_late_counts_once_nobody_can_have_read_in_that_moment() {
    let late = [generation(0, true), generation(1, false), generation(2, true)].concat();
    let kept = [late, pod(&[("app", 2)]), reads(&[3])].concat();
    let (engine, reports) = play(kept.clone(), 1_400);
    assert_eq!(reports, []);
    assert_eq!(habit(&engine, 1_400).1, ReaderVerdict::Unknown);
    let excused = watching(1, true, false);
    let (engine, reports) = play([kept, vec![(966, excused)]].concat(), 1_400);
    assert_eq!(reports[0].0, 966);
    assert_eq!(habit(&engine, 1_400), (Habit::Once, ReaderVerdict::Stale));
}

#[test]
fn a_moment_that_was_missed_makes_a_suspicion_and_never_more() {
    let mut late = kubelet(2);
    late[3].1 = watching(1, false, true);
    let used = processes(&["id-app"], 2, 659, 1, true);
    let kept = [late, pod(&[("app", 2)]), used].concat();
    let (engine, reports) = play([kept.clone(), reads(&[3])].concat(), 659);
    assert_eq!(reports, [(630, AlertEvent::Raised, Severity::Info)]);
    let shown = engine.status(&at(659)).findings[0].0.summary.clone();
    assert!(shown.contains("missed the first moment"), "{shown}");
    let again = watching(1, true, false); // a later rotation showed that nobody waits for it
    let (_, reports) = play([kept.clone(), reads(&[3]), vec![(640, again)]].concat(), 659);
    assert_eq!(
        reports.last().map(|(at, _, severity)| (*at, *severity)),
        Some((640, Severity::Critical))
    );
    let read = play([kept, reads(&[3, 500])].concat(), 659);
    assert_eq!(habit(&read.0, 659).1, ReaderVerdict::Current);
}

#[test]
fn a_client_that_exchanges_the_token_is_not_accused() {
    let mut events = [kubelet(3), pod(&[("app", 2)]), reads(&[4])].concat();
    events.extend(processes(&["id-app"], 2, 1_400, 1, true));
    for (_, event) in &mut events {
        if let Observation::File(seen) = event
            && let FileContent::Token(claims) = &mut seen.content
        {
            claims.audiences = vec!["sts.amazonaws.com".into()];
        }
    }
    let (engine, reports) = play(events, 1_400);
    assert_eq!(reports, []);
    assert_eq!(habit(&engine, 1_400), (Habit::Exchange, ReaderVerdict::Waiting));
}

#[test]
fn a_frozen_mount_is_named_at_once_and_explains_the_reader() {
    let frozen = vec![(100, containers(&["id-app"], &MountKind::Frozen, None))];
    let events = [kubelet(2), pod(&[("app", 2)]), reads(&[4]), frozen].concat();
    let (engine, reports) = play(events, 659);
    assert_eq!(reports, []);
    let findings = engine.status(&at(659)).findings;
    let named: Vec<_> = findings.iter().map(|(found, at)| (found.code, *at)).collect();
    assert_eq!(named, [(Code::MountFrozen, at(100).wall)]);
    let reader = &engine.status(&at(659)).readers[0];
    assert_eq!(reader.verdict, ReaderVerdict::Unknown);
    assert!(reader.why.as_ref().unwrap().contains("an old mount"), "{reader:?}");
}

#[test]
fn a_workload_that_kept_its_token_once_is_named_early_the_next_time() {
    let app = [("app", 2)];
    let used = processes(&["id-app"], 2, 659, 0, true);
    let (first, _) = play([kubelet(2), pod(&app), reads(&[4]), used].concat(), 659);
    let mut habits = first.learned().habits;
    assert_eq!((habits.len(), habits[0].habit, habits[0].is_confirmed), (1, Habit::Once, true));
    let shown = first.status(&at(659)).readers[0].evidence.clone();
    assert!(!shown.contains(&Evidence::LearnedHabit), "from this very generation: {shown:?}");
    habits[0].since = Wall::from_secs(IAT - 3_600);
    let known = vec![(0, Observation::Habits(habits.clone()))];
    let (_, reports) = play([known, kubelet(2), pod(&app), reads(&[4])].concat(), 599);
    assert_eq!(reports, [(556, AlertEvent::Raised, Severity::Warning)], "at level files");
    let healthy = reads(&every(55, 3, 659));
    let known = vec![(0, Observation::Habits(habits))];
    assert_eq!(play([known, kubelet(2), pod(&app), healthy].concat(), 659).1, []);
}

/// The finding as people read it, from the observations to the sentence.
#[test]
fn the_finding_names_container_time_evidence_habit_and_library() {
    let image = "registry.example/otel/opentelemetry-collector-contrib:0.144.0";
    let mut known = pod(&[("app", 2)]);
    if let Observation::Cluster(ClusterSeen::Listed(pods)) = &mut known[0].1 {
        pods[0].containers[0].image = image.into();
    }
    let seen = processes(&["id-app"], 2, 570, 0, true);
    let (engine, _) = play([kubelet(2), known, reads(&[4, 5]), seen].concat(), 570);
    let findings = engine.findings();
    let stale = findings.iter().find(|finding| finding.code == Code::ReaderStale).unwrap();
    let parts = [
        "Container app (app) of pod shop/cart-0 most likely still uses the token",
        "that it read at 2027-01-15T08:00:04Z. kubelet replaced that token at",
        "is refused from 2027-01-15T08:11:00Z on, in ",
        "Evidence: it opened a connection to the API server without reading the new token",
        "It reads the token only once, at its start.",
        "seems to use otel bearertokenauth 0.144.0",
        "; 0.152.0 reads it again.",
    ];
    for part in parts {
        assert!(stale.summary.contains(part), "{part:?}: {}", stale.summary);
    }
    assert_eq!(stale.deadline, Some(at(660).wall));
    assert!(stale.remedy.text.contains("update otel bearertokenauth to 0.152.0 or later"));
}

#[test]
fn a_watch_that_is_set_before_the_container_starts_misses_nothing() {
    let first = |started| [generation(0, false), generation(1, true), pod(&[("app", started)])];
    for (started, expected) in [(2, 1), (0, 0)] {
        let events = [first(started).concat(), reads(&[4])].concat();
        let (engine, reports) = play(events, 659);
        assert_eq!(reports.len(), expected, "started at {started}");
        let verdict = engine.status(&at(659)).readers[0].verdict;
        assert_ne!(verdict, ReaderVerdict::Current, "started at {started}");
    }
    let never = [generation(0, false), pod(&[("app", 2)])].concat();
    assert_eq!(habit(&play(never, 400).0, 400), (Habit::Never, ReaderVerdict::NeverRead));
}

/// Whatever else is seen: looks at connections, descriptors that somebody keeps, events that were
/// missed.
fn noise() -> impl proptest::strategy::Strategy<Value = Events> {
    use proptest::prelude::*;
    let looked = (0..3u32, any::<bool>(), any::<bool>());
    let connected = looked.prop_map(|(established, opens, requests)| {
        let opened = opens.then_some(Delta::from_secs(15));
        containers(
            &["id-app"],
            &MountKind::Current,
            Some(Connected { established, opened, requests }),
        )
    });
    let event = prop_oneof![
        4 => connected,
        1 => (0..3u32).prop_map(|generations| readers(ReaderEvent::Held { generations })),
        1 => (0..60i64).prop_map(|span| {
            readers(ReaderEvent::Missed { span: Delta::from_secs(span), why: "lost".into() })
        }),
    ];
    proptest::collection::vec((2..1_500i64, event), 0..60)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn who_reads_at_least_every_minute_is_never_accused(
        gaps in proptest::collection::vec(1..56i64, 120),
        noise in noise(),
        from in 0..480i64,
    ) {
        let ages: Vec<i64> = gaps
            .iter()
            .scan(3, |age, gap| { *age += gap; Some(*age) })
            .take_while(|age| *age < 1_500)
            .collect();
        let all = [kubelet(4), pod(&[("app", 2)]), reads(&ages), noise].concat();
        // An agent that starts later sees only the rest.
        let seen = all.into_iter().filter(|(age, _)| *age >= from || *age < 2).collect();
        let (_, reports) = play(seen, *ages.last().unwrap());
        proptest::prop_assert_eq!(reports, []);
    }

    #[test]
    fn without_a_read_after_the_rotation_nobody_is_called_current(
        noise in noise(),
        ages in proptest::collection::vec(3..480i64, 1..9),
    ) {
        let events = [kubelet(2), pod(&[("app", 2)]), reads(&ages), noise].concat();
        let (engine, reports) = play(events, 1_400);
        let readers = engine.status(&at(1_400)).readers;
        proptest::prop_assert!(readers.iter().all(|one| one.verdict != ReaderVerdict::Current));
        let is_strong = |one: &crate::world::readers::ReaderView| {
            one.evidence.iter().any(|evidence| {
                evidence.strength() > crate::world::readers::Strength::Hint
            })
        };
        let is_alarm = |(_, _, severity): &Reported| *severity > Severity::Info;
        if readers.iter().any(is_strong) {
            proptest::prop_assert!(reports.iter().any(is_alarm), "{:?}", reports);
        }
    }
}

#[test]
fn a_sandbox_hides_who_reads() {
    let in_sandbox = |sandbox| {
        let mut pod = pod(&[("app", 0)]);
        for (_, seen) in &mut pod {
            if let Observation::Cluster(ClusterSeen::Listed(pods)) = seen {
                pods[0].isolation.sandbox = sandbox;
            }
        }
        let events = [generation(0, true), generation(1, true), pod, reads(&[4])].concat();
        let (engine, reports) = play(events, 659);
        (engine.status(&at(659)).readers[0].verdict, reports.len())
    };
    assert_eq!(in_sandbox(None), (ReaderVerdict::Stale, 1));
    assert_eq!(in_sandbox(Some(Sandbox::Gvisor)), (ReaderVerdict::Unknown, 0));
}

#[test]
fn requests_on_a_connection_that_stays_open_are_use() {
    use AlertEvent::{Raised, Reminded};
    use Severity::{Critical, Warning};
    let look = |age: i64, requests: bool| {
        let connected = Connected { established: 1, opened: None, requests };
        (age, containers(&["id-app"], &MountKind::Current, Some(connected)))
    };
    let polls: Events = (2..629).step_by(30).map(|age| look(age, true)).collect();
    let watches: Events = (2..629).step_by(30).map(|age| look(age, age < 62)).collect();
    let with = |ages: &[i64], seen: &Events| {
        play([kubelet(2), pod(&[("app", 2)]), reads(ages), seen.clone()].concat(), 629).1
    };
    let named = [(546, Raised, Warning), (600, Reminded, Critical)];
    assert_eq!(with(&[4], &polls), named, "a minute after the rotation");
    assert_eq!(with(&[4], &watches), [], "it only watches now");
    assert_eq!(with(&every(55, 3, 629), &polls), [], "it reads again");
    assert_eq!(with(&[4, 470, 525], &polls), [], "it read what it uses");
}
