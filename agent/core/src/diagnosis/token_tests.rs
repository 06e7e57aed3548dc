use super::{ClockEffect, Explained, TokenDiagnosis, correlate, next};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{Code, Severity};
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::PodStage;
use crate::world::keys::KeyState;
use crate::world::kubelet::CatchingUp;
use crate::world::observation::{FileContent, FileSeen};
use crate::world::readers::ReaderFacts;
use crate::world::tokens::{
    Binding, Deadlines, KubeletPolicy, ObjectRef, TokenKey, Tracked, Verdict,
    claims_for_tests as claims,
};
use crate::world::{Conclusions, Facts, KubeletFacts, VerifierFacts};

pub(super) const IAT: i64 = 1_800_000_000;

pub(super) fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos((age + 10_000) * 1_000_000_000),
    }
}

pub(super) fn tracked(lifetime: i64, warn_after: Option<i64>) -> Tracked {
    let key = TokenKey { pod_uid: "pod-uid".into(), volume: "v".into(), path: "token".into() };
    let mut tracked = Tracked::new(key.clone());
    let content = FileContent::Token(Box::new(claims(IAT, lifetime, warn_after)));
    let _ = tracked.see(
        FileSeen { key, written_at: None, directory: None, content, signature: None },
        &at(0),
        KubeletPolicy::default(),
    );
    tracked
}

pub(super) fn clock(state: ClockState, offset: i64, assumed: bool) -> Estimate {
    Estimate {
        offset: Delta::from_secs(offset),
        bound: Delta::from_secs(1),
        assumed,
        alone: false,
        state,
    }
}

/// Facts without a cluster. The caller replaces the token.
pub(super) fn facts(clock: &Estimate) -> Facts<'_> {
    let tracked = Box::leak(Box::new(tracked(600, None)));
    Facts {
        tracked,
        verifier: VerifierFacts { key: KeyState::NotChecked, misfit: None, ahead: None },
        clock,
        stage: PodStage::Unknown,
        readers: ReaderFacts::default(),
        settle: Delta::ZERO,
        known: None,
        lost: None,
        lost_from: None,
        kubelet: KubeletFacts::default(),
    }
}

pub(super) fn diagnose(tracked: &Tracked, now: &Reading, facts: Facts<'_>) -> TokenDiagnosis {
    super::token(&Facts { tracked, ..facts }, now)
}

pub(super) fn next_change(tracked: &Tracked, now: &Reading, facts: Facts<'_>) -> Option<Monotonic> {
    let facts = Facts { tracked, ..facts };
    next::for_token(&facts, &Conclusions::new(&facts, now), now)
}

fn effect_of(tracked: &Tracked, age: i64, clock: &Estimate) -> ClockEffect {
    let facts = Facts { tracked, ..facts(clock) };
    correlate::token(tracked.current.as_ref().unwrap(), at(age).wall, &facts).clock_effect
}

fn codes_of(tracked: &Tracked, age: i64, clock: &Estimate) -> Vec<(Code, Severity)> {
    let diagnosis = diagnose(tracked, &at(age), facts(clock));
    diagnosis.findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

#[test]
fn severity_increases_towards_the_deadline() {
    use Code::{Expired, FutureDated, NotYetValid, RotationLate, RotationStalled};
    use Severity::{Critical, Info, Warning};
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
    let short = tracked(600, None);
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
        (&short, 570, None),
        (&short, 576, Some((RotationLate, Warning))), // 24 s are left
        (&short, 591, Some((RotationStalled, Critical))),
        (&extended, 3_370, Some((RotationStalled, Critical))),
        (&extended, 3_700, Some((RotationStalled, Warning))),
    ];
    for (token, age, expected) in table {
        assert_eq!(codes_of(token, age, &good), Vec::from_iter(expected), "age {age}");
    }
}

/// A token that somebody has put into the volume, bound to a Secret.
fn sealed(lifetime: i64) -> Tracked {
    let mut token = tracked(lifetime, None);
    let generation = token.current.as_mut().unwrap();
    let seal = ObjectRef { name: "seal".into(), uid: Some("seal-uid".into()) };
    generation.claims.binding =
        Binding { pod: None, secret: Some(seal), ..generation.claims.binding.clone() };
    generation.deadlines = Deadlines::of(&generation.claims, &KubeletPolicy::default());
    token
}

