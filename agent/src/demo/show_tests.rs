use super::super::screen::Look;
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
        plan.stop.await.map_err(|error| AgentFault::Failed(error.to_string()))
    };
    let mut seen = None;
    let interrupted = async { seen = wait.await.ok() };
    let outcome = demo(options(temp.path()), &mut out, interrupted, agent).await.unwrap();
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(seen, Some((5, 3)), "the agent finds the first pods, and three time servers");
    assert_eq!(left_in(temp.path()), 0);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("· not yet: one complete trace shows a healthy rotation")
            && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_reported_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let fault = AgentFault::Failed("no such luck".to_owned());
    let agent = |_: AgentPlan| async { Err(fault.clone()) };
    let outcome =
        demo(options(temp.path()), &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!((outcome.exit_status(), outcome), (1, Outcome::AgentEnded(fault)));
    assert!(String::from_utf8(out).unwrap().contains("no such luck"));
    assert_eq!(left_in(temp.path()), 0);
}

#[tokio::test]
async fn the_agent_exports_to_the_collector_that_the_user_named() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let with_endpoint =
        Options { otlp_endpoint: Some("http://collector:4317".into()), ..options(temp.path()) };
    let mut given = None;
    let agent = |plan: AgentPlan| {
        given = Some(plan.collector);
        async { Ok(()) }
    };
    let outcome = demo(with_endpoint, &mut out, std::future::pending(), agent).await.unwrap();
    assert_eq!(outcome, Outcome::AgentEnded(AgentFault::Unrequested));
    assert_eq!(given, Some(Collector::Given("http://collector:4317".into())));
}

/// The outcome and the text when the agent stops at once, with this end.
async fn stopped_with(ended: AgentEnd, interrupt: bool) -> (Outcome, String) {
    let temp = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let (_receiver, inbox) = Receiver::start().await.unwrap();
    let collector = Collector::Given("http://collector:4317".to_owned());
    let screen = Screen::new(&mut out, options(temp.path()).look);
    let mut show = Show::new(screen, Playback::new(temp.path()).unwrap(), inbox, collector);
    let outcome = show.close(interrupt, ended).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn what_a_given_collector_did_not_receive_is_reported_and_is_no_success() {
    let unsent = |rest: &str| Err(AgentFault::Unsent(rest.to_owned()));
    let (outcome, text) = stopped_with(unsent("not sent: 11 alerts, 0 spans"), false).await;
    assert_eq!(outcome.exit_status(), 1);
    assert!(
        text.contains("could not send everything to http://collector:4317: not sent: 11 alerts"),
        "{text}"
    );
    let (outcome, text) = stopped_with(Ok(()), false).await;
    assert!(
        outcome == Outcome::Complete
            && text.contains("sent everything to http://collector:4317, unless"),
        "{text}"
    );
    assert_eq!(
        stopped_with(unsent("not sent: 1 alerts"), true).await.0.exit_status(),
        130,
        "an interrupt is no failure of the agent"
    );
}

#[test]
fn it_ends_early_when_everything_has_arrived_and_late_in_any_case() {
    let at = Delta::from_secs;
    let table = [
        (69, false, true, false),
        (70, false, true, true),
        (70, false, false, false),
        (70, true, true, false),
        (83, false, false, true),
    ];
    for (secs, is_given, is_complete, over) in table {
        let collector = if is_given { Collector::Given } else { Collector::BuiltIn };
        assert_eq!(
            is_over(at(secs), &collector(String::new()), is_complete),
            over,
            "{secs} s, given {is_given}, complete {is_complete}"
        );
    }
}
