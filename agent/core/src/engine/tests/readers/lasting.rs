//! What stays true of a reader, and what time that passes means.

use super::*;

const APP: [(&str, i64); 1] = [("app", 2)];
const PAIR: [(&str, i64); 2] = [("app", 2), ("proxy", 2)];

fn by(age: i64, id: &str) -> (i64, Observation) {
    (age, opened(age / ROTATION, Some(id)))
}

fn warned(reports: &[Reported]) -> Option<i64> {
    let warning = |one: &&Reported| one.2 > Severity::Info && one.1 != AlertEvent::Cleared;
    reports.iter().find(warning).map(|(at, ..)| *at)
}

fn has_cleared(reports: &[Reported]) -> bool {
    reports.iter().any(|(_, event, _)| *event == AlertEvent::Cleared)
}

/// A look every 30 s: connections, and whether requests were sent since the last one.
fn looks(until: i64, shown: impl Fn(i64) -> (u32, bool)) -> Events {
    let look = |age: i64| {
        let (established, requests) = shown(age);
        let connected = Connected { established, opened: None, requests };
        (age, containers(&["id-app"], &MountKind::Current, Some(connected)))
    };
    (2..until).step_by(30).map(look).collect()
}

#[test]
fn a_use_that_was_seen_stays_evidence_when_it_ends() {
    let first = || [kubelet(2), pod(&APP), reads(&[4])].concat();
    let closed = looks(655, |age| (u32::from(age < 600), age < 600));
    let bursts = looks(655, |age| (1, age < 480 || age % 90 == 2));
    for uses in [closed, bursts] {
        let (_, reports) = play([first(), uses.clone()].concat(), 655);
        assert!(warned(&reports).is_some_and(|at| at < 600), "{reports:?}");
        assert!(!has_cleared(&reports), "{reports:?}");
        let (_, reports) = play([first(), uses, reads(&[610])].concat(), 655);
        assert!(has_cleared(&reports), "it read the new one: {reports:?}");
    }
}

#[test]
fn a_reader_that_stopped_is_no_finding_for_ever() {
    let used = looks(3_000, |age| (u32::from(age < 640), age < 640));
    let (engine, reports) = play([kubelet(2), pod(&APP), reads(&[4]), used].concat(), 3_000);
    let cleared = reports.iter().find(|(_, event, _)| *event == AlertEvent::Cleared);
    assert!(cleared.is_some_and(|(at, ..)| (1_560..1_620).contains(at)), "{reports:?}");
    assert_eq!(engine.status(&at(3_000)).readers[0].verdict, ReaderVerdict::Idle);
}

#[test]
fn a_finding_about_several_containers_stays_while_one_of_them_is_unknown() {
    let span = Delta::from_secs(5);
    let missed = vec![(510, readers(ReaderEvent::Missed { span, why: "overflow".into() }))];
    let used = processes(&["id-app", "id-proxy"], 2, 505, 1, true);
    let read = vec![by(4, "id-app"), by(5, "id-proxy"), by(550, "id-app")];
    let (engine, reports) = play([kubelet(2), pod(&PAIR), read, used, missed].concat(), 640);
    assert_eq!(warned(&reports), Some(497));
    let verdicts: Vec<_> = engine.status(&at(640)).readers.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [ReaderVerdict::Current, ReaderVerdict::Unknown]);
    assert!(!has_cleared(&reports), "{reports:?}");
}

#[test]
fn the_use_of_another_token_accuses_nobody() {
    let of_second = |(age, mut seen): (i64, Observation)| {
        match &mut seen {
            Observation::File(file) => file.key.volume = "kube-api-access-y".into(),
            Observation::Readers(of) => of.volume = "kube-api-access-y".into(),
            other => panic!("{other:?}"),
        }
        (age, seen)
    };
    let read = |every_one: Vec<i64>| every_one.into_iter().map(|age| by(age, "id-proxy"));
    let second = |reads: Vec<i64>| -> Events {
        kubelet(2).into_iter().chain(read(reads)).map(of_second).collect()
    };
    let mut pods = pod(&PAIR);
    if let Observation::Cluster(ClusterSeen::Listed(pods)) = &mut pods[0].1 {
        let proxy = &mut pods[0].containers[1];
        proxy.volumes = vec!["kube-api-access-y".into()];
        proxy.tokens[0].volume = "kube-api-access-y".into();
    }
    let used = processes(&["id-app", "id-proxy"], 2, 640, 1, true);
    let all =
        |reads| [kubelet(2), second(reads), pods.clone(), vec![by(4, "id-app")], used.clone()];
    assert_eq!(warned(&play(all(every(30, 3, 640)).concat(), 640).1), None);
    let look_alike = play(all(vec![]).concat(), 640).1;
    assert_eq!(warned(&look_alike), Some(497), "nobody else reads a token");
}

