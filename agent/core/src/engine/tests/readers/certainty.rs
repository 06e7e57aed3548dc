//! What the agent does not know, and what it must not conclude from little.

use super::*;
use crate::world::tokens::LEEWAY;

const APP: [(&str, i64); 1] = [("app", 2)];
const PAIR: [(&str, i64); 2] = [("app", 2), ("proxy", 2)];

fn by(age: i64, id: &str) -> (i64, Observation) {
    (age, opened(age / ROTATION, Some(id)))
}

fn missed(age: i64) -> Events {
    let span = Delta::from_secs(5);
    vec![(age, readers(ReaderEvent::Missed { span, why: "overflow".into() }))]
}

/// The first report above info.
fn warned(reports: &[Reported]) -> Option<Reported> {
    reports.iter().copied().find(|(_, _, severity)| *severity > Severity::Info)
}

fn has_cleared(reports: &[Reported]) -> bool {
    reports.iter().any(|(_, event, _)| *event == AlertEvent::Cleared)
}

#[test]
fn what_was_read_before_the_agent_watched_stays_unknown() {
    let later: Events = (2..8).flat_map(|nth| generation(nth, true)).collect();
    let late = [generation(1, false), later].concat();
    for until in [1_000, 1_400, 3_600] {
        let (engine, reports) = play([late.clone(), pod(&APP)].concat(), until);
        assert_eq!(reports, []);
        assert_eq!(habit(&engine, until), (Habit::Unknown, ReaderVerdict::Unknown), "at {until}");
        let started_later = pod(&[("app", 700)]);
        let (engine, _) = play([late.clone(), started_later].concat(), until);
        assert_eq!(habit(&engine, until), (Habit::Never, ReaderVerdict::NeverRead), "at {until}");
    }
}

#[test]
fn what_somebody_holds_since_before_the_agent_started_is_a_hint() {
    let held = vec![(970, readers(ReaderEvent::Held { generations: 1 }))];
    let late = [generation(1, false), generation(2, true), pod(&APP), held].concat();
    let (engine, reports) = play(late, 1_400);
    assert_eq!(reports, [(1_045, AlertEvent::Raised, Severity::Info)]);
    assert_eq!(engine.status(&at(1_400)).readers[0].verdict, ReaderVerdict::Stale);
}

#[test]
fn a_finding_stays_while_the_agent_cannot_tell() {
    let used = processes(&["id-app"], 2, 500, 0, true);
    let kept = [kubelet(2), pod(&APP), reads(&[4]), used, missed(510)].concat();
    let (engine, reports) = play(kept.clone(), 900);
    assert_eq!(warned(&reports), Some((497, AlertEvent::Raised, Severity::Warning)));
    assert!(!has_cleared(&reports), "{reports:?}");
    assert_eq!(engine.status(&at(900)).readers[0].verdict, ReaderVerdict::Unknown);
    let (_, reports) = play([kept, reads(&[550])].concat(), 900);
    assert!(has_cleared(&reports), "{reports:?}");
}

#[test]
fn a_container_that_read_a_little_later_is_no_excuse() {
    let used = || processes(&["id-app", "id-proxy"], 2, 659, 1, true);
    let slow = vec![by(4, "id-app"), by(70, "id-proxy")];
    let (_, reports) = play([kubelet(2), pod(&PAIR), slow, used()].concat(), 659);
    assert_eq!(warned(&reports), Some((497, AlertEvent::Raised, Severity::Warning)));
}

#[test]
fn what_a_pod_did_before_another_container_read_is_no_use_of_that_one() {
    let ids = ["id-app", "id-proxy"];
    let used = [processes(&ids, 2, 600, 1, true), processes(&ids, 600, 659, 1, false)].concat();
    let read = vec![by(4, "id-app"), by(5, "id-proxy"), by(604, "id-proxy")];
    let (_, reports) = play([kubelet(2), pod(&PAIR), read, used].concat(), 659);
    assert_eq!(warned(&reports), Some((497, AlertEvent::Raised, Severity::Warning)));
    assert!(!has_cleared(&reports), "{reports:?}");
}

