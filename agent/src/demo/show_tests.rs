use super::*;
use std::path::Path;

fn options(temp: &Path) -> Options {
    Options {
        temp: temp.to_owned(),
        otlp_endpoint: None,
        look: Look { colour: false, rewrites: false, width: 100 },
    }
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
    assert!(text.contains("· not yet: a healthy rotation") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_said_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let agent = |_: AgentPlan| async { Err("no such luck".to_owned()) };
    let outcome =
        demo(options(temp.path()), &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!((outcome.exit_status(), outcome), (1, Outcome::AgentEnded("no such luck".into())));
    assert!(String::from_utf8(out).unwrap().contains("no such luck"));
    assert_eq!(left_in(temp.path()), 0);
}

#[tokio::test]
async fn with_a_collector_elsewhere_the_agent_is_sent_there() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let with_endpoint =
        Options { otlp_endpoint: Some("http://collector:4317".into()), ..options(temp.path()) };
    let agent = |plan: AgentPlan| async move {
        Err(format!("{} {}", plan.otlp_endpoint, plan.otlp_built_in))
    };
    let outcome = demo(with_endpoint, &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!(outcome, Outcome::AgentEnded("http://collector:4317 false".into()));
}

/// What the demo says and comes to when the agent, stopped at once, leaves this behind.
async fn stopped_with(left: Result<(), String>, interrupt: bool) -> (Outcome, String) {
    let temp = tempfile::tempdir().unwrap();
    let (scratch, dial, mut out) =
        (Scratch::new(temp.path()).unwrap(), Dial::default(), Vec::new());
    let (_receiver, inbox) = Receiver::start().await.unwrap();
    let elsewhere = Some("http://collector:4317".to_owned());
    let mut show = Show::new(
        Screen::new(&mut out, options(temp.path()).look),
        Stage::new(scratch.path()).unwrap(),
        dial,
        inbox,
        elsewhere,
    );
    let outcome = show.closing(interrupt, left).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn what_a_collector_elsewhere_did_not_get_is_told_and_is_no_success() {
    let (outcome, told) = stopped_with(Err("not sent: 11 alerts, 0 spans".into()), false).await;
    assert_eq!(outcome.exit_status(), 1);
    assert!(
        told.contains("Not everything went to http://collector:4317: not sent: 11 alerts"),
        "{told}"
    );
    let (outcome, told) = stopped_with(Ok(()), false).await;
    assert!(
        outcome == Outcome::Complete
            && told.contains("Everything went to http://collector:4317, unless"),
        "{told}"
    );
    assert_eq!(
        stopped_with(Err("not sent: 1 alerts".into()), true).await.0.exit_status(),
        130,
        "who interrupts knows why"
    );
}

#[test]
fn it_ends_early_when_all_is_seen_and_in_any_case() {
    let at = Delta::from_secs;
    let table = [
        (69, false, true, false),
        (70, false, true, true),
        (70, false, false, false),
        (70, true, true, false),
        (83, false, false, true),
    ];
    for (secs, elsewhere, complete, over) in table {
        assert_eq!(
            is_over(at(secs), elsewhere, complete),
            over,
            "{secs} s, elsewhere {elsewhere}, complete {complete}"
        );
    }
}
