use crate::base::time::{Delta, Reading};
use crate::findings::{Affected, Code, Finding, Severity, Subject};
use crate::world::clocks::testing::*;
use crate::world::clocks::*;

fn findings(model: &ClockModel, now: &Reading) -> Vec<Finding> {
    super::clock_of("n1", model, Affected::default(), now)
}

fn codes(model: &ClockModel, now: &Reading) -> Vec<(Code, Severity, Option<String>)> {
    let server = |subject: Subject| match subject {
        Subject::Server { server } => Some(server),
        Subject::Token { .. } | Subject::Node { .. } => None,
    };
    let code = |finding: Finding| (finding.code, finding.severity, server(finding.subject));
    findings(model, now).into_iter().map(code).collect()
}

#[test]
fn the_wrong_server_is_named_and_the_node_is_not() {
    let model = after_round(at(100), &[("a", says(0)), ("b", says(1)), ("c", says(37_250))]);
    let votes: Vec<_> = model.servers().iter().map(|report| report.vote).collect();
    assert_eq!(votes, [Vote::Agrees, Vote::Agrees, Vote::Falseticker]);
    assert_eq!(
        codes(&model, &at(100)),
        [(Code::ClockServersDisagree, Severity::Warning, Some(server("c").to_string()))]
    );
    assert!(findings(&model, &at(100))[0].summary.contains("37.2s ahead of true time"));
}

#[test]
fn a_node_that_is_off_is_told_with_sign_and_size_and_once() {
    for (millis, side, severity) in
        [(37_250, "behind", Severity::Warning), (-90_000, "ahead of", Severity::Critical)]
    {
        let mut model =
            after_round(at(100), &[("a", says(millis)), ("b", says(millis)), ("c", says(millis))]);
        model.kernel(&kernel(at(100), false));
        let findings = findings(&model, &at(1_000));
        assert_eq!(findings[0].code, Code::ClockOffset);
        assert_eq!(findings[0].severity, severity);
        assert!(findings[0].summary.contains(side), "{}", findings[0].summary);
        assert!(
            findings[1..].iter().all(|finding| finding.severity == Severity::Info),
            "one cause, one warning: {findings:?}"
        );
    }
}

#[test]
fn what_no_longer_vouches_becomes_unknown_in_time() {
    let model = after_round(at(100), &[("a", says(0))]);
    assert_eq!(model.estimate(&at(1_899)).state, ClockState::Synchronised);
    assert!(
        model.estimate(&at(1_899)).bound > model.estimate(&at(100)).bound,
        "age widens the bound"
    );
    assert_eq!(model.next_change(&at(300)), Some(at(1_900).monotonic));
    assert_eq!(model.estimate(&at(1_900)).state, ClockState::Unknown);
    assert_eq!(codes(&model, &at(1_900)), [(Code::ClockUnknown, Severity::Warning, None)]);
}

#[test]
fn silence_at_start_is_no_finding_before_the_grace_is_over() {
    let mut model = model();
    assert!(codes(&model, &at(0)).is_empty());
    model.kernel(&kernel(at(0), false));
    assert!(codes(&model, &at(10_000)).is_empty(), "no round was heard");
    model.round(&round(at(10), &[("a", Err(ExchangeError::Timeout))]));
    assert!(codes(&model, &at(159)).is_empty());
    assert_eq!(codes(&model, &at(160)), [(Code::ClockUnknown, Severity::Warning, None)]);
}

