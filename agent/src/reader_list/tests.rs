use std::path::Path;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::readers::{Habit, ReaderVerdict};

use super::sample::{healthy, stale, unknown};
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::findings::{Finding, Remedy, Severity, Subject};

use super::*;
use crate::sinks::http::sample::{NOW, empty, token};

fn list(readers: Vec<ReaderView>) -> ReaderList {
    ReaderList::of(&Status { readers, ..empty() }, &[], None)
}

#[test]
fn a_list_survives_the_way_to_the_command() {
    let (cart, pay) = (token("cart-0", 600), token("pay-0", 30));
    let readers = vec![healthy(&cart, NOW.wall), stale(&pay, NOW.wall), unknown(&pay, NOW.wall)];
    let status = Status { tokens: vec![cart, pay], readers, ..empty() };
    let sent = ReaderList::of(&status, &[Path::new("/k").into()], None);
    let received: ReaderList = serde_json::from_str(&sent.to_json()).unwrap();
    assert_eq!(received, sent);
    assert_eq!((sent.tokens, sent.readers.len(), sent.stale().count()), (2, 3, 1));
    assert_eq!(received.readers[0].pod.shown(), "shop/pay-0", "stale readers are first");
}

#[test]
fn one_pod_can_be_asked_for() {
    let (cart, pay) = (token("cart-0", 600), token("pay-0", 30));
    let readers = vec![healthy(&cart, NOW.wall), stale(&pay, NOW.wall)];
    let status = Status { tokens: vec![cart, pay], readers, ..empty() };
    for (text, expected) in [("cart-0", 1), ("shop/cart-0", 1), ("uid-cart-0", 1), ("other", 0)] {
        let pod: PodName = text.parse().unwrap();
        let list = ReaderList::of(&status, &[], Some(&pod));
        assert_eq!((list.tokens, list.readers.len()), (expected, expected), "{text}");
    }
}

#[test]
fn a_list_is_bounded_and_keeps_the_stale_ones() {
    let token = token("cart-0", 600);
    let mut readers = vec![healthy(&token, NOW.wall); MOST + 5];
    readers.push(stale(&token, NOW.wall));
    let list = list(readers);
    assert_eq!((list.readers.len(), list.left_out), (MOST, 6));
    assert_eq!(list.stale().count(), 1);
}

#[test]
fn no_pod_takes_the_rows_of_the_others() {
    let (hog, other) = (token("hog-0", 600), token("cart-0", 600));
    let mut readers = vec![stale(&hog, NOW.wall); MOST + 5];
    readers.extend(vec![healthy(&other, NOW.wall); 3]);
    let list = list(readers);
    let of_other = list.readers.iter().filter(|reader| reader.pod.shown() == "shop/cart-0");
    assert_eq!((of_other.count(), list.readers.len(), list.left_out), (3, MOST, 8));
    let rows = |pod: &str, count| {
        let row = |nth| ((pod.to_owned(), nth), Some("shop".to_owned()));
        (0..count).map(row).collect::<Vec<_>>()
    };
    let (rows, left_out) =
        shared([rows("hog", 90), rows("p", 5)].concat(), 50, |((pod, _), of)| (of, pod));
    assert_eq!((rows.len(), left_out), (50, 45));
    assert_eq!(rows[44].0, ("hog".to_owned(), 44), "the first ones stay, in their order");
}

#[test]
fn names_from_outside_are_escaped() {
    let mut view = stale(&token("cart-0", 600), NOW.wall);
    let hostile = "a\u{1b}[31m\n\u{202e}";
    view.who.container = Some(hostile.into());
    view.who.program = Some(hostile.into());
    view.key.volume = hostile.into();
    view.why = Some(hostile.into());
    let text = list(vec![view]).to_json();
    assert!(!text.contains(['\u{1b}', '\u{202e}']) && !text.contains("\\u001b"), "{text}");
}

#[test]
fn every_habit_has_words_that_fit_into_the_table() {
    let time = Delta::from_secs(3_600);
    let table = [
        (Habit::Unknown, "not known"),
        (Habit::Never, "never"),
        (Habit::EachRequest, "each request"),
        (Habit::Every { period: Delta::from_secs(60) }, "every 1m 00s"),
        (Habit::OnChange, "each new token"),
        (Habit::Once, "once"),
        (Habit::AfterRefusal, "after a 401"),
        (Habit::BeforeExpiry { window: time }, "1h 00m before end"),
        (Habit::Exchange, "each exchange"),
    ];
    for (habit, expected) in table {
        let words = ReadingHabit::of(habit).words();
        assert_eq!(words, expected, "{habit:?}");
        assert!(words.len() <= 17, "{words}");
    }
    let newer = ReadingHabit { name: "when_it_likes".into(), period: None, window: None };
    assert_eq!(newer.words(), "when it likes");
}

#[test]
fn only_the_verdict_stale_is_stale() {
    for verdict in ReaderVerdict::ALL {
        let view = ReaderView { verdict, ..healthy(&token("cart-0", 600), NOW.wall) };
        assert_eq!(Reader::of(&view).is_stale(), verdict == ReaderVerdict::Stale);
    }
}

#[test]
fn the_token_of_a_reader_is_marked_as_extended_and_as_mounted_by_subpath() {
    let (mut long, plain) = (token("cart-0", 600), token("pay-0", 600));
    long.claims.warn_after = Some(long.claims.issued_at);
    let finding = Finding {
        code: Code::Subpath,
        severity: Severity::Warning,
        subject: Subject::token(&plain.key, plain.pod.clone()),
        summary: String::new(),
        deadline: None,
        evidence: Attributes::new(),
        remedy: Remedy { text: String::new(), command: None },
        trace: None,
    };
    let readers = vec![healthy(&long, NOW.wall), healthy(&plain, NOW.wall)];
    let findings = vec![(finding, NOW.wall)];
    let status = Status { tokens: vec![long, plain], readers, findings, ..empty() };
    let list = ReaderList::of(&status, &[], None);
    let marks = list.readers.iter().map(|reader| (reader.token_is_extended, reader.is_subpath));
    assert_eq!(marks.collect::<Vec<_>>(), [(true, false), (false, true)]);
}
