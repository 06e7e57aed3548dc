//! The report about an example node, as people and scripts see it.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::engine::Status;
use tokenwatch_core::world::cluster::Owner;
use tokenwatch_core::world::readers::{Habit, ReaderVerdict, ReaderView};

use super::*;
use crate::cli::readers::{Found, example};
use crate::cli::tests::golden;
use crate::reader_list::sample::{healthy, stale, unknown};
use crate::sinks::http::sample::{NOW, empty, token};

/// A reader whose token is extended, of a pod with this owner.
fn extended(view: ReaderView, owner: &str) -> ReaderView {
    let mut view = view;
    view.pod.owner = Some(Owner { kind: "Deployment".into(), name: owner.into() });
    if let Some(held) = &mut view.held {
        held.dead_without_extension = Some(held.issued_at + Delta::from_secs(3_667));
        held.dead_at = held.issued_at + Delta::from_secs(31_536_060);
    }
    view
}

/// Their tokens are extended where the pod is `blind-0`.
fn readers(views: Vec<ReaderView>) -> Found {
    let mut blind = token("blind-0", 600);
    blind.claims.warn_after = Some(blind.claims.issued_at + Delta::from_secs(3_607));
    example(&Status { readers: views, tokens: vec![blind], ..empty() })
}

fn found() -> Found {
    let token = |name: &str| token(name, 600);
    let (pay, cart) = (token("pay-0"), token("cart-0"));
    let stale = |pod: &str| extended(stale(&token(pod), NOW.wall), "pay");
    let of = |habit| ReaderView { habit, ..healthy(&cart, NOW.wall) };
    let extended_token = token("blind-0");
    readers(vec![
        stale("pay-0"),
        stale("pay-1"),
        extended(ReaderView { habit: Habit::Once, ..healthy(&pay, NOW.wall) }, "once"),
        extended(of(Habit::AfterRefusal), "lazy"),
        extended(of(Habit::Unknown), "new"),
        extended(of(Habit::EachRequest), "careful"),
        healthy(&cart, NOW.wall), // not extended
        ReaderView { verdict: ReaderVerdict::NeverRead, ..unknown(&cart, NOW.wall) },
        unknown(&extended_token, NOW.wall), // opened it before the agent came
    ])
}

#[test]
fn the_report_has_who_fails_first_and_counts_who_is_ready() {
    let found = found();
    let upgrade = Upgrade::of(found.list());
    let table = render::table(&upgrade, &found, Layout::plain());
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    golden("report-upgrade.txt", &table);
    golden("report-upgrade.json", &format!("{:#}\n", render::json(&upgrade, &found)));
    golden("report-upgrade.md", &render::markdown(&upgrade, &found));
    assert_eq!(upgrade.exit_code(), 1);
}

#[test]
fn the_exit_status_tells_whether_somebody_fails() {
    let (pay, at): (_, Wall) = (token("pay-0", 600), NOW.wall);
    let with = |habit| extended(ReaderView { habit, ..healthy(&pay, at) }, "pay");
    let table = [
        (vec![], 2), // there is a token, and nobody was seen
        (vec![unknown(&token("blind-0", 600), at)], 2),
        (vec![healthy(&pay, at)], 0),
        (vec![with(Habit::EachRequest)], 0),
        (vec![with(Habit::AfterRefusal)], 0),
        (vec![with(Habit::Unknown)], 2),
        (vec![with(Habit::Unknown), with(Habit::Once)], 1),
    ];
    for (views, expected) in table {
        let upgrade = Upgrade::of(readers(views.clone()).list());
        assert_eq!(upgrade.exit_code(), expected, "{views:?}");
    }
}

#[test]
fn names_from_outside_are_escaped() {
    let mut view = stale(&token("pay-0", 600), NOW.wall);
    view.who.container = Some("a|b\u{1b}[31m @all [x](http://e)".into());
    let found = readers(vec![extended(view, "x|\r\n# y")]);
    let upgrade = Upgrade::of(found.list());
    let markdown = render::markdown(&upgrade, &found);
    assert!(!markdown.contains('\u{1b}') && markdown.contains("a\\|b"), "{markdown}");
    assert!(!markdown.contains(" @all") && !markdown.contains("[x]"), "{markdown}");
    assert!(!markdown.contains("\n# y"), "{markdown}");
}
