#![allow(clippy::unwrap_used, clippy::panic)] // a failed test panics

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tokenwatch_core::base::ids::{TraceContext, TraceId};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Code, Finding, Remedy, Severity, Subject};
use tokenwatch_core::ledger::{self, Alert, AlertEvent, FILE};
use tokenwatch_core::world::Learned;
use tokenwatch_core::world::cluster::PodRef;
use tokenwatch_core::world::readers::{Habit, HabitKey, KnownHabit};
use tokenwatch_core::world::tokens::TokenKey;
use tokio::sync::watch;

use super::write::{File, replace};
use super::*;

const FINDING: &str = r#"{"finding": {"code": "token.expired", "severity": "critical",
        "subject": {"node": {"node": "n1"}}, "summary": "s",
        "deadline": null, "evidence": {"since": 5.0}, "remedy": {"text": "t", "command": null},
        "trace": null}, "raised_at": 1, "said_at": 2}"#;

fn content(version: u32, node: &str, findings: &[&str]) -> String {
    let findings = findings.join(",");
    format!(
        r#"{{"version": {version}, "node": "{node}", "alive_at": 9, "findings": [{findings}]}}"#
    )
}

fn read_from(text: &str) -> Result<RestoredState, Error> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(FILE), text).unwrap();
    read(directory.path(), "n1")
}

#[test]
fn saved_findings_are_restored() {
    let state = read_from(&content(1, "n1", &[FINDING])).unwrap();
    assert_eq!(
        (state.findings.len(), state.alive_at, state.skipped.len()),
        (1, Some(Wall::from_nanos(9)), 0)
    );
    assert_eq!(state.findings[0].raised_at, Wall::from_nanos(1));
}

#[test]
fn no_file_is_an_empty_state() {
    let state = read(tempfile::tempdir().unwrap().path(), "n1").unwrap();
    assert_eq!((state.findings.len(), state.alive_at, state.skipped.len()), (0, None, 0));
}

#[test]
fn an_unknown_finding_does_not_cost_the_others() {
    let unknown = FINDING.replace("token.expired", "token.from_the_future");
    let state = read_from(&content(1, "n1", &[&unknown, FINDING])).unwrap();
    assert_eq!((state.findings.len(), state.skipped.len()), (1, 1));
    assert!(state.skipped[0].to_string().contains("does not know"), "{}", state.skipped[0]);
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_with_its_reason() {
    let table = [
        (content(2, "n1", &[FINDING]), "has version 2, and this agent reads version 1"),
        (content(1, "n2", &[FINDING]), "was written on node n2"),
        ("{\"version\"".to_owned(), "is not a state file"),
        (" ".repeat(9 << 20), "is larger than 8 MiB"),
    ];
    for (text, reason) in table {
        let error = read_from(&text).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains(reason), "{error}");
        assert!(error.contains("active findings are raised again"), "{error}");
    }
}

#[test]
fn an_error_repeats_nothing_that_looks_like_a_token() {
    let token = "\"eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl\"";
    let finding = FINDING.replace("\"token.expired\"", token);
    let skipped = read_from(&content(1, "n1", &[&finding])).unwrap().skipped.remove(0);
    let unread = read_from(&format!("{{\"version\": {token}}}")).unwrap_err();
    for error in [skipped, unread] {
        let text = error.to_string();
        assert!(!text.contains("eyJ") && text.contains("[redacted"), "{text}");
    }
}

