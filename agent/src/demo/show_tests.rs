use super::*;
use std::path::Path;

fn options(temp: &Path) -> Options {
    Options { temp: temp.to_owned(), otlp_endpoint: None, look: Look { colour: false, rewrites: false } }
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn an_interrupt_stops_the_agent_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let (started, wait) = oneshot::channel();
    let agent = |plan: AgentPlan| async move {
        let pods = std::fs::read_dir(plan.root.join("pods")).unwrap().count();
        started.send((pods, plan.ntp.len())).unwrap();
        plan.stop.await.map_err(|error| error.to_string())
    };
    let mut seen = None;
    let interrupted = async { seen = wait.await.ok() };
    let outcome = demo(options(temp.path()), &mut out, interrupted, agent).await.unwrap();
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(seen, Some((4, 3)), "the agent finds the first pods, and three time servers");
    assert_eq!(left_in(temp.path()), 0);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("✗ did not arrive: a healthy rotation") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_said_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let agent = |_: AgentPlan| async { Err("no such luck".to_owned()) };
    let outcome = demo(options(temp.path()), &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!((outcome.exit_status(), outcome), (1, Outcome::AgentEnded("no such luck".into())));
    assert!(String::from_utf8(out).unwrap().contains("no such luck"));
    assert_eq!(left_in(temp.path()), 0);
}

#[tokio::test]
async fn with_a_collector_elsewhere_the_agent_is_sent_there() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let with_endpoint = Options { otlp_endpoint: Some("http://collector:4317".into()), ..options(temp.path()) };
    let agent = |plan: AgentPlan| async move { Err(format!("{} {}", plan.otlp_endpoint, plan.otlp_built_in)) };
    let outcome = demo(with_endpoint, &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!(outcome, Outcome::AgentEnded("http://collector:4317 false".into()));
}

#[test]
fn it_ends_early_when_all_is_seen_and_in_any_case() {
    let at = Delta::from_secs;
    let table =
        [(69, false, true, false), (70, false, true, true), (70, false, false, false), (70, true, true, false), (83, false, false, true)];
    for (secs, elsewhere, complete, over) in table {
        assert_eq!(is_over(at(secs), elsewhere, complete), over, "{secs} s, elsewhere {elsewhere}, complete {complete}");
    }
}
