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

fn said(actions: &[Report], colour: bool) -> String {
    let mut lines = Lines::new(colour);
    actions.iter().filter_map(|action| lines.of(action)).collect()
}

#[test]
fn lines_are_for_people() {
    let mut hostile = alert("b", AlertEvent::Cleared, Severity::Critical);
    hostile.finding.summary = "gone\x1b[2J\nnow".into();
    let mut generation = span(schema::SPAN_GENERATION);
    generation.attributes = Attributes::new()
        .with(schema::TOKEN_OUTCOME, "replaced")
        .with(schema::K8S_POD_UID, "uid-1")
        .with(schema::K8S_VOLUME, "v");
    let generation = Report::Span(Box::new(generation));
    let raised = Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Critical)));
    let actions = [
        raised,
        Report::Alert(Box::new(hostile)),
        generation,
        clock("synchronised"),
        clock("synchronised"),
        clock("off"),
    ];
    insta::assert_snapshot!(said(&actions, false), @r"
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
fn a_token_from_the_future_has_no_length_to_tell() {
    let mut generation = span(schema::SPAN_GENERATION);
    generation.end = generation.start;
    generation.attributes =
        Attributes::new().with(schema::TOKEN_OUTCOME, "open").with(schema::K8S_POD_UID, "uid-1");
    let line = said(&[Report::Span(Box::new(generation))], false);
    assert_eq!(
        line,
        "2023-11-14T22:13:20Z token    open, and issued only then: ahead of this node's clock  \
         pod uid-1 \n"
    );
}

#[test]
fn colours_only_when_told() {
    let alert = [Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Critical)))];
    assert!(said(&alert, true).contains("\x1b[1;31mCRITICAL"));
    assert!(!said(&alert, false).contains('\x1b'));
}

/// Says that it was reached, and does not take a byte until it is let go.
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
async fn an_output_that_nobody_reads_costs_lines_and_no_time() {
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

/// As `>(true)` is: whoever read has gone.
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
async fn an_output_whose_reader_is_gone_is_closed_and_one_that_is_full_is_not() {
    let broken = Console::start(Box::new(Broken), false).unwrap();
    broken.take(alerts(1));
    tokio::time::timeout(Duration::from_secs(10), broken.closed()).await.expect("it is told");
    let full = Console::start(
        Box::new(std::fs::File::options().write(true).open("/dev/full").unwrap()),
        false,
    )
    .unwrap();
    full.take(alerts(1));
    assert!(tokio::time::timeout(Duration::from_millis(100), full.closed()).await.is_err());
}
