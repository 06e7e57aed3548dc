//! The public incidents with service account tokens, each kind as a scenario: what the agent
//! observes, what really happens, and what the agent must report, and when.
//!
//! `docs/incidents.md` is the scoreboard. `UPDATE_GOLDEN=1` writes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![allow(clippy::disallowed_methods)] // it starts a program, and reads where the repository is

mod accounts;
mod board;
mod clocks;
mod cluster;
mod copies;
mod files;
mod keys;
mod lookalikes;
mod node;
mod play;
mod public;
mod readers;
mod rotation;
mod scenario;
mod specs;
mod timeline;
mod truth;

use std::path::Path;
use std::process::{Command, Stdio};

use board::Board;
use scenario::{Scenario, Trial};
use tokenwatch_core::ledger::AlertEvent;
use tokenwatch_core::replay::written;

/// Every scenario, by class.
fn scenarios() -> Vec<&'static Scenario> {
    let all = [
        readers::SCENARIOS,
        copies::SCENARIOS,
        rotation::SCENARIOS,
        clocks::SCENARIOS,
        keys::SCENARIOS,
        accounts::SCENARIOS,
        files::SCENARIOS,
        lookalikes::SCENARIOS,
    ];
    all.into_iter().flatten().collect()
}

/// Plays every scenario, on several processors. Prints how long each one takes.
fn trials() -> Vec<Trial> {
    let all = scenarios();
    let mut results: Vec<Trial> = std::thread::scope(|scope| {
        let start = |part| scope.spawn(move || every_fourth(part));
        let parts: Vec<_> = (0..PARTS).map(start).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    results.sort_by_key(|result| all.iter().position(|one| one.id == result.scenario.id));
    for result in &results {
        let (entries, took) = (result.played.entries.len(), result.took.as_millis());
        println!("{}: {entries} entries in {took} ms", result.scenario.id);
    }
    results
}

/// How many scenarios are played at the same time: more processors would be idle, because one
/// scenario takes a tenth of the whole time.
const PARTS: usize = 4;

fn every_fourth(part: usize) -> Vec<Trial> {
    scenarios().into_iter().skip(part).step_by(PARTS).map(Trial::of).collect()
}

#[test]
fn every_scenario_ends_as_expected_and_the_scoreboard_states_it() {
    let results = trials();
    let mistakes: Vec<String> = results.iter().flat_map(Trial::mistakes).collect();
    assert!(mistakes.is_empty(), "{} mistakes:\n{}", mistakes.len(), mistakes.join("\n"));
    Board::new(&results).is_up_to_date();
}

#[test]
fn every_public_incident_has_its_place_once() {
    let mistakes = public::mistakes(&scenarios());
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// `tokenwatch replay` on the written recording must report what the scenario's engine reported.
#[test]
fn a_written_recording_of_a_scenario_replays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a-hour", "c-multus", "e-split", "f-key-hard", "j-healthy"] {
        let scenario = scenarios().into_iter().find(|one| one.id == id).unwrap();
        let result = Trial::of(scenario);
        let file = folder.path().join(format!("{id}.jsonl"));
        let played = &result.played;
        let lines = played.entries.iter().map(|entry| written(entry).unwrap());
        let lines: Vec<u8> =
            [written(&played.header).unwrap()].into_iter().chain(lines).flatten().collect();
        std::fs::write(&file, lines).unwrap();
        let expected: Vec<String> = played
            .reports
            .iter()
            .map(|one| format!("{} {} {}", event(one.event), one.code.as_str(), one.summary))
            .collect();
        assert_eq!(replayed(&file), expected, "{id}");
    }
}

/// The last part of the event's name, as in JSON.
fn event(event: AlertEvent) -> &'static str {
    event.name().rsplit('.').next().unwrap()
}

/// The alerts that `tokenwatch replay` shows.
fn replayed(file: &Path) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    command.arg("replay").arg(file).args(["--output", "json"]).env_clear().stdin(Stdio::null());
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code < 2), "{err}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |alert: &serde_json::Value, name: &str| alert[name].as_str().unwrap().to_owned();
    let of = |alert: &serde_json::Value| {
        ["event", "code", "summary"].map(|name| text(alert, name)).join(" ")
    };
    shown["alerts"].as_array().unwrap().iter().map(of).collect()
}
