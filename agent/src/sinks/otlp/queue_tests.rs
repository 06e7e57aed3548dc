use tokenwatch_core::time::{Boot, Wall};

use super::super::convert::log_record;
use super::super::tests::sample::alert;
use super::*;

fn at(secs: i64) -> Reading {
    Reading { wall: Wall::from_secs(secs), boot: Boot::from_nanos(secs * 1_000_000_000) }
}

fn queue(entries: usize) -> Queue {
    Queue::with_bounds(Bounds { entries, bytes: MOST_BYTES })
}

fn push(queue: &mut Queue, id: &str, event: AlertEvent, severity: Severity, secs: i64) -> u64 {
    let alert = alert(id, event, severity);
    queue.push(&alert, &log_record(&alert, Wall::from_secs(secs)), at(secs))
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
fn what_is_under_way_still_waits_until_it_is_settled() {
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
    queue.isolate(bad);
    assert_eq!(ids(&queue.start(8)), [2]);
    queue.settle();
    assert_eq!(ids(&queue.start(8)), [1]);
}

#[test]
fn a_hundred_thousand_alerts_stay_within_the_bound_and_every_loss_is_counted() {
    let mut queue = Queue::default();
    let mut given_up = 0;
    for number in 0..100_000 {
        let event = [AlertEvent::Raised, AlertEvent::Reminded, AlertEvent::Cleared][number % 3];
        given_up += push(&mut queue, &format!("{number:016x}"), event, Severity::Warning, 1);
    }
    assert!(queue.len() <= MOST && queue.bytes <= MOST_BYTES, "{} alerts, {} bytes", queue.len(), queue.bytes);
    assert_eq!(queue.len() as u64 + given_up, 100_000);
    let bytes: usize = queue.classes.iter().flatten().map(|entry| entry.record.len()).sum();
    assert_eq!(bytes, queue.bytes);
}
