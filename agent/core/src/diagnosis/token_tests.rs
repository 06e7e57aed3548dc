use super::{ClockEffect, TokenDiagnosis, next};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{Code, Severity};
use crate::world::Facts;
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::{AccountLoss, Known, Owner, Pod};
use crate::world::kubelet::CatchingUp;
use crate::world::observation::{FileContent, FileSeen};
use crate::world::tokens::{KubeletPolicy, TokenKey, Tracked, claims_for_tests as claims};

const IAT: i64 = 1_800_000_000;

fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos((age + 10_000) * 1_000_000_000),
    }
}

fn tracked(lifetime: i64, warn_after: Option<i64>) -> Tracked {
    let key = TokenKey { pod_uid: "pod-uid".into(), volume: "v".into(), path: "token".into() };
    let mut tracked = Tracked::new(key.clone());
    let content = FileContent::Token(Box::new(claims(IAT, lifetime, warn_after)));
    let _ =
        tracked.see(FileSeen { key, written_at: None, content }, &at(0), KubeletPolicy::default());
    tracked
}

fn clock(state: ClockState, offset: i64, assumed: bool) -> Estimate {
    Estimate { offset: Delta::from_secs(offset), bound: Delta::from_secs(1), assumed, state }
}

/// Facts about any token, to be used with another one.
fn facts(clock: &Estimate) -> Facts<'_> {
    let tracked = Box::leak(Box::new(tracked(600, None)));
    Facts { tracked, clock, settle: Delta::ZERO, catching_up: None, known: None, lost: None }
}

fn judge(tracked: &Tracked, now: &Reading, facts: Facts<'_>) -> TokenDiagnosis {
    super::token(&Facts { tracked, ..facts }, now)
}

fn next_change(tracked: &Tracked, now: &Reading, facts: Facts<'_>) -> Option<Monotonic> {
    next::for_token(&Facts { tracked, ..facts }, now)
}