#[test]
fn kubelet_is_not_late_with_a_token_that_is_bound_to_a_secret() {
    use Code::{Expired, RotationLate, RotationStalled};
    use Severity::{Critical, Info, Warning};
    let good = clock(ClockState::Synchronised, 0, false);
    let (day, year) = (86_400, 31_536_000);
    let (sealed, by_kubelet) = (sealed(year), tracked(year, None));
    let table = [
        (0, None),
        (2 * day, None), // kubelet replaces its own after a day
        (year - 8 * day, None),
        (year - 6 * day, Some((RotationLate, Info))),
        (year - 2 * day, Some((RotationStalled, Warning))),
        (year - 1, Some((RotationStalled, Warning))),
        (year, Some((Expired, Critical))),
    ];
    for (age, expected) in table {
        assert_eq!(codes_of(&sealed, age, &good), Vec::from_iter(expected), "age {age}");
        let finding = diagnose(&sealed, &at(age), facts(&good)).findings.pop();
        let does_not = "kubelet does not replace it: it is bound to Secret seal.";
        assert!(finding.is_none_or(|of| {
            (of.summary.contains(does_not) || of.code == Expired)
                && of.remedy.text.contains("put a new one there")
        }));
    }
    let looks = codes_of(&by_kubelet, 2 * day, &good);
    assert_eq!(looks, [(RotationStalled, Warning)], "one that kubelet has requested");
}

#[test]
fn the_verdict_on_a_token_of_a_secret_is_open_until_it_ends() {
    let good = clock(ClockState::Synchronised, 0, false);
    let table = [(100, Verdict::Uncertain), (3_599, Verdict::Uncertain), (3_700, Verdict::Dead)];
    for (age, expected) in table {
        let interval = good.interval(at(age).wall);
        let (sealed, by_kubelet) = (sealed(3_600), tracked(3_600, None));
        let verdict = |tracked: &Tracked| {
            let facts = Facts { tracked, ..facts(&good) };
            facts.verdict(tracked.current.as_ref().unwrap(), &interval)
        };
        assert_eq!(verdict(&sealed), expected, "{age}");
        assert_eq!(verdict(&by_kubelet) == Verdict::Live, age == 100, "{age}");
    }
}

