//! Which container read, and which only seems to have.

use super::*;

#[test]
fn a_read_of_the_replaced_token_counts_until_the_container_turns_to_the_new_one() {
    use AlertEvent::{Cleared, Raised};
    let kept = [kubelet(2), pod(&[("app", 2)]), reads(&[4]), read_again(&[500])].concat();
    let turned = |age| reads(&[age]);
    let (_, reports) = play([kept.clone(), turned(510)].concat(), 900);
    let expected = [(500, Raised, Severity::Warning), (575, Cleared, Severity::Warning)];
    assert_eq!(reports, expected);
    let (_, reports) = play([kept.clone(), turned(510), read_again(&[560])].concat(), 600);
    assert_eq!(reports, [(500, Raised, Severity::Warning)], "another process read the new one");
    let restarted = pod(&[("app", 520)]).into_iter().map(|(_, event)| (521, event)).collect();
    let (engine, reports) = play([kept, restarted, reads(&[522])].concat(), 600);
    assert_eq!(reports.last().map(|(_, event, _)| *event), Some(Cleared));
    assert_eq!(habit(&engine, 600).1, ReaderVerdict::Current);
}

#[test]
fn a_directory_that_kubelet_replaced_by_one_with_the_same_token_is_not_old() {
    let Observation::File(mut file) = token("p1", 0, LIFETIME) else { unreachable!() };
    file.directory = Some("..again".into());
    let again = ReaderEvent::ReadAgain {
        directory: directory(0),
        path: None,
        by: None,
        within: Delta::ZERO,
    };
    let rewritten = vec![(100, Observation::File(file)), (200, readers(again))];
    let events = [kubelet(1), pod(&[("app", 2)]), reads(&[4]), rewritten].concat();
    let (engine, reports) = play(events, 400);
    assert_eq!(reports, []);
    assert_eq!(habit(&engine, 400).1, ReaderVerdict::Current);
}

#[test]
fn a_container_that_is_known_by_its_reads_needs_no_start_time() {
    let stepped = [("app", 20)]; // by a clock that was set back after the read
    let read = vec![(3, opened(0, Some("id-app")))];
    let (engine, _) = play([kubelet(2), pod(&stepped), read].concat(), 560);
    assert_eq!(habit(&engine, 560), (Habit::Once, ReaderVerdict::Waiting));
}

#[test]
fn a_read_from_before_the_start_of_the_container_is_not_its_own() {
    let events = [kubelet(3), pod(&[("app", 20)]), reads(&[3])].concat();
    let (engine, _) = play(events, 1_000);
    assert_eq!(habit(&engine, 1_000), (Habit::Never, ReaderVerdict::NeverRead));
}

#[test]
fn a_restarted_container_has_read_nothing() {
    let restarted = pod(&[("app", 500)]).into_iter().map(|(_, event)| (501, event)).collect();
    let seen = processes(&["id-app"], 2, 480, 1, true);
    let events = [kubelet(2), pod(&[("app", 2)]), reads(&[4]), seen, restarted].concat();
    assert_eq!(play(events, 900).1, []);
}

#[test]
fn a_restarted_container_is_judged_by_its_own_reads() {
    let restarted = pod(&[("app", 500)]).into_iter().map(|(_, event)| (501, event)).collect();
    let events = [pod(&[("app", 2)]), restarted, reads(&[4, 502])].concat();
    let (engine, reports) = play([kubelet(2), events.clone()].concat(), 900);
    assert_eq!(reports, []);
    assert_eq!(habit(&engine, 900), (Habit::Unknown, ReaderVerdict::Current));
    let (engine, reports) = play([kubelet(3), events].concat(), 1_139);
    assert_eq!(reports, [(1_117, AlertEvent::Raised, Severity::Info)], "refused at 1140");
    assert_eq!(habit(&engine, 1_139), (Habit::Once, ReaderVerdict::Stale));
}

#[test]
fn with_attribution_one_container_of_two_is_named() {
    let both = |age: i64, id: &str| vec![(age, opened(age / ROTATION, Some(id)))];
    let pair = [("app", 2), ("proxy", 2)];
    let healthy = every(55, 3, 1_000).into_iter().flat_map(|age| both(age, "id-proxy"));
    let events = [kubelet(3), pod(&pair), both(4, "id-app"), healthy.collect()].concat();
    let (engine, reports) = play(events.clone(), 659);
    assert_eq!(reports, [(630, AlertEvent::Raised, Severity::Info)], "the use may be the other's");
    let readers = engine.status(&at(659)).readers;
    let mut named: Vec<_> =
        readers.iter().map(|one| (one.who.container.as_deref(), one.verdict)).collect();
    named.sort_unstable();
    let expected = [(Some("app"), ReaderVerdict::Stale), (Some("proxy"), ReaderVerdict::Current)];
    assert_eq!(named, expected);
}

