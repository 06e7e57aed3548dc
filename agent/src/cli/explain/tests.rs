//! Tokens of known ages at a fixed moment, as `explain` shows them.

use super::*;
use crate::cli::tests::{claims, clock, golden, kernel};
use std::io;

fn explained(age: i64, lifetime: i64, warn_after: Option<i64>) -> Explained {
    explain_by(
        ReadFrom::default(),
        claims("cart-0", age, lifetime, warn_after),
        KubeletPolicy::default(),
        clock(Ok(kernel())),
    )
}

#[test]
fn a_token_is_shown_with_its_deadlines() {
    golden("explain-fresh.txt", &render::text(&explained(1_000, 3_600, None), Layout::plain()));
    golden(
        "explain-extended-stale.txt",
        &render::text(&explained(5_000, 31_536_000, Some(3_607)), Layout::plain()),
    );
    golden(
        "explain-long-lived.txt",
        &render::text(&explained(1_000, 604_800, None), Layout::plain()),
    );
    golden("explain-fresh.json", &format!("{:#}\n", render::json(&explained(1_000, 3_600, None))));
}

#[test]
fn the_exit_status_depends_on_whether_the_token_works() {
    let table = [
        (1_000, 3_600, None, 0),
        (2_900, 3_600, None, 0), // late, and alive
        (3_599, 3_600, None, 0),
        (3_601, 3_600, None, 1),             // within the leeway: uncertain
        (3_700, 3_600, None, 1),             // dead
        (5_000, 31_536_000, Some(3_607), 1), // stale
        (-30, 3_600, None, 1),               // not yet valid
    ];
    for (age, lifetime, warn_after, status) in table {
        assert_eq!(explained(age, lifetime, warn_after).exit_code(), status, "age {age}");
    }
}

#[test]
fn without_a_time_source_the_verdict_is_uncertain_near_a_deadline() {
    let explained = explain_by(
        ReadFrom::default(),
        claims("cart-0", 100, 3_600, None),
        KubeletPolicy::default(),
        clock(Err(io::Error::other("EPERM").into())),
    );
    assert_eq!(explained.verdict, Verdict::Uncertain);
    let text = render::text(&explained, Layout::plain());
    assert!(text.contains("no source confirms the clock") && text.contains("5m 00s"), "{text}");
}

#[test]
fn an_uncertain_verdict_names_the_end_of_the_lifetime_in_doubt() {
    let text = |age, lifetime| {
        let doubtful = explain_by(
            ReadFrom::default(),
            claims("cart-0", age, lifetime, None),
            KubeletPolicy::default(),
            clock(Err(io::Error::other("EPERM").into())),
        );
        render::text(&doubtful, Layout::plain())
    };
    for (age, lifetime, doubt) in [
        (100, 3_600, "may not be valid yet"),
        (3_500, 3_600, "may have expired"),
        (100, 300, "longer than its lifetime"),
    ] {
        assert!(
            text(age, lifetime).contains(doubt),
            "{age} of {lifetime}: {}",
            text(age, lifetime)
        );
    }
}

#[test]
fn claims_cannot_steer_a_terminal() {
    let mut hostile = claims("\u{1b}[2J", 1_000, 3_600, None);
    hostile.issuer = "\u{1b}]0;x\u{7}".into();
    hostile.audiences = vec!["\u{202e}".into()];
    hostile.key.id = Some("\r\n".into());
    let text = render::text(
        &explain_by(ReadFrom::default(), hostile, KubeletPolicy::default(), clock(Ok(kernel()))),
        Layout::plain(),
    );
    assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')));
}