#[test]
fn one_look_at_a_token_does_not_make_its_container_a_user() {
    let used = || processes(&["id-app"], 2, 640, 1, true);
    let after =
        |reads_at: &[i64]| play([kubelet(2), pod(&APP), reads(reads_at), used()].concat(), 640).1;
    assert_eq!(warned(&after(&[200])), None, "a person, and an app with a credential of its own");
    assert_eq!(warned(&after(&[4])), Some(497));
    assert!(warned(&after(&[200, 300])).is_some(), "two reads are no chance");
}

#[test]
fn what_is_read_again_and_again_has_the_end_of_what_is_read() {
    let kept = read_again(&every(10, 505, 640));
    let (engine, _) = play([kubelet(2), pod(&APP), reads(&[4, 500]), kept].concat(), 640);
    let reader = &engine.status(&at(640)).readers[0];
    assert_eq!((reader.verdict, reader.deadline), (ReaderVerdict::Stale, Some(at(660).wall)));
    assert!(reader.held.as_ref().is_some_and(|held| !held.is_current), "{reader:?}");
}

/// An informer that has one connection, on a node whose clock is set by so many seconds at 100.
fn after_a_step(seconds: i64) -> Vec<(AlertEvent, Code, Severity)> {
    let set = |age: i64| Reading { wall: at(age + seconds).wall, ..at(age) };
    let mut engine = engine();
    let used = processes(&["id-app"], 2, 99, 1, false);
    let mut before = [kubelet(1), pod(&APP), reads(&[4]), used].concat();
    before.sort_by_key(|(age, _)| *age);
    for (age, seen) in before {
        let _ = engine.step(&at(age), seen);
    }
    let Observation::File(mut file) = token("p1", 100 + seconds, LIFETIME) else { unreachable!() };
    file.directory = Some(directory(1));
    let _ = engine.step(&set(101), Observation::File(file));
    let _ = engine.step(&set(101), watching(1, true, false));
    let later = (105..400).step_by(5).flat_map(|age| {
        let connected = Connected { established: 1, opened: None, requests: false };
        let look = containers(&["id-app"], &MountKind::Current, Some(connected));
        alerts(&engine.step(&set(age), look).reports, at(age).wall)
    });
    let of_reader = later.filter(|(_, _, code, _)| *code == Code::ReaderStale);
    of_reader.map(|(_, event, code, severity)| (event, code, severity)).collect()
}

#[test]
fn a_clock_that_is_set_is_no_time_that_passes() {
    for seconds in [7_200, 86_400] {
        assert_eq!(after_a_step(seconds), [], "{seconds}");
    }
}

/// A reader that uses its old token over one connection, on a node whose clock is set at 600.
#[test]
fn a_stale_reader_stays_one_when_the_clock_is_set() {
    for seconds in [-7_200, -60, -20, 20, 200, 7_200] {
        let used = |age| {
            let connected = Connected { established: 1, opened: None, requests: true };
            (age, containers(&["id-app"], &MountKind::Current, Some(connected)))
        };
        let looks = (2..660).step_by(15).map(used).collect();
        let mut events = [kubelet(2), pod(&APP), reads(&[4]), looks].concat();
        events.sort_by_key(|(age, _)| *age);
        let (mut engine, mut reported) = (engine(), Vec::new());
        for (age, seen) in events {
            let step = if age < 600 { 0 } else { seconds };
            let now = Reading { wall: at(age + step).wall, ..at(age) };
            reported.extend(alerts(&engine.step(&now, seen).reports, at(age).wall));
        }
        reported.retain(|(_, _, code, _)| *code == Code::ReaderStale);
        let events: Vec<AlertEvent> = reported.iter().map(|(_, event, ..)| *event).collect();
        assert_eq!(events.first(), Some(&AlertEvent::Raised), "{seconds}: {reported:?}");
        assert!(!events.contains(&AlertEvent::Cleared), "{seconds}: {reported:?}");
    }
}

