//! The content of Events, their rate, and failures of the API server.

use std::time::Duration;

use serde_json::{Value, json};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::findings::{Code, Finding, FindingId, Remedy, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::world::cluster::PodRef;

use super::event::{NoEvent, Regarding, name, new_event, reason};
use super::queue::{Pending, Queue};
use super::worker::Bucket;
use super::*;
use crate::clocks;
use crate::kubernetes::fake_server::{FakeServer, Received, Reply, status};

fn about_pod(namespace: &str, name: &str) -> Subject {
    let pod = PodRef {
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        uid: "uid-1".into(),
        owner: None,
        is_claimed: false,
    };
    Subject::Token { pod, volume: "tokens".into(), path: "token".into() }
}

fn alert(event: AlertEvent, code: Code, severity: Severity, subject: Subject) -> Alert {
    let finding = Finding {
        code,
        severity,
        subject,
        summary: "It is so.".into(),
        deadline: None,
        evidence: Attributes::new().with("phase", "Running"),
        remedy: Remedy { text: "Do this.".into(), command: Some("do --this".into()) },
        trace: None,
    };
    let (at, raised_at) =
        (Wall::from_nanos(1_800_000_000_123_456_789), Wall::from_secs(1_800_000_000));
    Alert {
        event,
        id: FindingId("0f1e2d3c4b5a".into()),
        at,
        true_time: None,
        raised_at,
        finding: finding.into(),
    }
}

fn stalled(event: AlertEvent) -> Alert {
    alert(event, Code::RotationStalled, Severity::Warning, about_pod("shop", "cart-1"))
}

fn pending(id: &str, event: AlertEvent) -> Pending {
    let alert = Alert { id: FindingId(id.into()), ..stalled(event) };
    Pending { regarding: Regarding::of(&alert.finding, "n1").unwrap(), alert }
}

/// The same about a pod, given its namespace and UID.
fn pending_of((namespace, uid): (&str, &str), id: &str, severity: Severity) -> Pending {
    let mut raised = pending(id, AlertEvent::Raised).alert;
    let finding = std::sync::Arc::make_mut(&mut raised.finding);
    finding.severity = severity;
    let Subject::Token { pod, .. } = &mut finding.subject else { panic!("about a token") };
    (pod.namespace, pod.uid) = (Some(namespace.to_owned()), uid.to_owned());
    Pending { regarding: Regarding::of(&raised.finding, "n1").unwrap(), alert: raised }
}

fn written(alert: &Alert) -> Value {
    new_event(&Regarding::of(&alert.finding, "n1").unwrap(), alert, "n1")
}

#[test]
fn an_event_has_the_form_that_the_api_server_validates() {
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": "cart-1.0f1e2d3c6b49d200011", "namespace": "shop"},
        "eventTime": "2027-01-15T08:00:00.123456Z",
        "reportingController": "tokenwatch", "reportingInstance": "n1",
        "action": "Raised", "reason": "TokenRotationStalled", "type": "Warning",
        "regarding": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "cart-1",
            "uid": "uid-1"
        },
        "note": "It is so. Do this. Command: do --this",
    });
    assert_eq!(written(&stalled(AlertEvent::Raised)), expected);
}

#[test]
fn resolved_findings_and_info_are_of_type_normal() {
    let cleared = written(&stalled(AlertEvent::Cleared));
    assert_eq!(
        (&cleared["type"], &cleared["reason"], &cleared["note"]),
        (&json!("Normal"), &json!("TokenRotationStalledCleared"), &json!("It is so."))
    );
    let late = written(&alert(
        AlertEvent::Raised,
        Code::RotationLate,
        Severity::Info,
        about_pod("shop", "cart-1"),
    ));
    assert_eq!(late["type"], "Normal");
}

