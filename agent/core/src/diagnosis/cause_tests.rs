//! Symptoms that a terminating pod or a lost service account explains.

use super::token_tests::{IAT, at, clock, diagnose, facts, next_change, tracked};
use crate::base::time::{Delta, Wall};
use crate::findings::{Code, Severity};
use crate::world::Facts;
use crate::world::clocks::ClockState;
use crate::world::cluster::{AccountLoss, Known, Owner, Pod};

fn terminating_at(deletion: i64) -> Pod {
    let owner = Some(Owner { kind: "Job".into(), name: "report".into() });
    let deletion = Some(Wall::from_secs(IAT + deletion));
    Pod { namespace: "shop".into(), name: "report-x".into(), owner, deletion, ..Pod::default() }
}

#[test]
fn a_terminating_pod_explains_a_late_rotation() {
    use Severity::{Critical, Warning};
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(600, None), tracked(31_536_000, Some(3_607)));
    // (token, its age, when the grace period ends, what is found)
    let table = [
        (&plain, 100, 700, Some(Warning)),
        (&plain, 100, 600, None), // it is valid until the pod ends
        (&plain, 595, 600, None), // late, and explained by the termination
        (&plain, 595, 700, Some(Warning)),
        (&plain, 650, 700, Some(Critical)),
        (&plain, 750, 700, None), // the pod has ended
        (&extended, 3_700, 4_000, Some(Warning)),
    ];
    for (token, age, deletion, expected) in table {
        let pod = terminating_at(deletion);
        let facts = Facts { known: Some(Known { pod: &pod, age: None }), ..facts(&good) };
        let found: Vec<_> = diagnose(token, &at(age), facts)
            .findings
            .iter()
            .map(|f| (f.code, f.severity))
            .collect();
        assert_eq!(
            found,
            Vec::from_iter(expected.map(|severity| (Code::PodTerminating, severity))),
            "age {age}, until {deletion}"
        );
    }
}

#[test]
fn a_terminating_pod_is_diagnosed_again_when_its_token_or_the_pod_ends() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(700));
    let facts = Facts { known: Some(Known { pod: &pod, age: None }), ..facts(&good) };
    let wakes: Vec<_> = [595, 600, 670].map(|age| next_change(&token, &at(age), facts)).into();
    assert_eq!(wakes, [600, 670, 700].map(|age| Some(at(age).monotonic)));
}

#[test]
fn evidence_from_the_cluster_has_its_age() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(700));
    let facts =
        Facts { known: Some(Known { pod: &pod, age: Some(Delta::from_secs(90)) }), ..facts(&good) };
    let finding = &diagnose(&token, &at(595), facts).findings[0];
    assert_eq!(
        finding.summary,
        "Token \"token\" of pod shop/report-x (volume v) will not be replaced: its pod is \
         terminating and has until 2027-01-15T08:11:40Z to end. It expires in 5.0s, at \
         2027-01-15T08:10:00Z."
    );
    assert_eq!(finding.evidence.get("owner"), Some(&"Job report".into()));
    assert_eq!(finding.evidence.get("cluster_age"), Some(&90.0.into()));
}

#[test]
fn a_lost_account_is_the_cause_with_its_own_remedy() {
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    // (the loss, the age of the token, the code, the end of the summary, the command)
    let table = [
        (
            AccountLoss::Missing,
            580,
            Code::RotationStalled,
            "ago: its service account shop/cart no longer exists. kubelet gets no token \
             for it, and the API server refuses this one.",
            "kubectl create serviceaccount -n shop cart",
        ),
        (
            AccountLoss::Missing,
            680,
            Code::Expired,
            " Its service account shop/cart no longer exists. kubelet gets no token for \
             it, and the API server refuses this one.",
            "kubectl create serviceaccount -n shop cart",
        ),
        (
            AccountLoss::Replaced,
            580,
            Code::RotationStalled,
            "which belongs to the old account, and kubelet has not replaced it.",
            "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|pod-uid\" | tail \
             -n 20",
        ),
    ];
    for (lost, age, code, words, command) in table {
        let facts = Facts { lost: Some(lost), ..facts(&good) };
        let finding = diagnose(&token, &at(age), facts).findings.remove(0);
        assert_eq!((finding.code, finding.severity), (code, Severity::Critical));
        assert!(finding.summary.ends_with(words), "{}", finding.summary);
        assert_eq!(finding.remedy.command.as_deref(), Some(command));
        assert_eq!(finding.evidence.get("service_account_state"), Some(&lost.name().into()));
    }
    assert_eq!(
        diagnose(&token, &at(100), Facts { lost: Some(AccountLoss::Missing), ..facts(&good) })
            .findings,
        [],
        "the token is fresh"
    );
}
