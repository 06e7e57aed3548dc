//! One node, every way out: `run` on standard output, the status page, `/metrics`, Events, `check`
//! as table and JSON, and `explain` report the same codes, severities and verdicts.
//!
//! A new situation is a row of [`situations`]. The commands that read only the configuration are
//! compared as well: what `run` refuses, `config` and `check` refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod agent;
#[path = "../support/api_server.rs"]
mod api_server;
mod commands;
mod keeper;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "../support/running.rs"]
mod running;
mod situations;
#[allow(dead_code)]
#[path = "../support/web.rs"]
mod web;

use std::collections::BTreeMap;

use agent::Seen;
use situations::{Scene, Situation, situations};

/// The findings at warning or above, by code and severity, with their numbers.
pub(crate) type Findings = BTreeMap<(String, String), u64>;

/// Every difference between the ways out in one situation.
fn differences(situation: &Situation) -> Vec<String> {
    let scene = Scene::set(situation);
    let expected = situation.findings();
    let seen = Seen::of(&scene, situation, &expected);
    let mut found = Vec::new();
    let mut compare = |way: &str, findings: &Findings| {
        if *findings != expected {
            found.push(format!("{}: {way}: {findings:?}, not {expected:?}", situation.name));
        }
    };
    compare("run", &seen.printed);
    compare("/metrics", &seen.metrics);
    compare("the page", &seen.page);
    if !situation.is_only_seen_by_run() {
        compare("check --output json", &seen.check_json);
        compare("check", &seen.check_table);
    }
    if situation.is_about_pod() {
        compare("explain --why", &seen.why);
    }
    if let Some(events) = &seen.events {
        compare("Events", events);
    }
    if situation.is_kept {
        found.extend(seen.readers.differences());
    }
    let is_only_run = situation.is_only_seen_by_run();
    if !expected.is_empty() && !is_only_run && seen.check_status != Some(1) {
        found.push(format!("{}: check: exit status {:?}", situation.name, seen.check_status));
    }
    let is_bad = !expected.is_empty() || situation.verdict.is_some_and(|verdict| verdict != "live");
    if situation.is_about_pod() && seen.why_status != Some(i32::from(is_bad)) {
        found.push(format!("{}: --why: exit status {:?}", situation.name, seen.why_status));
    }
    let verdicts = [
        ("page", &seen.page_verdict, situation.verdict),
        ("check", &seen.check_verdict, situation.verdict),
        ("explain", &seen.explain_verdict, situation.explained),
    ];
    for (way, verdict, expected) in verdicts {
        if verdict.as_deref() != expected {
            let name = situation.name;
            found.push(format!("{name}: {way}: verdict {verdict:?}, not {expected:?}"));
        }
    }
    for text in situation.words {
        let ways = [("run", &seen.out), ("check", &seen.table), ("page", &seen.html)];
        // Only who watches knows readers, and what the API server refuses.
        for (way, texts) in ways.into_iter().filter(|(way, _)| !is_only_run || *way != "check") {
            // A table wraps its lines.
            let words = texts.split_whitespace().collect::<Vec<_>>().join(" ");
            if !words.contains(text) {
                found.push(format!("{}: {way} lacks {text:?}: {words}", situation.name));
            }
        }
    }
    found
}

#[test]
fn every_way_out_reports_the_same() {
    let situations = situations();
    let found: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = situations
            .iter()
            .map(|situation| scope.spawn(move || differences(situation)))
            .collect();
        running.into_iter().flat_map(|one| one.join().expect("no panic")).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}