#[test]
fn a_pod_without_connections_is_idle_whatever_another_container_reads() {
    let quiet = processes(&["id-app", "id-proxy"], 2, 1_200, 0, false);
    let proxy = every(55, 3, 1_200).into_iter().map(|age| by(age, "id-proxy")).collect();
    let read = [vec![by(4, "id-app")], proxy].concat();
    assert_eq!(play([kubelet(3), pod(&PAIR), read, quiet].concat(), 1_200).1, []);
}

#[test]
fn a_watch_without_an_end_of_its_own_lasts_an_hour() {
    let watching = |until| processes(&["id-app"], 2, until, 1, false);
    let healthy = [kubelet(6), pod(&APP), reads(&[4, 2_404]), watching(2_500)].concat();
    assert_eq!(warned(&play(healthy, 2_500).1), None);
    let stale = [kubelet(9), pod(&APP), reads(&[4]), watching(4_000)].concat();
    let (at, ..) = warned(&play(stale, 4_000).1).unwrap();
    assert!((3_664..3_700).contains(&at), "{at}");
}

#[test]
fn one_that_exchanges_its_token_is_suspected_when_it_can_have_no_credential() {
    let mut events = [kubelet(2), pod(&APP), reads(&[4])].concat();
    for (_, event) in &mut events {
        if let Observation::File(seen) = event
            && let FileContent::Token(claims) = &mut seen.content
        {
            claims.audiences = vec!["api://AzureADTokenExchange".into()];
        }
    }
    let end = LIFETIME + LEEWAY.as_secs() + 28 * 3_600;
    let (_, reports) = play(events, end + 60);
    assert_eq!(reports, [(end, AlertEvent::Raised, Severity::Info)]);
}

#[test]
fn reads_that_happen_to_come_late_twice_are_no_habit_to_accuse_by() {
    let informer = reads(&[3, 355, 656, 1_141, 1_700]);
    assert_eq!(warned(&play([kubelet(4), pod(&APP), informer].concat(), 1_700).1), None);
}

#[test]
fn one_that_misses_its_window_is_named_when_that_has_passed() {
    let habit = reads(&[3, 600, 1_080, 1_560]); // 60 s before each end
    let (_, reports) = play([kubelet(5), pod(&APP), habit].concat(), 2_099);
    assert_eq!(warned(&reports).map(|(at, ..)| at), Some(2_055));
}

#[test]
fn one_that_is_known_to_read_before_the_end_has_its_time() {
    let reads = reads(&[3, 600, 1_080, 1_560, 2_040, 2_520]); // 60 s before each end
    let used = processes(&["id-app"], 2, 2_600, 0, true);
    let (_, reports) = play([kubelet(6), pod(&APP), reads, used].concat(), 2_600);
    let raised = reports.iter().filter(|(at, event, _)| {
        *at > 1_600 && *event != AlertEvent::Cleared // three generations have shown it
    });
    assert_eq!(raised.count(), 0, "{reports:?}");
}

#[test]
fn a_library_that_reads_seldom_has_its_time() {
    let mut fluent_bit = pod(&APP);
    if let Observation::Cluster(ClusterSeen::Listed(pods)) = &mut fluent_bit[0].1 {
        pods[0].containers[0].image = "registry.example/fluent/fluent-bit:3.1.0".into();
    }
    let used = || processes(&["id-app"], 2, 659, 1, true);
    let plain = play([kubelet(2), pod(&APP), reads(&[4]), used()].concat(), 659).1;
    assert_eq!(warned(&plain).map(|(at, ..)| at), Some(497));
    let seldom = play([kubelet(2), fluent_bit, reads(&[4]), used()].concat(), 659).1;
    assert_eq!(warned(&seldom), None);
}

