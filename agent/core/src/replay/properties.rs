//! What holds of every recording.

#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::generators::{KINDS, START, config, kind, observation};
use super::*;
use crate::base::text::escaped;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::engine::{Config, Engine, Outcome, Report};
use crate::findings::{Code, Severity};
use crate::ledger::{AlertEvent, Restored, after};
use crate::world::observation::Observation;

type Run = Vec<(Reading, Observation)>;

/// An alert without the names in it.
type Essence = (AlertEvent, Code, Severity, Wall, Wall);

fn start() -> Reading {
    Reading { wall: Wall::from_secs(START), monotonic: Monotonic::from_nanos(1_000_000_000) }
}

/// Observations with the readings at which they are made: the monotonic clock only runs on, the
/// wall clock is set now and then.
fn run() -> impl Strategy<Value = Run> {
    let wait = prop_oneof![6 => 0..90_000i64, 1 => 0..7_200_000i64].prop_map(Delta::from_millis);
    let set = prop_oneof![9 => Just(0), 1 => -900..900i64].prop_map(Delta::from_secs);
    let moments = vec((wait, set), 0..40).prop_map(|waits| {
        waits
            .into_iter()
            .scan(start(), |now, (wait, set)| {
                *now = now.after(wait);
                now.wall = now.wall + set;
                Some(*now)
            })
            .collect::<Vec<_>>()
    });
    moments.prop_flat_map(|moments| {
        moments
            .into_iter()
            .map(|now| observation(now).prop_map(move |observation| (now, observation)).boxed())
            .collect::<Vec<_>>()
    })
}

/// A recording of the agent after one that saw `before`: what it was given, and what it answered.
fn record(config: &Config, before: Run, run: Run) -> (Vec<u8>, Vec<Outcome>) {
    let restored = left_by(config, before);
    let mut engine = Engine::new(config.clone());
    let mut file = written(&Header::new("0.1.0", config.clone())).unwrap();
    let mut put = |now, content| file.extend(written(&Entry { now, content }).unwrap());
    put(start(), Content::Restored(restored.clone()));
    let mut outcomes = vec![engine.restore(&start(), restored)];
    for (now, observation) in run {
        put(now, Content::Observation(observation.clone()));
        outcomes.push(engine.step(&now, observation));
    }
    put(start(), Content::Stopped);
    outcomes.push(Outcome { reports: engine.close(&start()), queries: vec![] });
    (file, outcomes)
}

/// What an agent leaves to the next one, as that reads it from the state file. Without findings
/// about files that do not parse, where a token was: their trace cannot be derived from pseudonyms
/// (`Pseudonyms::trace`).
fn left_by(config: &Config, run: Run) -> Vec<Restored> {
    let mut engine = Engine::new(config.clone());
    let mut left = std::collections::BTreeMap::new();
    for (now, observation) in run {
        for report in engine.step(&now, observation).reports {
            if let Report::Alert(alert) = report {
                let (id, one) = after(&alert);
                left.insert(id, one);
            }
        }
    }
    let is_of_a_generation = |one: &Restored| {
        one.finding.trace.is_none() || one.finding.evidence.get("generation").is_some()
    };
    let left: Vec<_> = left.into_values().flatten().filter(is_of_a_generation).collect();
    serde_json::from_slice(&serde_json::to_vec(&left).unwrap()).unwrap()
}

fn lines(file: &[u8]) -> Vec<Line> {
    let mut reader = Reader::new();
    let read = file
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| reader.line(line.strip_suffix(b"\n").unwrap_or(line), line.ends_with(b"\n")))
        .collect::<Result<_, _>>();
    read.unwrap()
}

fn replay(lines: Vec<Line>) -> Vec<Outcome> {
    let mut lines = lines.into_iter();
    let Some(Line::Header(header)) = lines.next() else { panic!("no header") };
    let mut player = Player::new(&header);
    lines
        .map(|line| match line {
            Line::Entry(entry) => player.take(*entry),
            other => panic!("no entry: {other:?}"),
        })
        .collect()
}

/// What must be the same whatever things are called, entry by entry.
fn essences(outcomes: &[Outcome]) -> Vec<Vec<Essence>> {
    outcomes.iter().map(essences_of).collect()
}

