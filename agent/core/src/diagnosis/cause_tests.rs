//! Symptoms that a terminating pod or a lost service account explains.

use super::token_tests::{IAT, at, clock, diagnose, facts, next_change, tracked};
use crate::base::time::{Delta, Wall};
use crate::findings::{Code, Severity};
use crate::world::Facts;
use crate::world::clocks::ClockState;
use crate::world::cluster::{AccountLoss, Deleted, Known, Owner, Phase, Pod, PodStage};

fn terminating_at(deletion: i64) -> Pod {
    let owner = Some(Owner { kind: "Job".into(), name: "report".into() });
    let deletion = Some(Wall::from_secs(IAT + deletion));
    Pod { namespace: "shop".into(), name: "report-x".into(), owner, deletion, ..Pod::default() }
}

fn of_pod<'a>(pod: &'a Pod, facts: Facts<'a>) -> Facts<'a> {
    Facts { known: Some(Known { pod, age: None }), stage: PodStage::of(pod), ..facts }
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
        (&plain, 750, 700, Some(Critical)), // the pod should have ended, and its token is dead
        (&plain, 90_000, 700, Some(Critical)), // nothing is over because time passes
        (&plain, 350, 300, None), // kubelet removes the files of a pod that has just ended
        (&plain, 369, 300, None),
        (&plain, 370, 300, Some(Critical)), // the API server refuses the token now
        (&extended, 3_700, 4_000, Some(Warning)),
        (&extended, 4_010, 4_000, Some(Warning)),
        (&extended, 4_070, 4_000, Some(Critical)),
    ];
    for (token, age, deletion, expected) in table {
        let pod = terminating_at(deletion);
        let facts = of_pod(&pod, facts(&good));
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
    let facts = of_pod(&pod, facts(&good));
    let wakes: Vec<_> =
        [595, 600, 670, 700, 760].map(|age| next_change(&token, &at(age), facts)).into();
    assert_eq!(wakes, [600, 670, 700, 760, 770].map(|age| Some(at(age).monotonic)));
}

#[test]
fn a_pod_that_has_ended_or_is_unknown_is_no_alarm() {
    use Severity::{Info, Warning};
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    let deleted = |age: i64, ran| {
        let (at, age) = (Wall::from_secs(IAT), Delta::from_secs(age));
        PodStage::Deleted(Deleted { at, age, ran })
    };
    // (stage, the token's age, what is found)
    let table = [
        (PodStage::Ended(Phase::Failed), 100, None),
        (PodStage::Ended(Phase::Failed), 9_000, Some(Info)),
        (PodStage::Ended(Phase::Succeeded), 9_000, Some(Info)),
        (deleted(1, true), 100, None), // kubelet is removing its files
        (deleted(1, true), 9_000, Some(Info)),
        (deleted(119, true), 9_000, Some(Info)),
        (deleted(120, true), 100, Some(Warning)),
        (deleted(120, true), 9_000, Some(Warning)),
        (deleted(90_000, false), 100, None),
        (deleted(90_000, false), 9_000, Some(Info)),
    ];
    for (stage, age, expected) in table {
        let found = diagnose(&token, &at(age), Facts { stage, ..facts(&good) }).findings;
        let found: Vec<_> = found.iter().map(|f| (f.code, f.severity)).collect();
        let expected = expected.map(|severity| (Code::PodTerminating, severity));
        assert_eq!(found, Vec::from_iter(expected), "{stage:?}, age {age}");
    }
}

#[test]
fn a_pod_that_should_have_ended_is_named_with_its_dead_token() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(300));
    let summary = |age| {
        let found = diagnose(&token, &at(age), of_pod(&pod, facts(&good))).findings;
        found[0].summary.clone()
    };
    assert_eq!(
        summary(420),
        "Token \"token\" of pod shop/report-x (volume v): terminating, still running, token dead. \
         The pod should have ended 2m 00s ago, and kubelet has not removed its files, so its \
         containers probably still run. The API server has refused the token for 1m 00s: it \
         accepts tokens of a deleted pod for 1m 00s after its end."
    );
}

#[test]
fn the_verdict_includes_the_pod_and_the_account() {
    use crate::base::time::Interval;
    use crate::world::tokens::Verdict::{Dead, Live, Uncertain};
    let (token, good) = (tracked(3_600, None), clock(ClockState::Synchronised, 0, false));
    let generation = token.current.as_ref().unwrap();
    let pod = terminating_at(300);
    let deleted = PodStage::Deleted(Deleted { at: at(90).wall, age: Delta::ZERO, ran: false });
    let active = Facts { stage: PodStage::Active, ..facts(&good) };
    // (facts, age, verdict)
    let table = [
        (active, 100, Live),
        (Facts { stage: deleted, ..active }, 100, Dead),
        (Facts { lost: Some(AccountLoss::Missing), ..active }, 100, Dead),
        (Facts { lost: Some(AccountLoss::Replaced), ..active }, 100, Dead),
        (of_pod(&pod, active), 310, Live),
        (of_pod(&pod, active), 360, Uncertain),
        (of_pod(&pod, active), 370, Dead),
        (active, 3_700, Dead),
    ];
    for (facts, age, verdict) in table {
        let (lo, hi) = (at(age - 5).wall, at(age + 5).wall);
        let facts = Facts { tracked: &token, ..facts };
        assert_eq!(facts.verdict(generation, &Interval { lo, hi }), verdict, "age {age}");
    }
}

#[test]
fn evidence_from_the_cluster_has_its_age() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(700));
    let facts = Facts {
        known: Some(Known { pod: &pod, age: Some(Delta::from_secs(90)) }),
        ..of_pod(&pod, facts(&good))
    };
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