#[test]
fn a_finding_about_the_node_or_a_time_server_is_on_the_node() {
    for subject in [Subject::node("n1"), Subject::Server { server: "ntp".into() }] {
        let event =
            written(&alert(AlertEvent::Raised, Code::ClockOffset, Severity::Critical, subject));
        assert_eq!(
            event["regarding"],
            json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"})
        );
        assert_eq!(
            (&event["metadata"]["namespace"], &event["reason"]),
            (&json!("default"), &json!("ClockOffset"))
        );
    }
}

#[test]
fn every_reason_passes_validation() {
    for code in Code::ALL {
        let reason =
            reason(&alert(AlertEvent::Cleared, *code, Severity::Info, Subject::node("n1")));
        let is_camel = reason.starts_with(char::is_uppercase)
            && reason.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(is_camel && reason.len() <= 128, "{reason}");
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let mut long = stalled(AlertEvent::Raised);
    std::sync::Arc::make_mut(&mut long.finding).summary = "é".repeat(2_000);
    let event = new_event(&Regarding::of(&long.finding, "n1").unwrap(), &long, &"n".repeat(253));
    let note = event["note"].as_str().unwrap();
    assert!(
        note.len() <= 1_024
            && note.ends_with('…')
            && event["reportingInstance"].as_str().unwrap().len() <= 128
    );
    let long = alert(
        AlertEvent::Raised,
        Code::Expired,
        Severity::Critical,
        about_pod("shop", &"p".repeat(253)),
    );
    assert!(name(&Regarding::of(&long.finding, "n1").unwrap(), &long).len() <= 253);
}

/// Anybody can write a file that claims to belong to any pod. It must not cause Events there.
#[test]
fn only_pods_that_the_api_server_reported_get_events() {
    let mut claimed = stalled(AlertEvent::Raised).finding;
    std::sync::Arc::make_mut(&mut claimed).evidence = Attributes::new();
    assert_eq!(Regarding::of(&claimed, "n1"), Err(NoEvent::UnknownPod));
    for (namespace, name) in
        [("", "p"), ("n", ""), ("../kube-system", "p"), ("n", "p/../x"), ("n", "P"), ("n", "..")]
    {
        let finding = alert(
            AlertEvent::Raised,
            Code::Expired,
            Severity::Critical,
            about_pod(namespace, name),
        )
        .finding;
        assert_eq!(Regarding::of(&finding, "n1"), Err(NoEvent::InvalidName), "{namespace}/{name}");
    }
}

#[test]
fn alerts_about_one_finding_are_merged() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let table: [(&[AlertEvent], &[AlertEvent]); 7] = [
        (&[Raised, Cleared], &[]),
        (&[Raised, Reminded], &[Raised]),
        (&[Reminded, Reminded], &[Reminded]),
        (&[Reminded, Cleared], &[Cleared]),
        (&[Cleared, Raised], &[Cleared, Raised]),
        (&[Cleared, Raised, Cleared], &[Cleared]),
        (&[Raised, Cleared, Raised, Reminded], &[Raised]),
    ];
    for (alerts, merged) in table {
        let queue = Queue::default();
        queue.push(pending("other", Raised));
        for event in alerts {
            queue.push(pending("one", *event));
        }
        let left: Vec<_> = queue
            .waiting()
            .into_iter()
            .filter(|(id, _)| id == "one")
            .map(|(_, event)| event)
            .collect();
        assert_eq!(left, merged, "{alerts:?}");
        assert_eq!(queue.waiting()[0], ("other".to_owned(), Raised));
    }
}

#[test]
fn an_alert_that_is_put_back_merges_with_newer_ones() {
    use AlertEvent::{Cleared, Raised};
    let queue = Queue::default();
    queue.push(pending("two", Raised));
    queue.put_back(pending("one", Raised));
    assert_eq!(queue.waiting(), [("one".to_owned(), Raised), ("two".to_owned(), Raised)]);
    let queue = Queue::default();
    queue.push(pending("one", Cleared));
    queue.put_back(pending("one", Raised));
    assert_eq!(queue.waiting(), []);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let queue = Queue::default();
    (0..1_000).for_each(|number| queue.push(pending(&number.to_string(), AlertEvent::Raised)));
    assert_eq!((queue.waiting().len(), queue.take_dropped(), queue.take_dropped()), (256, 744, 0));
}