#[test]
fn a_link_is_not_followed_and_a_fifo_does_not_block() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join(FILE)).unwrap();
    assert!(matches!(read(directory.path(), "n1"), Err(Error::Read { .. })));
    std::fs::remove_file(directory.path().join(FILE)).unwrap();
    nix::unistd::mkfifo(&directory.path().join(FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = read(directory.path(), "n1").unwrap_err().to_string();
    assert!(refused.contains("it is a named pipe, and no regular file"), "{refused}");
}

fn alert(event: AlertEvent) -> Alert {
    let finding = Finding {
        code: Code::Expired,
        severity: Severity::Warning,
        subject: Subject::node("n1"),
        summary: "s".to_owned(),
        deadline: None,
        evidence: Attributes::new(),
        remedy: Remedy { text: "t".to_owned(), command: None },
        trace: None,
    };
    let at = Wall::from_secs(1_700_000_000);
    Alert {
        event,
        id: finding.id("n1"),
        at,
        true_time: None,
        raised_at: at,
        finding: finding.into(),
    }
}

fn reports(event: AlertEvent) -> Vec<Report> {
    vec![Report::Alert(Box::new(alert(event)))]
}

fn saved(directory: &Path) -> usize {
    let Ok(bytes) = std::fs::read(directory.join(FILE)) else { return 0 };
    let content: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    content["findings"].as_array().unwrap().len()
}

fn nothing() -> LearnedSource {
    std::sync::Arc::new(Learned::default)
}

fn config(directory: &Path, restored: Vec<ledger::Restored>) -> Config {
    Config { directory: directory.to_owned(), node: "n1".to_owned(), restored }
}

/// While so many alerts about the finding of these tests are undelivered.
fn delivery(undelivered: u64) -> (watch::Sender<u64>, Delivery) {
    let (count, receiver) = watch::channel(undelivered);
    let reader = receiver.clone();
    let owed = move || {
        let id = alert(AlertEvent::Raised).id;
        if *reader.borrow() == 0 { BTreeSet::new() } else { BTreeSet::from([id]) }
    };
    (count, Delivery { undelivered: receiver, owed: std::sync::Arc::new(owed) })
}

/// How many findings are saved after these events, while so many alerts are undelivered.
async fn saved_after(events: &[AlertEvent], undelivered: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("created");
    let (_count, delivery) = delivery(undelivered);
    let file = StateFile::start(config(&directory, vec![]), None, nothing(), delivery);
    for event in events {
        file.apply(changes(&reports(*event)));
    }
    file.finish().await;
    saved(&directory)
}

#[tokio::test]
async fn active_findings_are_saved_once_they_are_delivered() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let table: [(&[AlertEvent], u64, usize); 5] = [
        (&[], 0, 0),
        (&[Raised], 0, 1),
        (&[Raised, Reminded], 0, 1),
        (&[Raised, Cleared], 0, 0),
        (&[Raised], 1, 0),
    ];
    for (events, undelivered, expected) in table {
        let saved = saved_after(events, undelivered).await;
        assert_eq!(saved, expected, "{events:?}, {undelivered} undelivered");
    }
}

#[tokio::test]
async fn a_restored_finding_stays_until_its_resolution_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let restored = ledger::after(&alert(AlertEvent::Raised)).1.unwrap();
    let (_count, delivery) = delivery(1);
    let file =
        StateFile::start(config(directory.path(), vec![restored]), None, nothing(), delivery);
    file.apply(changes(&reports(AlertEvent::Cleared)));
    file.finish().await;
    assert_eq!(saved(directory.path()), 1);
}

#[tokio::test]
async fn a_finding_is_saved_as_soon_as_its_alert_is_accepted_and_while_others_wait() {
    let directory = tempfile::tempdir().unwrap();
    let (count, of_this) = delivery(1);
    let file = StateFile::start(config(directory.path(), vec![]), None, nothing(), of_this);
    file.apply(changes(&reports(AlertEvent::Raised)));
    let mut other = alert(AlertEvent::Raised);
    std::sync::Arc::make_mut(&mut other.finding).subject = Subject::node("n2");
    other.id = tokenwatch_core::findings::FindingId("other".into());
    file.apply(changes(&[Report::Alert(Box::new(other))]));
    until(|| saved(directory.path()) == 1).await;
    count.send_replace(0);
    until(|| saved(directory.path()) == 2).await;
    file.finish().await;
}

/// Waits until the writer has done this.
async fn until(is_done: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not done within five seconds");
}

#[test]
fn a_directory_that_cannot_be_created_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("a-file");
    std::fs::write(&blocked, "").unwrap();
    let error = File { directory: blocked, node: "n1".into() }
        .write(&BTreeMap::new(), &Learned::default())
        .unwrap_err();
    assert!(error.to_string().contains("it retries every minute"), "{error}");
}