#[test]
fn an_old_read_of_nobody_in_particular_counts_for_a_quarter_of_an_hour() {
    let read = [reads(&[4, 510]), read_again(&[500])].concat();
    let (_, reports) = play([kubelet(2), pod(&PAIR), read].concat(), 1_439);
    assert_eq!(warned(&reports).map(|(at, ..)| at), Some(500));
    assert_eq!(
        reports.last().map(|(at, event, _)| (*at, *event)),
        Some((1_400, AlertEvent::Cleared))
    );
}

#[test]
fn an_old_generation_that_is_read_has_its_own_end() {
    let events = [kubelet(3), pod(&APP), reads(&[4, 500, 970]), read_again(&[980])];
    let (engine, _) = play(events.concat(), 1_000);
    let stale = engine.findings().into_iter().find(|one| one.code == Code::ReaderStale).unwrap();
    assert_eq!(stale.deadline, Some(at(660).wall), "{}", stale.summary);
}

#[test]
fn nobody_waits_for_a_token_that_is_refused() {
    let (engine, reports) = play([kubelet(3), pod(&APP), reads(&[4, 300])].concat(), 1_000);
    assert_eq!(reports, []);
    let reader = &engine.status(&at(1_000)).readers[0];
    assert_eq!(reader.verdict, ReaderVerdict::Unknown);
    assert!(reader.why.as_ref().unwrap().contains("nothing shows whether it still uses"));
}

#[test]
fn a_container_that_recovered_is_cleared_whatever_another_one_holds() {
    let again = |id: &str| {
        let opener =
            Opener { container_id: Some(id.into()), pid: 7, program: None, session: false };
        let by = Some(opener);
        vec![(
            500,
            readers(ReaderEvent::ReadAgain {
                directory: directory(0),
                path: None,
                by,
                within: Delta::ZERO,
            }),
        )]
    };
    let read = vec![by(4, "id-app"), by(5, "id-proxy")];
    let lost = [kubelet(2), pod(&PAIR), read, missed(510), vec![by(550, "id-app")]].concat();
    let (engine, reports) = play([lost.clone(), again("id-app")].concat(), 900);
    assert_eq!(warned(&reports), Some((500, AlertEvent::Raised, Severity::Warning)));
    assert!(has_cleared(&reports), "{reports:?}");
    let verdicts: Vec<_> = engine.status(&at(900)).readers.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [ReaderVerdict::Current, ReaderVerdict::Unknown]);
    let (_, reports) = play([lost, again("id-proxy")].concat(), 900);
    assert!(!has_cleared(&reports), "{reports:?}");
}

/// The old token was used at an age that the agent knows no better than `within`: opened, or read.
fn used_old(age: i64, id: Option<&str>, within: i64) -> [Events; 2] {
    let by = || {
        id.map(|id| Opener { container_id: Some(id.into()), pid: 7, program: None, session: false })
    };
    let (directory, within) = (|| directory(0), Delta::from_secs(within));
    let opened =
        ReaderEvent::Opened { directory: directory(), path: "token".into(), by: by(), within };
    let again = ReaderEvent::ReadAgain { directory: directory(), path: None, by: by(), within };
    [opened, again].map(|event| vec![(age, readers(event))])
}

#[test]
fn a_stopped_agent_that_takes_a_read_late_accuses_nobody() {
    let warning = (497, AlertEvent::Raised, Severity::Warning);
    // (how long the agent was stopped until 497, expected)
    for (within, expected) in
        [(30, None), (17, None), (10, None), (6, Some(warning)), (0, Some(warning))]
    {
        for id in [None, Some("id-app")] {
            for late in used_old(497, id, within) {
                let (again, now) = (reads(&every(10, 498, 560)), vec![(497, opened(1, id))]);
                let before = vec![(4, opened(0, id)), (474, opened(0, id))];
                let events = [kubelet(2), pod(&APP), before, late.clone(), now, again].concat();
                assert_eq!(warned(&play(events, 520).1), expected, "{within} {late:?}");
            }
        }
    }
}