#[test]
fn a_pod_with_many_alerts_costs_others_no_event() {
    let queue = Queue::default();
    (0..1_000).for_each(|number| queue.push(pending(&number.to_string(), AlertEvent::Raised)));
    for number in 0..10 {
        let tenant = ("shop", &*format!("other-uid-{number}"));
        queue.push(pending_of(tenant, &format!("other-{number}"), Severity::Warning));
    }
    let waiting = queue.waiting();
    let others = waiting.iter().filter(|(id, _)| id.starts_with("other")).count();
    assert_eq!((others, waiting.len(), queue.take_dropped()), (10, 256, 754));
}

/// The ids of the next alerts, without what comes after the first dash.
async fn next(queue: &Queue, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = queue.pop().await.alert.id.0;
        ids.push(id.split('-').next().unwrap_or_default().to_owned());
    }
    ids
}

#[tokio::test]
async fn pods_and_namespaces_have_their_events_in_turn() {
    use Severity::{Critical, Info, Warning};
    const HOG: (&str, &str) = ("shop", "hog");
    const OTHER: (&str, &str) = ("shop", "other");
    // (what it shows, what comes after 25 alerts of the hog were written, what is next)
    type Case<'a> = (&'a str, &'a [((&'a str, &'a str), &'a str, Severity)], &'a [&'a str]);
    let table: [Case<'_>; 5] = [
        ("another pod is next", &[(OTHER, "a", Warning)], &["a", "hog"]),
        ("whatever its severity", &[(OTHER, "a", Info)], &["a", "hog"]),
        (
            "and then each in turn",
            &[(OTHER, "a", Warning), (OTHER, "b", Warning), (OTHER, "c", Warning)],
            &["a", "hog", "b", "hog", "c", "hog", "hog"],
        ),
        (
            "the most severe is first, also of a pod that had a turn",
            &[(OTHER, "a", Info), (OTHER, "b", Warning), (("shop", "third"), "c", Critical)],
            &["c", "b", "a", "hog"],
        ),
        (
            "of many pods of one namespace and one of another",
            &[
                (("crowd", "1"), "a", Warning),
                (("crowd", "2"), "b", Warning),
                (("crowd", "3"), "c", Warning),
                (("few", "4"), "d", Warning),
            ],
            &["a", "d", "b", "c", "hog"],
        ),
    ];
    for (what, later, expected) in table {
        let queue = Queue::default();
        for number in 0..1_000 {
            queue.push(pending_of(HOG, &format!("hog-{number}"), Warning));
        }
        assert_eq!(next(&queue, 25).await, ["hog"; 25]);
        for (tenant, id, severity) in later {
            queue.push(pending_of(*tenant, id, *severity));
        }
        assert_eq!(next(&queue, expected.len()).await, expected, "{what}");
    }
}

#[tokio::test]
async fn events_about_one_finding_stay_in_order() {
    use AlertEvent::{Cleared, Raised};
    let queue = Queue::default();
    queue.push(pending("one", Cleared));
    queue.push(pending_of(("shop", "uid-1"), "one", Severity::Critical));
    assert_eq!(queue.pop().await.alert.event, Cleared);
    assert_eq!(queue.pop().await.alert.event, Raised);
}

#[tokio::test]
async fn what_could_not_be_written_is_tried_again_first() {
    let queue = Queue::default();
    for (pod, id) in [("1", "a"), ("1", "b"), ("2", "c")] {
        queue.push(pending_of(("shop", pod), id, Severity::Warning));
    }
    let tried = queue.pop().await;
    queue.put_back(tried);
    assert_eq!(next(&queue, 3).await, ["a", "c", "b"]);
}

