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
    queue.settle();
    assert_eq!(queue.owed().len() as u64, given_up);
    queue.losses.ask();
    let again = queue.losses.asked().clone();
    assert_eq!((again.round, again.raised.len(), again.reminded.len()), (1, 128, 0));
    let raised = alert(&again.raised[0], AlertEvent::Raised, Severity::Critical);
    push_of(&mut queue, "crowd", raised, 3);
    queue.start(1);
    queue.settle();
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
    assert_eq!(ids(&queue.start(2)), [1, 2]);
    queue.settle();
    assert_eq!((queue.len(), queue.waiting_since()), (1, Some(at(3))));
}

#[test]
fn a_record_that_is_refused_alone_lets_the_others_pass() {
    let mut queue = queue(8);
    push(&mut queue, "bad", AlertEvent::Raised, Severity::Critical, 1);
    push(&mut queue, "good", AlertEvent::Raised, Severity::Critical, 2);
    let bad = queue.start(1);
    queue.isolate(bad, 0);
    assert_eq!(ids(&queue.start(8)), [2]);
    queue.settle();
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