#[test]
fn the_use_of_a_pod_is_that_of_its_container_that_reads() {
    let pair = [("app", 2), ("proxy", 2)];
    let by = |age: i64, id: &str| (age, opened(age / ROTATION, Some(id)));
    let used = || processes(&["id-app", "id-proxy"], 2, 1_200, 1, true);
    let warned = |proxy: Vec<i64>| {
        let proxy = proxy.into_iter().map(|age| by(age, "id-proxy")).collect();
        let read = [vec![by(4, "id-app")], proxy].concat();
        let (_, reports) = play([kubelet(3), pod(&pair), read, used()].concat(), 1_200);
        reports.into_iter().find(|(_, _, severity)| *severity > Severity::Info)
    };
    for step in [5, 55, 240, 300] {
        assert_eq!(warned(every(step, 3, 1_200)), None, "the other one reads every {step} s");
    }
    let expected = Some((497, AlertEvent::Raised, Severity::Warning));
    assert_eq!(warned(vec![5]), expected, "neither has read the new one");
}

#[test]
fn a_read_of_a_process_that_has_ended_accuses_no_container() {
    let pair = [("app", 2), ("proxy", 2)];
    let named = |age: i64, id: &str| vec![(age, opened(age / ROTATION, Some(id)))];
    let first = [kubelet(2), pod(&pair), named(4, "id-app"), named(5, "id-proxy")].concat();
    let unnamed = |age: i64| vec![(age, opened(age / ROTATION, None))];
    // Each may be the other container's, and neither reader has more to answer for.
    let healthy = [first.clone(), named(500, "id-proxy"), unnamed(501)].concat();
    let (engine, reports) = play(healthy, 659);
    assert_eq!(reports, []);
    let readers = engine.status(&at(659)).readers;
    let verdicts: Vec<_> = readers.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [ReaderVerdict::Unknown, ReaderVerdict::Current, ReaderVerdict::Current]);
    assert!(readers[0].why.as_ref().unwrap().contains("whose container the agent does not know"));
    let earlier = [first, unnamed(3), named(500, "id-proxy")].concat();
    let expected = [(630, AlertEvent::Raised, Severity::Info)];
    assert_eq!(play(earlier, 659).1, expected, "what was read before the rotation says nothing");
}

#[test]
fn a_reader_that_ended_is_not_accused_and_not_left_out() {
    let pair = [("app", 2), ("proxy", 2)];
    let named = |age: i64| vec![(age, opened(age / ROTATION, Some("id-proxy")))];
    let ended = vec![(3, opened(0, None))];
    let both = [kubelet(2), pod(&pair), ended.clone(), named(4), named(500)].concat();
    let (engine, reports) = play(both, 659);
    assert_eq!(reports, []);
    let readers = engine.status(&at(659)).readers;
    let verdicts: Vec<_> = readers.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [ReaderVerdict::Unknown, ReaderVerdict::Current]);
    assert!(readers[0].why.as_ref().unwrap().contains("ended before the agent could look"));
    // Of a pod with one container it can be no other's.
    let alone = [kubelet(2), pod(&pair[1..]), ended, named(4), named(500)].concat();
    let seen = processes(&["id-proxy"], 2, 659, 1, false);
    assert_eq!(play([alone, seen].concat(), 659).0.status(&at(659)).readers.len(), 1);
}

#[test]
fn what_several_containers_read_at_their_starts_is_no_habit() {
    let started = |started: Option<i64>| {
        let mut events = pod(&[("app", started.unwrap_or_default())]);
        for (_, event) in &mut events {
            if let Observation::Cluster(ClusterSeen::Listed(pods)) = event {
                pods[0].containers[0].started = started.map(|age| Wall::from_secs(IAT + age));
            }
        }
        events
    };
    let at_age = |events: Events, age| events.into_iter().map(|(_, event)| (age, event)).collect();
    // Restarted after each rotation: the API server reports its start a moment after its read.
    let restarts = [2, 485, 965].map(|age| {
        let waits: Events = at_age(started(None), age);
        let runs = at_age(started(Some(age)), age + 3);
        [waits, reads(&[age + 1]), runs].concat()
    });
    let (engine, reports) = play([kubelet(3), restarts.concat()].concat(), 1_200);
    assert_eq!((reports, engine.learned().habits), (vec![], vec![]));
    assert_eq!(habit(&engine, 1_200), (Habit::Unknown, ReaderVerdict::Current));
}