fn found(tracked: &Tracked, age: i64, clock: &Estimate) -> Vec<(Code, Severity)> {
    let judged = judge(tracked, &at(age), facts(clock));
    judged.findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

#[test]
fn severity_grows_with_nearness() {
    use Code::{Expired, FutureDated, NotYetValid, RotationLate, RotationStalled};
    use Severity::{Critical, Info, Warning};
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
    let table = [
        (&plain, -80, Some((NotYetValid, Critical))),
        (&plain, -50, Some((FutureDated, Info))),
        (&plain, -11, None),
        (&plain, 100, None),
        (&plain, 2_900, None),
        (&plain, 3_000, Some((RotationLate, Info))),
        (&plain, 3_180, Some((RotationStalled, Warning))),
        (&plain, 3_360, Some((RotationStalled, Critical))),
        (&plain, 3_600, Some((Expired, Critical))),
        (&extended, 3_370, Some((RotationStalled, Critical))),
        (&extended, 3_700, Some((RotationStalled, Warning))),
    ];
    for (token, age, expected) in table {
        assert_eq!(found(token, age, &good), Vec::from_iter(expected), "age {age}");
    }
}

#[test]
fn the_deadline_is_when_it_starts_to_hurt() {
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
    let table = [
        (&plain, -80, Code::NotYetValid, -60), // there: when it stops
        (&plain, -50, Code::FutureDated, 3_600),
        (&plain, 3_000, Code::RotationLate, 3_600),
        (&extended, 3_200, Code::RotationStalled, 3_607),
        (&plain, 3_600, Code::Expired, 3_670),
    ];
    for (token, age, code, deadline) in table {
        let finding = judge(token, &at(age), facts(&good)).findings.remove(0);
        assert_eq!(
            (finding.code, finding.deadline),
            (code, Some(Wall::from_secs(IAT + deadline))),
            "age {age}"
        );
    }
}

#[test]
fn a_future_iat_with_an_early_nbf_is_a_warning() {
    let mut token = tracked(3_600, None);
    let generation = token.current.as_mut().unwrap();
    generation.claims.not_before = Wall::from_secs(IAT - 3_600);
    generation.deadlines =
        crate::world::tokens::Deadlines::of(&generation.claims, &KubeletPolicy::default());
    let good = clock(ClockState::Synchronised, 0, false);
    assert_eq!(found(&token, -100, &good), [(Code::FutureDated, Severity::Warning)]);
}

#[test]
fn a_clock_that_is_off_is_not_held_against_tokens() {
    let token = tracked(600, None);
    // (age on the node's clock, true minus node, finding by node clock alone)
    for (age, offset) in [(585, -90), (640, -200), (-90, 90), (-30, 40)] {
        let off = clock(ClockState::Off, offset, false);
        let judged = judge(&token, &at(age), facts(&off));
        assert_eq!(judged.findings, [], "age {age}");
        assert_eq!(judged.clock_effect, ClockEffect::LooksWrong, "age {age}");
    }
}

#[test]
fn what_both_clocks_see_stays_and_the_milder_word_counts() {
    let token = tracked(600, None);
    assert_eq!(
        found(&token, 700, &clock(ClockState::Off, -5, false)),
        [(Code::Expired, Severity::Critical)]
    );
    assert_eq!(
        found(&token, 605, &clock(ClockState::Off, -20, false)),
        [(Code::RotationLate, Severity::Info)]
    );
    assert_eq!(
        found(&token, 300, &clock(ClockState::Off, 400, false)),
        [],
        "kubelet goes by the node's clock"
    );
}

#[test]
fn a_token_that_only_looks_good_is_counted() {
    let token = tracked(600, None);
    // (age on the node's clock, true minus node, what the clock does to it)
    for (age, offset, effect) in [
        (450, 225, ClockEffect::Refused),
        (450, 215, ClockEffect::None),
        (605, 90, ClockEffect::None),
    ] {
        let off = clock(ClockState::Off, offset, false);
        assert_eq!(
            judge(&token, &at(age), facts(&off)).clock_effect,
            effect,
            "age {age}, offset {offset}"
        );
    }
}

#[test]
fn kubelet_may_catch_up_after_the_clock_was_set_forward() {
    let (token, good) = (tracked(3_600, None), clock(ClockState::Synchronised, 0, false));
    let until = at(3_300).monotonic;
    let after = |size| Facts {
        catching_up: Some(CatchingUp { size: Delta::from_secs(size), until }),
        ..facts(&good)
    };
    let codes = |age, size| {
        judge(&token, &at(age), after(size))
            .findings
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(3_200, 400), [], "not even due before the clock was set");
    assert_eq!(codes(3_200, 100), [Code::RotationStalled], "late before as well");
    assert_eq!(codes(3_700, 900), [Code::Expired], "dead is dead");
    assert_eq!(next_change(&token, &at(3_200), after(400)), Some(until));
}

#[test]
fn trouble_is_said_once_it_has_settled() {
    let mut token = tracked(600, None);
    let content = FileContent::Malformed { reason: "its payload is cut off".into() };
    let _ = token.see(
        FileSeen { key: token.key.clone(), written_at: None, content },
        &at(10),
        KubeletPolicy::default(),
    );
    let good = clock(ClockState::Synchronised, 0, false);
    let facts = Facts { settle: Delta::from_secs(10), ..facts(&good) };
    assert_eq!(judge(&token, &at(15), facts).findings, []);
    assert_eq!(next_change(&token, &at(15), facts), Some(at(20).monotonic));
    let finding = &judge(&token, &at(20), facts).findings[0];
    assert_eq!(
        finding.summary,
        "Token \"token\" of pod shop/cart-0 (volume v) does not hold a token: its payload is cut \
         off."
    );
}

#[test]
fn sentences_say_who_what_and_how_long() {
    let token = tracked(600, None);
    let good = clock(ClockState::Synchronised, 0, false);
    let say = |age| judge(&token, &at(age), facts(&good)).findings[0].summary.clone();
    assert_eq!(
        say(592),
        "Token \"token\" of pod shop/cart-0 (volume v) should have been replaced 1m 52s ago: \
         kubelet has stopped rotating it. It expires in 8.0s, at 2027-01-15T08:10:00Z."
    );
    assert_eq!(
        say(672),
        "Token \"token\" of pod shop/cart-0 (volume v) expired 1m 12s ago: the API server answers \
         401 to every request with it."
    );
}

fn terminating_at(deletion: i64) -> Pod {
    let owner = Some(Owner { kind: "Job".into(), name: "report".into() });
    let deletion = Some(Wall::from_secs(IAT + deletion));
    Pod { namespace: "shop".into(), name: "report-x".into(), owner, deletion, ..Pod::default() }
}

#[test]
fn a_pod_that_is_going_is_the_cause_and_kubelet_is_not_accused() {
    use Severity::{Critical, Warning};
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(600, None), tracked(31_536_000, Some(3_607)));
    // (token, its age, when the grace period ends, what is found)
    let table = [
        (&plain, 100, 700, Some(Warning)),
        (&plain, 100, 600, None), // it lasts until the end
        (&plain, 595, 600, None), // late by far, and that is no fault
        (&plain, 595, 700, Some(Warning)),
        (&plain, 650, 700, Some(Critical)),
        (&plain, 750, 700, None), // nobody is left who would use it
        (&extended, 3_700, 4_000, Some(Warning)),
    ];
    for (token, age, deletion, expected) in table {
        let pod = terminating_at(deletion);
        let facts = Facts { known: Some(Known { pod: &pod, age: None }), ..facts(&good) };
        let found: Vec<_> =
            judge(token, &at(age), facts).findings.iter().map(|f| (f.code, f.severity)).collect();
        assert_eq!(
            found,
            Vec::from_iter(expected.map(|severity| (Code::PodTerminating, severity))),
            "age {age}, until {deletion}"
        );
    }
}