#[test]
fn a_read_that_may_have_been_in_time_hides_neither_a_newer_nor_an_old_one() {
    let [opened_late, read_late] = used_old(497, Some("id-app"), 17);
    let read = vec![by(4, "id-app"), by(485, "id-app")];
    let newer = [kubelet(2), pod(&APP), read, opened_late].concat();
    assert_eq!(habit(&play(newer, 560).0, 560).1, ReaderVerdict::Current);
    let [_, certain] = used_old(495, Some("id-app"), 0);
    let old = [kubelet(2), pod(&APP), vec![by(4, "id-app")], certain, read_late].concat();
    let (engine, reports) = play(old, 640);
    assert_eq!(warned(&reports), Some((495, AlertEvent::Raised, Severity::Warning)));
    assert!(!has_cleared(&reports), "{reports:?}");
    assert_eq!(habit(&engine, 640).1, ReaderVerdict::Stale);
}

/// The token of this rotation, which kubelet has written again into another directory.
fn rewritten(age: i64, nth: i64, name: &str, complete: bool) -> Events {
    let Observation::File(mut file) = token("p1", nth * ROTATION, LIFETIME) else { unreachable!() };
    file.directory = Some(name.into());
    let directory = name.into();
    let watching = readers(ReaderEvent::Watching { directory, complete, moment: false });
    vec![(age, Observation::File(file)), (age, watching)]
}

/// The verdict about a reader that uses the token of its start, if it was not accused.
fn doubt(gaps: Events, until: i64) -> Option<ReaderVerdict> {
    let used = processes(&["id-app"], 520, until, 1, true);
    let (engine, reports) = play([gaps, pod(&APP), reads(&[4]), used].concat(), until);
    warned(&reports).is_none().then(|| habit(&engine, until).1)
}

#[test]
fn events_that_were_lost_before_the_file_was_read_are_missed() {
    let scanned_late = |age: i64| {
        let mut late = generation(1, true);
        late[0].0 = age;
        [kubelet(1), late].concat()
    };
    // (what, the events, whether the reader may have read the new token)
    let flood = |ages: std::ops::Range<i64>| ages.map(|age| (age, opened(7, None))).collect();
    let table: [(&str, Events, bool); 5] = [
        ("nothing was lost", scanned_late(487), false),
        ("between the watch and the scan", [scanned_late(487), missed(485)].concat(), true),
        ("before the rotation", [scanned_late(487), missed(479)].concat(), false),
        ("too many opens before the scan", [scanned_late(510), flood(482..499)].concat(), true),
        ("as many as are kept", [scanned_late(510), flood(482..497)].concat(), false),
    ];
    for (what, events, may_have_read) in table {
        let expected = may_have_read.then_some(ReaderVerdict::Unknown);
        assert_eq!(doubt(events, 640), expected, "{what}");
    }
}

#[test]
fn each_directory_of_a_token_has_to_be_watched_in_time() {
    let second = |complete| rewritten(500, 1, "..gen-1b", complete);
    let late_first = [generation(0, true), generation(1, false)].concat();
    let set_again = vec![(500, watching(1, false, false))];
    let many = (2..8).map(|nth| rewritten(500 + nth, 1, &format!("..gen-1-{nth}"), true));
    let many = many.collect::<Vec<_>>().concat();
    // (what, the events, whether the reader may have read the new token)
    let table: [(&str, Events, bool); 6] = [
        ("both in time", [kubelet(2), second(true)].concat(), false),
        ("the second late", [kubelet(2), second(false)].concat(), true),
        ("the first late", [late_first, second(true)].concat(), true),
        ("the watch was set again", [kubelet(2), set_again].concat(), true),
        ("many in time", [kubelet(2), many.clone()].concat(), false),
        ("one of many late", [kubelet(2), second(false), many].concat(), true),
    ];
    for (what, events, may_have_read) in table {
        let expected = may_have_read.then_some(ReaderVerdict::Unknown);
        assert_eq!(doubt(events, 640), expected, "{what}");
    }
}