#[test]
fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    replace(&path, b"{}").unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn habits_are_restored_and_one_that_nobody_knows_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let key = HabitKey {
        namespace: "shop".into(),
        workload: "Deployment cart".into(),
        container: "app".into(),
        image: "cart:1".into(),
        volume: "v".into(),
        path: "token".into(),
    };
    let at = Wall::from_secs(5);
    let (since, is_confirmed) = (at, true);
    let habit = KnownHabit { key, habit: Habit::Once, generations: 2, is_confirmed, since, at };
    let file = File { directory: directory.path().to_owned(), node: "n1".into() };
    let learned = Learned { habits: vec![habit.clone()], held: Vec::new() };
    file.write(&BTreeMap::new(), &learned).unwrap();
    assert_eq!(read(directory.path(), "n1").unwrap().habits, [habit]);
    let path = directory.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap().replace("\"once\"", "\"newer\"");
    std::fs::write(&path, text).unwrap();
    assert_eq!(read(directory.path(), "n1").unwrap().habits, []);
}

fn key(pod: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: "v".into(), path: "token".into() }
}

#[test]
fn the_paths_that_held_a_token_are_restored() {
    let directory = tempfile::tempdir().unwrap();
    let file = File { directory: directory.path().to_owned(), node: "n1".to_owned() };
    let learned = Learned { habits: Vec::new(), held: vec![key("a"), key("b")] };
    file.write(&BTreeMap::new(), &learned).unwrap();
    assert_eq!(read(directory.path(), "n1").unwrap().held, learned.held);
    let path = directory.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap().replace("\"held\":[", "\"held\":[7,{},");
    std::fs::write(&path, text).unwrap();
    assert_eq!(read(directory.path(), "n1").unwrap().held, learned.held, "one that is none");
}

/// As an earlier version wrote it.
#[test]
fn a_finding_with_a_trace_shows_that_its_path_held_a_token() {
    let about = |trace: Option<TraceContext>| {
        let mut restored = ledger::after(&alert(AlertEvent::Raised)).1.unwrap();
        let finding = std::sync::Arc::make_mut(&mut restored.finding);
        finding.subject =
            Subject::token(&key("a"), PodRef { uid: "a".into(), ..PodRef::default() });
        finding.trace = trace;
        let finding = serde_json::to_string(&restored).unwrap();
        read_from(&content(1, "n1", &[&finding])).unwrap().held
    };
    let trace_id = TraceId::derived(&["a"]);
    let trace = TraceContext { trace_id, span_id: trace_id.span("root") };
    assert_eq!((about(Some(trace)), about(None)), (vec![key("a")], vec![]));
}

/// Names can be as long as the file system allows, and a finding as long as what it quotes.
#[test]
fn no_file_is_written_that_a_reader_would_not_take() {
    let directory = tempfile::tempdir().unwrap();
    let file = File { directory: directory.path().to_owned(), node: "n1".to_owned() };
    let long = |nth: usize| key(&format!("{nth:0>4000}"));
    let learned = Learned { habits: Vec::new(), held: (0..2_048).map(long).collect() };
    let finding = |nth: usize| {
        let (id, restored) = ledger::after(&alert(AlertEvent::Raised));
        let mut restored = restored.unwrap();
        let finding = std::sync::Arc::make_mut(&mut restored.finding);
        finding.summary = "s".repeat(9_000);
        let is_last = nth == 999;
        finding.severity = if is_last { Severity::Critical } else { Severity::Info };
        (tokenwatch_core::findings::FindingId(format!("{}{nth}", id.0)), restored)
    };
    file.write(
        &(0..1_000).map(finding).map(|(id, one)| (id, std::sync::Arc::new(one))).collect(),
        &learned,
    )
    .unwrap();
    let state = read(directory.path(), "n1").unwrap();
    assert!((100..1_000).contains(&state.findings.len()), "{}", state.findings.len());
    assert_eq!(state.findings[0].finding.severity, Severity::Critical, "the most severe first");
    assert!((100..2_048).contains(&state.held.len()), "{}", state.held.len());
}