#[test]
fn a_pod_that_is_going_is_judged_again_when_its_token_and_when_itself_ends() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(700));
    let facts = Facts { known: Some(Known { pod: &pod, age: None }), ..facts(&good) };
    let wakes: Vec<_> = [595, 600, 670].map(|age| next_change(&token, &at(age), facts)).into();
    assert_eq!(wakes, [600, 670, 700].map(|age| Some(at(age).monotonic)));
}

#[test]
fn what_the_cluster_knows_is_told_with_its_age() {
    let (token, good, pod) =
        (tracked(600, None), clock(ClockState::Synchronised, 0, false), terminating_at(700));
    let facts =
        Facts { known: Some(Known { pod: &pod, age: Some(Delta::from_secs(90)) }), ..facts(&good) };
    let finding = &judge(&token, &at(595), facts).findings[0];
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
fn an_account_that_is_gone_is_the_cause_with_a_remedy_of_its_own() {
    let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
    // (what became of it, the token's age, the code, how the sentence ends, the command)
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
        let finding = judge(&token, &at(age), facts).findings.remove(0);
        assert_eq!((finding.code, finding.severity), (code, Severity::Critical));
        assert!(finding.summary.ends_with(words), "{}", finding.summary);
        assert_eq!(finding.remedy.command.as_deref(), Some(command));
        assert_eq!(finding.evidence.get("service_account_state"), Some(&lost.name().into()));
    }
    assert_eq!(
        judge(&token, &at(100), Facts { lost: Some(AccountLoss::Missing), ..facts(&good) })
            .findings,
        [],
        "not asked about yet"
    );
}

#[test]
fn a_clock_that_nothing_vouches_for_is_named_as_the_witness() {
    let (token, alone) = (tracked(600, None), clock(ClockState::Unknown, 0, true));
    for (age, outcome) in [(672, "answers 401"), (610, "refuses it within 1m 00s")] {
        let finding = judge(&token, &at(age), facts(&alone)).findings.remove(0);
        assert_eq!((finding.code, finding.severity), (Code::Expired, Severity::Critical));
        let words = "ago by this node's own clock, which no time source confirms. If that clock \
                     is right, the API server ";
        assert!(finding.summary.contains(&format!("{words}{outcome}")), "{}", finding.summary);
    }
}

#[test]
fn nothing_changes_between_the_moments_that_are_woken_for() {
    let (token, off) = (tracked(600, None), clock(ClockState::Off, -25, false));
    let facts = facts(&off);
    let mut now = at(-120);
    while let Some(next) = next_change(&token, &now, facts) {
        let until = now.after(next - now.monotonic - Delta::from_millis(1));
        let kinds = |reading: &Reading| {
            judge(&token, reading, facts)
                .findings
                .iter()
                .map(|f| (f.code, f.severity))
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(&now), kinds(&until));
        now = now.after(next - now.monotonic);
    }
    assert!(now.wall > Wall::from_secs(IAT + 670));
}
