use std::sync::mpsc;
use std::time::Instant;

use tokenwatch_core::base::schema;
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::AlertEvent;

use super::super::delivery::tests::sample::{alert, span};
use super::*;

fn clock(state: &str) -> Report {
    let attributes = Attributes::new()
        .with(schema::CLOCK_STATE, state)
        .with(schema::CLOCK_OFFSET, 0.001)
        .with(schema::CLOCK_ERROR_BOUND, 0.002);
    let attributes =
        attributes.with(schema::CLOCK_AGREEING, 3_i64).with(schema::CLOCK_SERVERS, 4_i64);
    Report::Span(Box::new(tokenwatch_core::traces::Span { attributes, ..span(schema::SPAN_CLOCK) }))
}

fn printed(reports: &[Report], colour: bool) -> String {
    let mut lines = Lines::new(colour);
    reports.iter().filter_map(|report| lines.of(report)).collect()
}

#[test]
fn alerts_generations_and_changes_of_the_clock_are_printed() {
    let mut hostile = alert("b", AlertEvent::Cleared, Severity::Critical);
    std::sync::Arc::make_mut(&mut hostile.finding).summary = "gone\x1b[2J\nnow".into();
    let mut generation = span(schema::SPAN_GENERATION);
    generation.attributes = Attributes::new()
        .with(schema::TOKEN_OUTCOME, "replaced")
        .with(schema::K8S_POD_UID, "uid-1")
        .with(schema::K8S_VOLUME, "v");
    let generation = Report::Span(Box::new(generation));
    let raised = Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Critical)));
    let reports = [
        raised,
        Report::Alert(Box::new(hostile)),
        generation,
        clock("synchronised"),
        clock("synchronised"),
        clock("off"),
    ];
    insta::assert_snapshot!(printed(&reports, false), @r"
  2023-11-14T22:13:20Z CRITICAL token.expired  shop/cart-0 kube-api-access/token
      the token of shop/cart-0 has expired
      delete the pod
        $ kubectl delete pod -n shop cart-0
  2023-11-14T22:13:20Z cleared  token.expired  shop/cart-0 kube-api-access/token
      gone\u{1b}[2J\u{a}now
  2023-11-14T22:14:20Z token    replaced after 1m 00s  pod uid-1 v
  2023-11-14T22:14:20Z clock    synchronised, offset +0.001000 s ± 0.002000 s, 3 of 4 servers agree
  2023-11-14T22:14:20Z clock    off, offset +0.001000 s ± 0.002000 s, 3 of 4 servers agree
  ");
}

#[test]
fn a_generation_that_ends_before_its_issue_time_has_no_duration() {
    let mut generation = span(schema::SPAN_GENERATION);
    generation.end = generation.start;
    generation.attributes =
        Attributes::new().with(schema::TOKEN_OUTCOME, "open").with(schema::K8S_POD_UID, "uid-1");
    let line = printed(&[Report::Span(Box::new(generation))], false);
    assert_eq!(
        line,
        "2023-11-14T22:13:20Z token    open before its issue time, which is ahead of this \
         node's clock  pod uid-1 \n"
    );
}

#[test]
fn colours_are_printed_only_if_enabled() {
    let alert = [Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Critical)))];
    assert!(printed(&alert, true).contains("\x1b[1;31mCRITICAL"));
    assert!(!printed(&alert, false).contains('\x1b'));
}

/// Reports the first write, and blocks it until the gate opens.
struct Stuck {
    reached: mpsc::Sender<()>,
    gate: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.reached.send(());
        let _ = self.gate.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn alerts(count: usize) -> Vec<Report> {
    (0..count)
        .map(|_| Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Info))))
        .collect()
}

#[tokio::test]
async fn an_output_that_nobody_reads_loses_lines_but_does_not_block() {
    let (reached, arrival) = mpsc::channel();
    let (let_go, gate) = mpsc::channel();
    let console = Console::start(Box::new(Stuck { reached, gate }), false).unwrap();
    console.take(alerts(1));
    arrival.recv().unwrap();
    let before = Instant::now();
    console.take(alerts(5_000));
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(console.dropped.load(Ordering::Relaxed), 5_000 - QUEUE as u64);
    assert!(console.shutdown(Duration::from_millis(100)).await.unfinished);
    drop(let_go);
}

/// As `>(true)`: the reader has closed the pipe.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_pipe_closes_the_console_and_a_full_disk_does_not() {
    let broken = Console::start(Box::new(Broken), false).unwrap();
    broken.take(alerts(1));
    tokio::time::timeout(Duration::from_secs(10), broken.closed())
        .await
        .expect("the console is closed");
    let full = Console::start(
        Box::new(std::fs::File::options().write(true).open("/dev/full").unwrap()),
        false,
    )
    .unwrap();
    full.take(alerts(1));
    assert!(tokio::time::timeout(Duration::from_millis(100), full.closed()).await.is_err());
}