fn essences_of(outcome: &Outcome) -> Vec<Essence> {
    let mut essences: Vec<_> = outcome.reports.iter().filter_map(essence).collect();
    essences.sort_by_key(|(event, code, severity, at, raised)| {
        (*code, *severity, *at, *raised, event.name())
    });
    essences
}

fn essence(report: &Report) -> Option<Essence> {
    let Report::Alert(alert) = report else { return None };
    let finding = &alert.finding;
    Some((alert.event, finding.code, finding.severity, alert.at, alert.raised_at))
}

fn without_names(lines: Vec<Line>) -> Vec<Line> {
    let pseudonyms = Pseudonyms::new(Key::new([3; 32]));
    let line = |line| match line {
        Line::Header(header) => Line::Header(Box::new(pseudonyms.header(*header))),
        Line::Entry(entry) => Line::Entry(Box::new(pseudonyms.entry(*entry))),
        Line::CutOff => Line::CutOff,
    };
    lines.into_iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_observation_is_read_as_it_was_written(seen in observation(start())) {
        let entry = Entry { now: start(), content: Content::Observation(seen) };
        let mut file = written(&Header::new("0.1.0", Config::default())).unwrap();
        file.extend(written(&entry).unwrap());
        prop_assert_eq!(lines(&file).pop(), Some(Line::Entry(Box::new(entry))));
    }

    #[test]
    fn a_replay_gives_what_the_engine_gave(config in config(), before in run(), run in run()) {
        let (file, outcomes) = record(&config, before, run);
        prop_assert_eq!(replay(lines(&file)), outcomes);
    }

    /// Each way out escapes the sentences again, and hides what looks like a token. Of a sentence
    /// of the core that leaves nothing to do, so that all of them, and a replay, say the same.
    #[test]
    fn every_way_out_says_the_same(config in config(), run in run()) {
        let mut engine = Engine::new(config);
        for (now, observation) in run {
            for report in engine.step(&now, observation).reports {
                let Report::Alert(alert) = report else { continue };
                let (summary, remedy) = (&alert.finding.summary, &alert.finding.remedy);
                let texts = [Some(summary), Some(&remedy.text), remedy.command.as_ref()];
                for text in texts.into_iter().flatten()
                {
                    prop_assert_eq!(escaped(text), text.as_str());
                }
            }
        }
    }

    #[test]
    fn findings_are_the_same_without_names(config in config(), before in run(), run in run()) {
        let (file, outcomes) = record(&config, before, run);
        let replayed = replay(without_names(lines(&file)));
        prop_assert_eq!(essences(&replayed), essences(&outcomes));
    }

    #[test]
    fn no_name_is_left(config in config(), before in run(), run in run()) {
        let (file, _) = record(&config, before, run);
        for line in without_names(lines(&file)) {
            let text = match &line {
                Line::Header(header) => serde_json::to_string(header),
                Line::Entry(entry) => serde_json::to_string(entry),
                Line::CutOff => Ok(String::new()),
            };
            let text = text.unwrap();
            for name in ["zq", "10.1.2.3"] {
                prop_assert!(!text.contains(name), "{} in {}", name, text);
            }
        }
    }

    /// A recording is a file from outside.
    #[test]
    fn whatever_is_in_a_file_is_read_or_refused(
        config in config(),
        run in run(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (mut file, _) = record(&config, vec![], run);
        let at = at.index(file.len());
        file[at] = byte;
        let mut reader = Reader::new();
        let mut player = None;
        for line in file.split(|byte| *byte == b'\n') {
            match (reader.line(line, true), &mut player) {
                (Ok(Line::Header(header)), _) => player = Some(Player::new(&header)),
                (Ok(Line::Entry(entry)), Some(player)) => drop(player.take(*entry)),
                (Ok(_), _) => {}
                (Err(why), _) => prop_assert!(why.to_string().len() < 300),
            }
        }
    }
}

#[test]
fn the_generator_makes_every_kind() {
    let mut runner = TestRunner::deterministic();
    let strategy = observation(start());
    let seen: BTreeSet<_> =
        (0..1_000).map(|_| kind(&strategy.new_tree(&mut runner).unwrap().current())).collect();
    assert_eq!(seen, KINDS.iter().copied().collect());
}