#[test]
fn a_read_in_a_directory_that_the_agent_does_not_know_accuses_nobody() {
    let again = |age: i64| {
        let (directory, within) = (directory(0), Delta::ZERO);
        vec![(age, readers(ReaderEvent::ReadAgain { directory, path: None, by: None, within }))]
    };
    let many = (0..6).map(|nth| rewritten(20 + nth, 0, &format!("..gen-0-{nth}"), true));
    let many = [kubelet(1), many.collect::<Vec<_>>().concat()].concat();
    let (engine, reports) = play([many, pod(&APP), reads(&[4]), again(120)].concat(), 200);
    assert_eq!((reports, habit(&engine, 200).1), (vec![], ReaderVerdict::Current));
    // One that is known to be old stays so, however many follow, if it is read.
    let read = |until: i64| [reads(&every(55, 3, until)), again(2_450)].concat();
    let (_, reports) = play([kubelet(7), pod(&APP), read(2_900)].concat(), 2_900);
    assert_eq!(warned(&reports), Some((2_450, AlertEvent::Raised, Severity::Warning)));
    let often: Events = every(400, 500, 12_000).into_iter().flat_map(again).collect();
    let (engine, _) = play([kubelet(25), pod(&APP), reads(&[4]), often].concat(), 12_000);
    assert_eq!(habit(&engine, 12_000).1, ReaderVerdict::Stale);
}

#[test]
fn containers_that_end_leave_room_for_those_that_run() {
    let used = |until| processes(&["id-app"], 2, until, 1, true);
    for (until, pause) in [(1_900, 60), (640, 1)] {
        let crashed = |nth: i64| (500 + nth * pause, format!("id-crash-{nth}"));
        let crashes = (0..40).map(crashed).filter(|(age, _)| *age < until);
        let crashes: Events = crashes.map(|(age, id)| by(age, &id)).collect();
        let read = [vec![by(4, "id-app")], crashes].concat();
        let (engine, reports) = play([kubelet(5), pod(&PAIR), read, used(until)].concat(), until);
        assert_eq!(warned(&reports), Some((497, AlertEvent::Raised, Severity::Warning)));
        assert!(!has_cleared(&reports), "every {pause} s: {reports:?}");
        let readers = engine.status(&at(until)).readers;
        let app = readers.iter().find(|one| one.who.container.as_deref() == Some("app"));
        assert_eq!(app.map(|app| app.verdict), Some(ReaderVerdict::Stale), "every {pause} s");
    }
}

#[test]
fn of_more_readers_than_fit_those_stay_that_may_keep_an_old_token() {
    let ids: Vec<String> = (0..20).map(|nth| format!("id-{nth}")).collect();
    let running: Vec<&str> = ids.iter().map(String::as_str).chain(["id-app"]).collect();
    let used = processes(&running, 2, 640, 1, true);
    let healthy: Events = ids.iter().map(|id| by(500, id)).collect();
    let read = [vec![by(4, "id-app")], healthy].concat();
    let (engine, _) = play([kubelet(2), pod(&APP), read, used].concat(), 640);
    let readers = engine.status(&at(640)).readers;
    let app = readers.iter().find(|one| one.who.container_id.as_deref() == Some("id-app"));
    assert_eq!(readers.len(), 16);
    assert_eq!(app.map(|app| app.verdict), Some(ReaderVerdict::Stale));
    // Nobody is called a container that never read while some readers are not kept.
    let ended = vec![(600, containers(&[], &MountKind::Current, None))];
    let all: Events = ids.iter().map(|id| by(500, id)).collect();
    let early = processes(&running, 2, 590, 0, false);
    let (engine, _) = play([kubelet(2), pod(&APP), all, early, ended].concat(), 640);
    let reader = &engine.status(&at(640)).readers[0];
    assert_eq!(reader.verdict, ReaderVerdict::Unknown, "{reader:?}");
    assert!(reader.why.as_ref().unwrap().contains("more containers"), "{reader:?}");
}