#[test]
fn the_rate_limit_is_25_at_once_and_then_one_in_30_s() {
    let start = clocks::timer();
    let mut bucket = Bucket::full(start);
    let at = |secs| start + Duration::from_secs(secs);
    assert!((0..25).all(|_| bucket.take(at(0)).is_ok()));
    assert_eq!(bucket.take(at(10)), Err(Duration::from_secs(20)));
    assert_eq!(bucket.take(at(45)), Ok(()));
    assert_eq!(
        bucket.take(at(50)),
        Err(Duration::from_secs(10)),
        "30 s after the last one, not after the request"
    );
    assert_eq!(bucket.take(at(60)), Ok(()));
    assert_eq!((0..100).filter(|_| bucket.take(at(100_000)).is_ok()).count(), 25);
}

fn created() -> Reply {
    Reply::Whole(201, None, "{}".to_owned())
}

fn refused(code: u16) -> Reply {
    Reply::Whole(code, None, status(code, "no"))
}

/// The requests to the API server for these alerts, one after the other.
async fn requests_for(replies: Vec<Reply>, alerts: &[Alert], count: usize) -> Vec<Received> {
    let fake = FakeServer::start(replies).await;
    let events = Events::start(fake.client(), "n1".into());
    for (number, alert) in alerts.iter().enumerate() {
        events.take(&[Report::Alert(Box::new(alert.clone()))]);
        fake.wait_for_requests(number + 1).await;
    }
    let asked = fake.wait_for_requests(count).await;
    events.stop();
    asked
}

const COLLECTION: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

fn requests(asked: &[Received]) -> Vec<String> {
    asked
        .iter()
        .map(|asked| format!("{} {}", asked.method, asked.path.replace(COLLECTION, "")))
        .collect()
}

#[tokio::test]
async fn a_reminder_extends_the_series_and_a_resolution_is_a_new_event() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let replies = (0..4).map(|_| created()).collect();
    let asked = requests_for(
        replies,
        &[stalled(Raised), stalled(Reminded), stalled(Reminded), stalled(Cleared)],
        4,
    )
    .await;
    let name = "cart-1.0f1e2d3c6b49d20001";
    assert_eq!(
        requests(&asked),
        [
            "POST ".to_owned(),
            format!("PATCH /{name}1"),
            format!("PATCH /{name}1"),
            "POST ".to_owned()
        ]
    );
    assert_eq!(
        asked[2].body,
        json!({"series": {"count": 3, "lastObservedTime": "2027-01-15T08:00:00.123456Z"}})
    );
    assert_eq!(asked[3].body["metadata"]["name"], format!("{name}c"));
}

#[tokio::test]
async fn a_deleted_event_is_created_again_and_an_existing_one_is_counted() {
    let reminded =
        requests_for(vec![refused(404), created()], &[stalled(AlertEvent::Reminded)], 2).await;
    assert_eq!(requests(&reminded), ["PATCH /cart-1.0f1e2d3c6b49d200011", "POST "]);
    let raised =
        requests_for(vec![refused(409), created()], &[stalled(AlertEvent::Raised)], 2).await;
    assert_eq!(
        (requests(&raised)[1].as_str(), &raised[1].body["series"]["count"]),
        ("PATCH /cart-1.0f1e2d3c6b49d200011", &json!(2))
    );
}

#[tokio::test]
async fn temporary_failures_are_retried_and_permanent_ones_dropped() {
    let again =
        requests_for(vec![refused(500), created()], &[stalled(AlertEvent::Raised)], 2).await;
    assert_eq!(again[0].body, again[1].body, "the same Event again");
    let fake = FakeServer::start(vec![refused(403), created()]).await;
    let events = Events::start(fake.client(), "n1".into());
    events.take(&[Report::Alert(Box::new(stalled(AlertEvent::Raised)))]);
    fake.wait_for_requests(1).await;
    events.take(&[Report::Alert(Box::new(Alert {
        id: FindingId("ffffffff".into()),
        ..stalled(AlertEvent::Raised)
    }))]);
    let asked = fake.wait_for_requests(2).await;
    assert_ne!(
        asked[0].body["metadata"]["name"], asked[1].body["metadata"]["name"],
        "the next one, not the same"
    );
}
