use tokenwatch_core::base::time::{Monotonic, Wall};
use tokenwatch_core::findings::{Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_otlp::logs::encode;

use super::super::entry::MOST_REFUSALS;
use super::super::tests::sample::alert;
use super::*;

fn at(secs: i64) -> Reading {
    Reading { wall: Wall::from_secs(secs), monotonic: Monotonic::from_nanos(secs * 1_000_000_000) }
}

/// With room for so many of the sample.
fn queue(entries: usize) -> Queue {
    let alert = alert("a", AlertEvent::Raised, Severity::Critical);
    let record = encode(&alert, Wall::from_secs(1));
    let sample = Entry::new(Class::of(&alert), 0, at(1), record, Some(About::of(&alert))).bytes();
    Queue::new(entries * sample + sample / 2)
}

fn push(queue: &mut Queue, id: &str, event: AlertEvent, severity: Severity, secs: i64) -> u64 {
    push_of(queue, "uid-1", alert(id, event, severity), secs)
}

fn push_of(queue: &mut Queue, pod: &str, mut alert: Alert, secs: i64) -> u64 {
    if let Subject::Token { pod: of, .. } =
        &mut std::sync::Arc::make_mut(&mut alert.finding).subject
    {
        of.uid = pod.to_owned();
    }
    let record = encode(&alert, Wall::from_secs(secs));
    queue.push_alert(Class::of(&alert), record, About::of(&alert), at(secs))
}

fn ids(batch: &[Entry]) -> Vec<i64> {
    batch.iter().map(|entry| entry.since.wall.as_secs()).collect()
}

/// Sends so many, which the collector accepts.
fn accept(queue: &mut Queue, most: usize) -> Vec<i64> {
    let batch = queue.start(most);
    queue.settle(&batch, Settled::Accepted);
    ids(&batch)
}

#[test]
fn reminders_go_first_then_info_then_the_oldest() {
    let mut queue = queue(4);
    push(&mut queue, "a", AlertEvent::Raised, Severity::Critical, 1);
    push(&mut queue, "b", AlertEvent::Raised, Severity::Info, 2);
    push(&mut queue, "c", AlertEvent::Reminded, Severity::Critical, 3);
    push(&mut queue, "d", AlertEvent::Raised, Severity::Warning, 4);
    let mut given_up = 0;
    for secs in 5..8 {
        given_up += push(&mut queue, "e", AlertEvent::Cleared, Severity::Warning, secs);
    }
    assert_eq!(given_up, 3);
    assert_eq!(ids(&queue.start(9)), [4, 5, 6, 7]);
}

#[test]
fn a_pod_without_measure_loses_of_its_own_and_is_reported_when_there_is_room() {
    let mut queue = queue(20);
    for pod in 0..10 {
        let id = format!("honest-{pod}");
        push_of(&mut queue, &id, alert(&id, AlertEvent::Raised, Severity::Info), 1);
    }
    let mut given_up = 0;
    for number in 0..1_000 {
        let raised = alert(&format!("crowd-{number:04}"), AlertEvent::Raised, Severity::Critical);
        given_up += push_of(&mut queue, "crowd", raised, 2);
    }
    let is_honest = |entry: &&Entry| entry.about().unwrap().id.0.starts_with("honest");
    let batch = queue.start(512);
    assert_eq!(
        (batch.iter().filter(is_honest).count(), batch.len() as u64 + given_up),
        (10, 1_010)
    );
    assert_eq!(queue.owed().len(), 1_010, "in flight, and given up");
    queue.settle(&batch, Settled::Accepted);
    assert_eq!(queue.owed().len() as u64, given_up);
    let again = queue.losses.asked().clone();
    assert_eq!((again.round, again.raised.len(), again.reminded.len()), (1, 128, 0));
    let raised = alert(&again.raised[0], AlertEvent::Raised, Severity::Critical);
    push_of(&mut queue, "crowd", raised, 3);
    accept(&mut queue, 1);
    assert_eq!(queue.owed().len() as u64, given_up - 1, "accepted");
}

#[test]
fn records_in_flight_still_wait_until_they_are_settled() {
    let mut queue = queue(8);
    for secs in 1..=3 {
        push(&mut queue, "a", AlertEvent::Raised, Severity::Warning, secs);
    }
    let batch = queue.start(2);
    assert_eq!((queue.len(), queue.waiting_since()), (3, Some(at(1))));
    assert_eq!(queue.put_back(batch), 0);
    assert_eq!(accept(&mut queue, 2), [1, 2]);
    assert_eq!((queue.len(), queue.waiting_since()), (1, Some(at(3))));
}

#[test]
fn a_record_that_is_refused_alone_lets_the_others_pass() {
    let mut queue = queue(8);
    push(&mut queue, "bad", AlertEvent::Raised, Severity::Critical, 1);
    push(&mut queue, "good", AlertEvent::Raised, Severity::Critical, 2);
    let bad = queue.start(1);
    queue.isolate(bad, 0);
    assert_eq!(accept(&mut queue, 8), [2]);
    assert_eq!(ids(&queue.start(8)), [1]);
}

#[test]
fn one_that_is_refused_while_others_are_accepted_is_hopeless_and_so_is_one_refused_for_hours() {
    let mut queue = queue(8);
    push(&mut queue, "bad", AlertEvent::Raised, Severity::Critical, 1);
    let refuse = |queue: &mut Queue, accepted| {
        let batch = queue.start(1);
        let hopeless = batch[0].is_hopeless(accepted);
        queue.isolate(batch, accepted);
        hopeless
    };
    assert!(!refuse(&mut queue, 5), "the first time the cause may be anything");
    assert!(!refuse(&mut queue, 5), "nothing was accepted since");
    assert!(refuse(&mut queue, 6), "others were accepted since");
    assert!(!(0..MOST_REFUSALS - 3).any(|_| refuse(&mut queue, 5)));
    assert!(refuse(&mut queue, 5), "not for ever");
}

#[test]
fn a_request_stays_far_below_the_limit_of_servers() {
    let mut queue = Queue::new(64 << 20);
    for number in 0..40 {
        queue.push(Class::Ordinary, vec![0; 100_000], at(number));
    }
    let batch = queue.start(512);
    let bytes: usize = batch.iter().map(Entry::bytes).sum();
    assert!(
        batch.len() > 5 && bytes < 2 * LARGEST_REQUEST,
        "{} records, {bytes} bytes",
        batch.len()
    );
}

#[test]
fn a_hundred_thousand_alerts_stay_within_the_bound_and_every_loss_is_counted() {
    const BOUND: usize = 4 << 20;
    let mut queue = Queue::new(BOUND);
    let mut given_up = 0;
    for number in 0..100_000 {
        let event = [AlertEvent::Raised, AlertEvent::Reminded, AlertEvent::Cleared][number % 3];
        given_up += push(&mut queue, &format!("{number:016x}"), event, Severity::Warning, 1);
    }
    assert!(
        queue.bytes <= BOUND && queue.bytes > BOUND - 4_096,
        "{} alerts, {} bytes",
        queue.len(),
        queue.bytes
    );
    assert_eq!(queue.len() as u64 + given_up, 100_000);
    assert_eq!(queue.classes.iter().flatten().map(Entry::bytes).sum::<usize>(), queue.bytes);
}

/// A warning about finding `a`, and so in the class of its event.
fn push_a(queue: &mut Queue, event: AlertEvent) {
    push(queue, "a", event, Severity::Warning, 1);
}

/// What waits about finding `a`, in order: each event as it is to a collector that gets them all.
fn waiting(queue: &Queue) -> Vec<AlertEvent> {
    let mut waiting: Vec<&Entry> = queue.classes.iter().flatten().collect();
    waiting.sort_by_key(|entry| entry.number);
    waiting.iter().map(|entry| entry.about().unwrap().event).collect()
}

fn is_owed(queue: &Queue) -> bool {
    !queue.owed().is_empty()
}

#[test]
fn the_next_alert_about_a_finding_takes_the_place_of_one_that_is_given_up() {
    use AlertEvent::{Cleared, Raised, Reminded};
    // (what is pushed, how many are given up, what waits then, whether it is owed at the end)
    type Case = (&'static [AlertEvent], usize, &'static [AlertEvent], bool);
    let table: [Case; 11] = [
        (&[Reminded, Cleared], 1, &[Cleared], false),
        (&[Raised, Cleared], 1, &[], false),
        (&[Raised, Reminded, Cleared], 1, &[Raised, Cleared], false),
        (&[Raised, Reminded, Cleared], 2, &[], false),
        (&[Cleared, Raised, Cleared], 1, &[Cleared], false),
        (&[Cleared, Raised], 1, &[Cleared], true),
        (&[Cleared, Raised], 2, &[], true),
        (&[Raised, Cleared, Raised], 1, &[Raised], false),
        (&[Raised, Reminded], 2, &[], true),
        (&[Reminded, Cleared], 2, &[], true),
        (&[Reminded, Reminded, Reminded], 2, &[Reminded], false),
    ];
    for (pushed, given_up, left, is_lost) in table {
        let mut queue = queue(9);
        for event in pushed {
            push_a(&mut queue, *event);
        }
        assert!((0..given_up).all(|_| queue.give_one_up()), "{pushed:?}");
        assert_eq!(waiting(&queue), left, "{pushed:?}");
        let bytes: usize = queue.classes.iter().flatten().map(Entry::bytes).sum();
        assert_eq!((queue.bytes, queue.alerts.0.is_empty()), (bytes, left.is_empty()));
        while !queue.is_empty() {
            accept(&mut queue, 1);
        }
        assert_eq!(is_owed(&queue), is_lost, "{pushed:?}, {given_up} given up");
    }
}

#[test]
fn a_collector_that_has_a_finding_gets_its_end_whatever_was_lost_in_between() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let mut queue = queue(9);
    push_a(&mut queue, Raised);
    accept(&mut queue, 1);
    for (pushed, waits) in [(Cleared, Cleared), (Raised, Reminded), (Cleared, Cleared)] {
        push_a(&mut queue, pushed);
        assert_eq!(waiting(&queue), [waits]);
        assert!(queue.give_one_up());
    }
    assert!(is_owed(&queue), "so the state file keeps it, and the next agent reports the end");
}