#[test]
fn silence_says_what_to_repair() {
    let resolve = || Err(ExchangeError::Resolve("no".to_owned()));
    let cases: [(&[Answer<'_>], &str); 3] = [
        (&[("a", resolve()), ("b", resolve())], "name resolution"),
        (&[("a", resolve()), ("b", Err(ExchangeError::Timeout))], "UDP port 123"),
        (&[("a", Err(ExchangeError::Timeout))], "UDP port 123"),
    ];
    for (told, words) in cases {
        let finding = findings(&after_round(at(0), told), &at(200)).remove(0);
        assert!(finding.remedy.text.contains(words), "{}", finding.remedy.text);
    }
}

#[test]
fn the_kernel_vouches_where_no_server_does_until_its_own_bound_is_too_wide() {
    let mut model = ClockModel::new(Limits::default());
    model.kernel(&kernel(at(0), true));
    assert_eq!(
        (model.estimate(&at(0)).state, model.source(&at(0))),
        (ClockState::Synchronised, TimeSource::Kernel)
    );
    assert_eq!(model.estimate(&at(3_000)).state, ClockState::Unknown);
    model.kernel(&kernel(at(3_000), false));
    assert_eq!(codes(&model, &at(3_000)), [(Code::ClockUnknown, Severity::Info, None)]);
}

#[test]
fn a_clock_that_no_daemon_keeps_is_told_once_whoever_answers() {
    for (told, code) in
        [(says(0), Code::ClockUnsynchronized), (Err(ExchangeError::Timeout), Code::ClockUnknown)]
    {
        let mut model = after_round(at(0), &[("a", told)]);
        model.kernel(&kernel(at(0), false));
        let [finding] = findings(&model, &at(200)).try_into().unwrap();
        assert_eq!(finding.code, code);
        assert!(
            finding.summary.to_lowercase().contains("no time daemon disciplines"),
            "{}",
            finding.summary
        );
    }
}

#[test]
fn a_step_moves_the_offset_at_once_and_is_forgotten_once_measured() {
    let mut model = after_round(at(100), &[("a", says(0))]);
    let size = Delta::from_secs(90);
    let now = set(at(110), size);
    model.step(&step(at(110), size));
    let estimate = model.estimate(&now);
    assert_eq!(estimate.state, ClockState::Stepped);
    assert!((estimate.offset + size).abs() < Delta::from_millis(1), "{estimate:?}");
    let told: Vec<_> =
        codes(&model, &now).into_iter().map(|(code, severity, _)| (code, severity)).collect();
    assert_eq!(
        told,
        [(Code::ClockOffset, Severity::Critical), (Code::ClockStepped, Severity::Info)]
    );
    model.round(&round(set(at(120), size), &[("a", says(-90_000))]));
    assert_eq!(model.estimate(&set(at(120), size)).state, ClockState::Off);
    assert_eq!(model.next_change(&set(at(120), size)), Some(at(170).monotonic));
    let later: Vec<_> =
        codes(&model, &set(at(171), size)).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(later, [Code::ClockOffset]);
}

#[test]
fn a_step_that_repairs_the_clock_is_told_and_clears_the_offset() {
    let mut model = after_round(at(100), &[("a", says(-90_000))]);
    let size = Delta::from_secs(-90);
    model.step(&step(at(110), size));
    model.round(&round(set(at(111), size), &[("a", says(0))]));
    assert_eq!(codes(&model, &set(at(112), size)), [(Code::ClockStepped, Severity::Warning, None)]);
}

#[test]
fn a_leap_second_is_no_offset_and_is_told_as_what_it_is() {
    let midnight = 60;
    let before_midnight = set(at(100), Delta::from_secs(6_300 - midnight));
    assert_eq!(before_midnight.after(Delta::from_secs(midnight)).wall.as_secs() % 86_400, 0);
    let mut model = after_round(before_midnight, &[("a", says(0))]);
    model.kernel(&KernelClock { leap: Leap::Insert, ..kernel(before_midnight, true) });
    let second = Delta::from_secs(-1);
    let leap = step(before_midnight.after(Delta::from_secs(midnight)), second);
    let mut plain = model.clone();
    model.step(&leap);
    assert_eq!(
        codes(&model, &leap.after),
        [(Code::ClockStepped, Severity::Info, None)],
        "{:?}",
        model.estimate(&leap.after)
    );
    assert!(
        findings(&model, &leap.after)[0].summary.contains("leap second"),
        "{}",
        findings(&model, &leap.after)[0].summary
    );
    assert!(model.estimate(&leap.after).offset.abs() < Delta::from_millis(1));

    plain.kernel(&kernel(before_midnight, true));
    plain.step(&leap);
    assert_eq!(codes(&plain, &leap.after)[0].0, Code::ClockOffset, "nobody announced this one");
    let early = step(before_midnight.after(Delta::from_secs(midnight - 30)), second);
    model.step(&early);
    assert!(
        !findings(&model, &early.after)
            .iter()
            .any(|finding| finding.summary.contains("leap second")),
        "nor does it come half a minute early"
    );
}
