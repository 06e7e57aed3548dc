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
fn a_lost_account_is_one_critical_finding_at_every_age() {
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    let (missing, replaced) = (AccountLoss::Missing, AccountLoss::Replaced);
    // (the loss, the age of the token, the end of the summary)
    let table = [
        (missing, 100, "shop/cart does not exist any more. kubelet gets no token for it."),
        (missing, 580, "shop/cart does not exist any more. kubelet gets no token for it."),
        (missing, 680, "shop/cart does not exist any more. kubelet gets no token for it."),
        (
            replaced,
            100,
            "was deleted and created again, and this token belongs to the old account. kubelet \
             keeps it until it is due for replacement in 6m 20s, at 2027-01-15T08:08:00Z.",
        ),
        (replaced, 580, "the old account. kubelet should have replaced it 1m 40s ago."),
    ];
    for (lost, age, words) in table {
        let facts = Facts { lost: Some(lost), ..facts(&good) };
        let found = diagnose(&token, &at(age), facts).findings;
        assert_eq!(found.len(), 1, "one cause, one finding: {found:#?}");
        let finding = &found[0];
        assert_eq!((finding.code, finding.severity), (Code::SubjectReplaced, Severity::Critical));
        assert!(finding.summary.contains("is refused by the API server: its service account"));
        assert!(finding.summary.ends_with(words), "{}", finding.summary);
        assert_eq!(finding.evidence.get("service_account_state"), Some(&lost.name().into()));
        assert_eq!(finding.deadline, None, "it fails already");
    }
}

#[test]
fn a_lost_account_has_a_remedy_that_gives_the_pods_new_tokens() {
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    let owned = |kind: &str| Pod {
        owner: (!kind.is_empty()).then(|| Owner { kind: kind.into(), name: "cart".into() }),
        namespace: "shop".into(),
        name: "cart-0".into(),
        service_account: Some("cart".into()),
        ..Pod::default()
    };
    // (the loss, the kind of the pod's owner, the command)
    let table = [
        (AccountLoss::Missing, "", CREATE.to_owned()),
        (AccountLoss::Missing, "Deployment", format!("{CREATE} && {RESTART} deployment/cart")),
        (AccountLoss::Missing, "Job", format!("{CREATE} && kubectl delete pod -n shop cart-0")),
        (AccountLoss::Replaced, "Deployment", format!("{RESTART} deployment/cart")),
        (AccountLoss::Replaced, "StatefulSet", format!("{RESTART} statefulset/cart")),
        (AccountLoss::Replaced, "Job", "kubectl delete pod -n shop cart-0".to_owned()),
    ];
    for (lost, kind, command) in table {
        let pod = owned(kind);
        let known = Some(Known { pod: &pod, age: None });
        let facts = Facts { lost: Some(lost), known, ..facts(&good) };
        let finding = diagnose(&token, &at(100), facts).findings.remove(0);
        assert_eq!(finding.remedy.command, Some(command), "{kind}");
    }
}

/// Creates the account, also where another finding has had it created.
const CREATE: &str = "kubectl get serviceaccount -n shop cart || kubectl create serviceaccount -n \
                      shop cart";
const RESTART: &str = "kubectl rollout restart -n shop";

#[test]
fn a_terminating_pod_explains_a_lost_account() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(130));
    let facts = Facts { lost: Some(AccountLoss::Missing), ..of_pod(&pod, facts(&good)) };
    assert_eq!(diagnose(&token, &at(100), facts).findings, [], "its release is being removed");
}

#[test]
fn a_wrong_clock_does_not_explain_a_lost_account() {
    let (token, off) = (tracked(600, None), clock(ClockState::Off, 7_200, false));
    let facts = Facts { lost: Some(AccountLoss::Missing), ..facts(&off) };
    let finding = diagnose(&token, &at(100), facts).findings.remove(0);
    assert_eq!(finding.code, Code::SubjectReplaced);
}

#[test]
fn a_loss_that_is_not_counted_yet_is_looked_at_again() {
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    let facts = Facts { lost_from: Some(at(110).monotonic), ..facts(&good) };
    assert_eq!(diagnose(&token, &at(100), facts).findings, []);
    assert_eq!(next_change(&token, &at(100), facts), Some(at(110).monotonic));
}
