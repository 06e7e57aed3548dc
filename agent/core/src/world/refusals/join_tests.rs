use core::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::join::{Joined, Joins};
use super::{AuditedRefusal, RefusalReason, TimedRefusals};
use crate::base::time::{Delta, Monotonic, Wall};

fn wall(micros: i64) -> Wall {
    Wall::from_secs(1_800_000_000) + Delta::from_nanos(micros * 1_000)
}

fn at(secs: i64) -> Monotonic {
    Monotonic::from_nanos(secs * 1_000_000_000)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// An event from an address, from one time to another in microseconds.
fn event(last: u8, from: i64, until: i64) -> AuditedRefusal {
    let address = Some(address(last));
    AuditedRefusal { address, received: wall(from), answered: wall(until) }
}

fn line(micros: i64) -> (Wall, RefusalReason) {
    (wall(micros), RefusalReason::Expired)
}

fn timed(lines: &[i64], events: &[AuditedRefusal]) -> TimedRefusals {
    let logged = lines.iter().map(|micros| line(*micros)).collect();
    TimedRefusals { logged, audited: events.to_vec(), unlisted: None }
}

/// The addresses that are joined when all of this was read at once.
fn joined(timed: TimedRefusals) -> Vec<IpAddr> {
    let mut joins = Joins::default();
    joins.take(timed, at(0));
    assert_eq!(joins.settle(at(39)), []);
    joins.settle(at(40)).into_iter().map(|joined| joined.address).collect()
}

#[test]
fn a_line_is_joined_with_the_only_event_around_it() {
    let one = |last| vec![address(last)];
    let table: [(&[i64], &[AuditedRefusal], Vec<IpAddr>); 10] = [
        (&[150], &[event(1, 100, 400)], one(1)),
        (&[150, 9_150], &[event(1, 100, 400), event(2, 9_100, 9_400)], [one(1), one(2)].concat()),
        (&[98, 402], &[event(1, 100, 400)], vec![]),
        (&[98], &[event(1, 100, 400)], one(1)), // the fraction of a floating-point number
        (&[97], &[event(1, 100, 400)], vec![]),
        (&[150, 151], &[event(1, 100, 400)], vec![]),
        (&[150, 150], &[event(1, 100, 400)], vec![]), // a log that was read twice
        (&[150], &[event(1, 100, 400), event(2, 140, 160)], vec![]),
        (&[150], &[event(1, 100, 400), event(1, 100, 400)], vec![]),
        (&[150], &[event(1, 400, 100)], vec![]), // the clock was set back
    ];
    for (lines, events, expected) in table {
        assert_eq!(joined(timed(lines, events)), expected, "{lines:?} {events:?}");
    }
    let nobody = AuditedRefusal { address: None, ..event(1, 140, 160) };
    let two = timed(&[150], &[event(1, 100, 400), nobody]);
    assert!(joined(two).is_empty(), "it may be somebody else's");
    let certificate = TimedRefusals {
        logged: vec![(wall(150), RefusalReason::Certificate)],
        ..timed(&[], &[event(1, 100, 400)])
    };
    assert!(joined(certificate).is_empty(), "no token");
}

/// What is not listed may be in the way.
#[test]
fn nothing_is_joined_at_the_time_of_what_is_not_listed() {
    for (from, until, expected) in
        [(0, 97, 1), (0, 98, 0), (200, 200, 0), (402, 900, 0), (403, 900, 1)]
    {
        let unlisted = Some((wall(from), wall(until)));
        let timed = TimedRefusals { unlisted, ..timed(&[150], &[event(1, 100, 400)]) };
        assert_eq!(joined(timed).len(), expected, "{from} {until}");
    }
}

#[test]
fn both_logs_may_come_late_and_in_any_order() {
    for (line_at, event_at) in [(0, 0), (0, 39), (39, 0), (0, 60)] {
        let mut joins = Joins::default();
        let mut all = Vec::new();
        for second in 0..200 {
            if second == line_at {
                joins.take(timed(&[150], &[]), at(second));
            }
            if second == event_at {
                joins.take(timed(&[], &[event(1, 100, 400)]), at(second));
                assert_eq!(joins.next(), Some(at(second + 40)));
            }
            all.extend(joins.settle(at(second)));
        }
        let expected = vec![Joined {
            address: address(1),
            reason: RefusalReason::Expired,
            seen: at(event_at),
        }];
        assert_eq!(all, if event_at == 60 { vec![] } else { expected }, "{line_at} {event_at}");
        assert_eq!(joins.next(), None);
    }
}

#[test]
fn more_than_fit_are_left_out_and_join_nothing() {
    let mut joins = Joins::default();
    for second in 0..30 {
        let lines: Vec<i64> = (0..100).map(|nth| second * 1_000_000 + nth * 1_000 + 50).collect();
        let events: Vec<AuditedRefusal> =
            lines.iter().map(|micros| event(1, micros - 20, micros + 20)).collect();
        joins.take(timed(&lines, &events), at(second));
    }
    let all: Vec<Joined> = (30..200).flat_map(|second| joins.settle(at(second))).collect();
    assert_eq!(all.len(), 1_024, "those before the first that did not fit");
    joins.take(timed(&[900_000_150], &[event(1, 900_000_100, 900_000_400)]), at(900));
    assert_eq!(joins.settle(at(940)).len(), 1, "and then it goes on");
}

proptest! {
    /// Whatever the order and the parts in which they are read, what is joined is what is certain:
    /// one line in one event, and one event around one line.
    #[test]
    fn no_two_candidates_are_ever_joined(
        lines in vec(0..400i64, 0..12),
        events in vec((1..5u8, 0..400i64, -20..60i64), 0..12),
        delays in vec(0..39i64, 24),
        order in any::<u64>(),
    ) {
        let event_of = |(last, from, takes): &(u8, i64, i64)| {
            event(*last, from * 5, (from + takes) * 5)
        };
        let events: Vec<AuditedRefusal> = events.iter().map(event_of).collect();
        let lines: Vec<i64> = lines.iter().map(|at| at * 5).collect();
        let mut joins = Joins::default();
        let mut all = Vec::new();
        for second in 0..200 {
            let is_now = |nth: usize| delays[nth % 24] == second;
            let mut now = timed(&[], &[]);
            for (nth, micros) in lines.iter().enumerate().filter(|(nth, _)| is_now(*nth)) {
                let place = usize::try_from(order % (nth as u64 + 1)).unwrap_or(0);
                now.logged.insert(place.min(now.logged.len()), line(*micros));
            }
            let audited = events.iter().enumerate().filter(|(nth, _)| is_now(nth + 12));
            now.audited.extend(audited.map(|(_, event)| event.clone()));
            joins.take(now, at(second));
            all.extend(joins.settle(at(second)).into_iter().map(|joined| joined.address));
        }
        let has = |event: &AuditedRefusal, micros: i64| {
            let slack = Delta::from_nanos(2_000);
            event.received - slack <= wall(micros) && wall(micros) <= event.answered + slack
        };
        let certain = events.iter().filter(|event| {
            let inside: Vec<i64> =
                lines.iter().copied().filter(|micros| has(event, *micros)).collect();
            let around = |micros| events.iter().filter(|event| has(event, micros)).count();
            inside.len() == 1 && around(inside[0]) == 1
        });
        let mut expected: Vec<IpAddr> = certain.filter_map(|event| event.address).collect();
        all.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(all, expected);
    }

    /// With any delay, a line gives its reason to one event at most.
    #[test]
    fn a_line_is_joined_once(delays in vec(0..300i64, 1..20)) {
        let mut joins = Joins::default();
        joins.take(timed(&[150], &[]), at(0));
        let mut count = 0;
        for second in 0..500 {
            for _ in delays.iter().filter(|delay| **delay == second) {
                joins.take(timed(&[], &[event(1, 100, 400)]), at(second));
            }
            count += joins.settle(at(second)).len();
        }
        prop_assert!(count <= 1, "{}", count);
    }
}