fn look_with_new_connection(age: i64) -> Events {
    let opened = Some(Delta::from_secs(30));
    let connected = Connected { established: 1, opened, requests: false };
    vec![(age, containers(&["id-app", "id-proxy"], &MountKind::Current, Some(connected)))]
}

#[test]
fn a_session_neither_reads_for_its_container_nor_accuses_it() {
    let session = |age: i64| {
        let by = Opener {
            container_id: Some("id-app".into()),
            pid: 7,
            program: Some("kubectl".into()),
            session: true,
        };
        let what = ReaderEvent::Opened {
            directory: directory(age / ROTATION),
            path: "token".into(),
            by: Some(by),
            within: Delta::ZERO,
        };
        vec![(age, readers(what))]
    };
    let idle = || [kubelet(2), pod(&APP), vec![by(4, "id-app")]].concat();
    let used = [idle(), session(540), look_with_new_connection(545)].concat();
    assert_eq!(warned(&play(used, 640).1), None, "the session connected");
    let look_alike = [idle(), look_with_new_connection(545)].concat();
    assert_eq!(warned(&play(look_alike, 640).1), Some(545));
    let stale = [idle(), look_with_new_connection(525), session(560)].concat();
    let (engine, reports) = play(stale, 640);
    assert_eq!(warned(&reports), Some(525));
    assert!(!has_cleared(&reports), "a person looked: {reports:?}");
    assert_eq!(engine.status(&at(640)).readers.len(), 1, "a session is no reader");
}

#[test]
fn a_container_that_read_and_connected_between_two_looks_explains_the_connection() {
    let first = || [kubelet(2), pod(&PAIR), vec![by(4, "id-app")]].concat();
    let restarted = [first(), vec![by(530, "id-proxy")], look_with_new_connection(545)].concat();
    assert_eq!(warned(&play(restarted, 640).1), None);
    let later = [first(), look_with_new_connection(545), vec![by(560, "id-proxy")]].concat();
    assert_eq!(warned(&play(later, 640).1), Some(545), "it read after the connection");
}

#[test]
fn who_read_late_and_still_in_time_is_not_accused_again_before_that_time() {
    let used = || processes(&["id-app"], 2, 2_000, 0, true);
    let late = |ages: &[i64]| [kubelet(4), pod(&APP), reads(ages), used()].concat();
    // Each token is refused 660 s after it was written. It reads 60 s before that.
    let (engine, reports) = play(late(&[4, 600, 1_080, 1_560]), 1_600);
    assert!(warned(&reports).is_some_and(|at| at < 600), "the first time: {reports:?}");
    assert_eq!(reports.last().map(|one| (one.0, one.1)), Some((600, AlertEvent::Cleared)));
    // A new pod of the workload does not begin as one that never reads.
    let habits = engine.learned().habits;
    assert!(habits.iter().all(|habit| habit.habit != Habit::Once), "{habits:?}");
    // One that does not read again is named when that time has passed, and before the refusal.
    let (_, reports) = play(late(&[4, 600]), 1_139);
    let again: Vec<&Reported> = reports.iter().filter(|one| one.0 > 600).collect();
    assert!(again[0].0 >= 1_095 && again[0].2 > Severity::Info, "{reports:?}");
}

#[test]
fn a_workload_that_once_kept_its_token_is_known_better_when_it_reads_again() {
    let used = || processes(&["id-app"], 2, 2_000, 0, true);
    let kept = [kubelet(2), pod(&APP), reads(&[4]), used()].concat();
    let known = play(kept.clone(), 599).0.learned().habits;
    assert_eq!((known[0].habit, known[0].is_confirmed), (Habit::Once, true));
    let (engine, _) = play([kept, reads(&[600])].concat(), 650);
    assert_eq!(engine.learned().habits[0].habit, Habit::Unknown);
}