/// A queue whose only alert, a cleared one, is in flight, while the raised one before it is lost.
fn in_flight_after_a_loss() -> (Queue, Vec<Entry>) {
    let mut queue = queue(9);
    push_a(&mut queue, AlertEvent::Raised);
    let refused = queue.start(1);
    queue.isolate(refused, 0);
    push_a(&mut queue, AlertEvent::Cleared);
    let later = queue.start(1);
    assert!(queue.give_one_up(), "the one that was refused");
    (queue, later)
}

#[test]
fn what_is_accepted_settles_what_was_lost_before_it() {
    // (what becomes of the later one, whether the finding is owed then)
    for (settled, is_lost) in
        [(Settled::Accepted, false), (Settled::Refused, false), (Settled::Partly, true)]
    {
        let (mut queue, later) = in_flight_after_a_loss();
        assert_eq!(queue.settle(&later, settled), 0);
        assert_eq!((is_owed(&queue), queue.len()), (is_lost, 0), "{settled:?}");
    }
    let (mut queue, later) = in_flight_after_a_loss();
    assert_eq!(queue.put_back(later), 0);
    assert_eq!((is_owed(&queue), queue.len(), queue.bytes), (false, 0, 0), "nobody got it");
}

#[test]
fn a_later_alert_that_is_accepted_ends_the_tries_of_one_that_was_refused() {
    let mut queue = queue(9);
    push_a(&mut queue, AlertEvent::Raised);
    push(&mut queue, "b", AlertEvent::Raised, Severity::Warning, 2);
    let refused = queue.start(2);
    queue.isolate(refused, 0);
    push(&mut queue, "a", AlertEvent::Cleared, Severity::Warning, 3);
    let batch = queue.start(9);
    assert_eq!((ids(&batch), queue.settle(&batch, Settled::Accepted)), (vec![3], 1));
    assert_eq!(accept(&mut queue, 9), [2]);
    assert_eq!((is_owed(&queue), queue.bytes, queue.alerts.0.len()), (false, 0, 0));
}