#[test]
fn the_deadline_is_when_requests_start_to_fail() {
    let good = clock(ClockState::Synchronised, 0, false);
    let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
    let table = [
        (&plain, -80, Code::NotYetValid, -60), // for this code: when they stop failing
        (&plain, -50, Code::FutureDated, 3_600),
        (&plain, 3_000, Code::RotationLate, 3_600),
        (&extended, 3_200, Code::RotationStalled, 3_607),
        (&plain, 3_600, Code::Expired, 3_600),
    ];
    for (token, age, code, deadline) in table {
        let finding = diagnose(token, &at(age), facts(&good)).findings.remove(0);
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
    assert_eq!(codes_of(&token, -100, &good), [(Code::FutureDated, Severity::Warning)]);
}

#[test]
fn symptoms_by_a_wrong_clock_are_no_findings() {
    let token = tracked(600, None);
    // (age by the node's clock, offset of true time)
    for (age, offset) in [(585, -90), (640, -200), (-90, 90), (-30, 40)] {
        let off = clock(ClockState::Off, offset, false);
        let diagnosis = diagnose(&token, &at(age), facts(&off));
        assert_eq!(diagnosis.findings, [], "age {age}");
        assert_eq!(diagnosis.explained, Explained::Clock, "age {age}");
        assert_eq!(effect_of(&token, age, &off), ClockEffect::LooksWrong, "age {age}");
    }
}

#[test]
fn a_symptom_by_both_clocks_has_the_lower_severity() {
    let token = tracked(600, None);
    assert_eq!(
        codes_of(&token, 700, &clock(ClockState::Off, -5, false)),
        [(Code::Expired, Severity::Critical)]
    );
    assert_eq!(
        codes_of(&token, 605, &clock(ClockState::Off, -20, false)),
        [(Code::RotationLate, Severity::Warning)],
        "20 s are left by true time"
    );
    assert_eq!(
        codes_of(&token, 300, &clock(ClockState::Off, 400, false)),
        [],
        "kubelet uses the node's clock"
    );
}

#[test]
fn a_token_that_only_looks_good_is_counted_as_refused() {
    let token = tracked(600, None);
    // (age by the node's clock, offset of true time, effect)
    for (age, offset, effect) in [
        (450, 225, ClockEffect::Refused),
        (450, 215, ClockEffect::None),
        (605, 90, ClockEffect::None),
    ] {
        let off = clock(ClockState::Off, offset, false);
        assert_eq!(effect_of(&token, age, &off), effect, "age {age}, offset {offset}");
    }
}

#[test]
fn a_refused_token_does_not_become_good_because_the_node_takes_it_for_new() {
    let token = tracked(600, None);
    // The node's clock was set back to before `iat`.
    let behind = |offset| clock(ClockState::Off, offset, false);
    assert_eq!(codes_of(&token, -100, &behind(2_100)), [], "the clock has its own finding");
    assert_eq!(effect_of(&token, -100, &behind(2_100)), ClockEffect::Refused);
    assert_eq!(codes_of(&token, -100, &behind(200)), [], "it only looks new");
    assert_eq!(effect_of(&token, -100, &behind(200)), ClockEffect::LooksWrong);
}

#[test]
fn kubelet_has_time_to_catch_up_after_a_forward_step() {
    let (token, good) = (tracked(3_600, None), clock(ClockState::Synchronised, 0, false));
    let until = at(3_300).monotonic;
    let after = |size| Facts {
        kubelet: KubeletFacts {
            catching_up: Some(CatchingUp { size: Delta::from_secs(size), until }),
            ..KubeletFacts::default()
        },
        ..facts(&good)
    };
    let codes = |age, size| {
        diagnose(&token, &at(age), after(size))
            .findings
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(3_200, 400), [], "not due before the step");
    assert_eq!(codes(3_200, 100), [Code::RotationStalled], "late before the step as well");
    assert_eq!(codes(3_700, 900), [Code::Expired], "expired before the step as well");
    assert_eq!(next_change(&token, &at(3_200), after(400)), Some(until));
}

#[test]
fn a_malformed_file_is_a_finding_once_it_has_settled() {
    let mut token = tracked(600, None);
    let content = FileContent::Malformed { reason: "its payload is cut off".into() };
    let _ = token.see(
        FileSeen {
            key: token.key.clone(),
            written_at: None,
            directory: None,
            content,
            signature: None,
        },
        &at(10),
        KubeletPolicy::default(),
    );
    let good = clock(ClockState::Synchronised, 0, false);
    let facts = Facts { settle: Delta::from_secs(10), ..facts(&good) };
    assert_eq!(diagnose(&token, &at(15), facts).findings, []);
    assert_eq!(next_change(&token, &at(15), facts), Some(at(20).monotonic));
    let finding = &diagnose(&token, &at(20), facts).findings[0];
    assert_eq!(
        finding.summary,
        "Token \"token\" of pod shop/cart-0 (volume v) does not hold a token: its payload is cut \
         off."
    );
}

#[test]
fn summaries_name_token_cause_and_time() {
    let token = tracked(600, None);
    let good = clock(ClockState::Synchronised, 0, false);
    let summary = |age| diagnose(&token, &at(age), facts(&good)).findings[0].summary.clone();
    assert_eq!(
        summary(592),
        "Token \"token\" of pod shop/cart-0 (volume v) should have been replaced 1m 52s ago: \
         kubelet has stopped rotating it. It expires in 8.0s, at 2027-01-15T08:10:00Z."
    );
    assert_eq!(
        summary(672),
        "Token \"token\" of pod shop/cart-0 (volume v) expired 1m 12s ago: the API server answers \
         401 to every request with it."
    );
}

#[test]
fn an_unconfirmed_clock_is_named_in_the_summary() {
    let (token, alone) = (tracked(600, None), clock(ClockState::Unknown, 0, true));
    for (age, outcome) in [(672, "answers 401"), (610, "refuses it within 1m 00s")] {
        let finding = diagnose(&token, &at(age), facts(&alone)).findings.remove(0);
        assert_eq!((finding.code, finding.severity), (Code::Expired, Severity::Critical));
        let words = "ago by this node's own clock, which no time source confirms. If that clock \
                     is right, the API server ";
        assert!(finding.summary.contains(&format!("{words}{outcome}")), "{}", finding.summary);
    }
}

#[test]
fn findings_change_only_at_announced_times() {
    let (token, off) = (tracked(600, None), clock(ClockState::Off, -25, false));
    let facts = facts(&off);
    let mut now = at(-120);
    while let Some(next) = next_change(&token, &now, facts) {
        let until = now.after(next - now.monotonic - Delta::from_millis(1));
        let kinds = |reading: &Reading| {
            diagnose(&token, reading, facts)
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
