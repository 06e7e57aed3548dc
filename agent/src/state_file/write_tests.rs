#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use super::*;
use crate::sinks::delivery::tests::sample;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::{Alert, AlertEvent};

fn sample_alert() -> Alert {
    let alert = sample::alert("", AlertEvent::Raised, Severity::Warning);
    Alert { id: alert.finding.id("n1"), ..alert }
}

fn action(event: AlertEvent) -> Vec<Report> {
    vec![Report::Alert(Box::new(Alert { event, ..sample_alert() }))]
}

fn remembered(directory: &Path) -> usize {
    let page: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.join(FILE)).unwrap()).unwrap();
    page["findings"].as_array().unwrap().len()
}

/// A notebook that was told `events` while so many alerts were undelivered, as it is after it was
/// closed.
async fn left_after(events: &[AlertEvent], undelivered: u64) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        directory: directory.path().join("made"),
        node: "n1".into(),
        remembered: vec![],
    };
    let (_count, counted) = watch::channel(undelivered);
    let notebook = Notebook::start(settings, counted);
    for event in events {
        notebook.take(changes(&action(*event)));
    }
    notebook.finish().await;
    remembered(&directory.path().join("made"))
}

#[tokio::test]
async fn what_is_active_and_delivered_is_written_down() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let table: [(&[AlertEvent], u64, usize); 5] = [
        (&[], 0, 0),
        (&[Raised], 0, 1),
        (&[Raised, Reminded], 0, 1),
        (&[Raised, Cleared], 0, 0),
        (&[Raised], 1, 0),
    ];
    for (events, undelivered, expected) in table {
        assert_eq!(
            left_after(events, undelivered).await,
            expected,
            "{events:?}, {undelivered} undelivered"
        );
    }
}

#[tokio::test]
async fn what_was_delivered_before_stays_while_the_rest_waits() {
    let directory = tempfile::tempdir().unwrap();
    let one = ledger::after(&sample_alert()).1.unwrap();
    let settings = Settings {
        directory: directory.path().to_owned(),
        node: "n1".into(),
        remembered: vec![one],
    };
    let (_count, counted) = watch::channel(1);
    let notebook = Notebook::start(settings, counted);
    notebook.take(changes(&action(AlertEvent::Cleared)));
    notebook.finish().await;
    assert_eq!(remembered(directory.path()), 1, "that it was cleared has not been delivered");
}

#[test]
fn a_directory_that_cannot_be_written_is_said_once_and_nothing_else_happens() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("a-file");
    std::fs::write(&blocked, "").unwrap();
    let mut file = File { directory: blocked, node: "n1".into(), failed: false };
    assert!(!file.write(&Findings::new()));
}

#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    replace(directory.path(), b"{}").unwrap();
    let mode = std::fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