/// The specification does not tell which records of a batch a collector rejected.
#[test]
fn all_of_a_batch_is_owed_if_the_collector_rejected_some() {
    use AlertEvent::{Cleared, Raised, Reminded};
    // (what becomes of the batch, which of its findings are owed)
    let table: [(Settled, &[&str]); 3] = [
        (Settled::Accepted, &[]),
        (Settled::Partly, &["cleared", "raised", "reminded"]),
        (Settled::Refused, &["raised", "reminded"]),
    ];
    for (settled, owed) in table {
        let mut queue = queue(9);
        for (id, event) in [("raised", Raised), ("reminded", Reminded), ("cleared", Cleared)] {
            push(&mut queue, id, event, Severity::Warning, 1);
        }
        let batch = queue.start(9);
        queue.settle(&batch, settled);
        let now: Vec<String> = queue.owed().into_iter().map(|id| id.0).collect();
        assert_eq!(now, owed, "{settled:?}");
        assert_eq!((queue.len(), queue.losses.asked().round), (0, 0), "not sent again by this one");
        // What comes later is sent, and settles it.
        push(&mut queue, "reminded", Reminded, Severity::Warning, 2);
        push(&mut queue, "cleared", Raised, Severity::Warning, 2);
        push(&mut queue, "raised", Cleared, Severity::Warning, 2);
        accept(&mut queue, 9);
        assert!(!is_owed(&queue), "{settled:?}");
    }
}

#[test]
fn what_was_given_up_is_asked_for_when_the_last_that_waits_is_accepted_or_refused() {
    // (what becomes of the first, and of the last that waits, the round then)
    let table = [
        (Settled::Accepted, Settled::Accepted, 1),
        (Settled::Accepted, Settled::Refused, 1),
        (Settled::Partly, Settled::Refused, 1),
        (Settled::Refused, Settled::Partly, 1),
        (Settled::Refused, Settled::Refused, 0), // the collector takes nothing
    ];
    for (first, last, round) in table {
        let mut queue = queue(9);
        for id in ["lost", "first", "last"] {
            push(&mut queue, id, AlertEvent::Raised, Severity::Warning, 1);
        }
        assert!(queue.give_one_up());
        for settled in [first, last] {
            assert_eq!(queue.losses.asked().round, 0, "something waits");
            let batch = queue.start(1);
            queue.settle(&batch, settled);
        }
        assert_eq!(queue.losses.asked().round, round, "{first:?}, {last:?}");
    }
}
