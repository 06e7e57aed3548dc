use crate::base::time::{Delta, Reading};
use crate::findings::{Affected, Code, Finding, Severity, Subject};
use crate::world::clocks::testing::*;
use crate::world::clocks::*;

fn findings(model: &ClockModel, now: &Reading) -> Vec<Finding> {
    super::clock_of("n1", model, &Affected::default(), now)
}

fn codes(model: &ClockModel, now: &Reading) -> Vec<(Code, Severity, Option<String>)> {
    let server = |subject: Subject| match subject {
        Subject::Server { server } => Some(server),
        Subject::Token { .. } | Subject::Node { .. } | Subject::File { .. } => None,
    };
    let code = |finding: Finding| (finding.code, finding.severity, server(finding.subject));
    findings(model, now).into_iter().map(code).collect()
}

#[test]
fn a_falseticker_is_named_and_the_node_is_not() {
    let model =
        after_round(at(100), &[("a", offset_ms(0)), ("b", offset_ms(1)), ("c", offset_ms(37_250))]);
    let votes: Vec<_> = model.servers().iter().map(|report| report.vote).collect();
    assert_eq!(votes, [Vote::Agrees, Vote::Agrees, Vote::Falseticker]);
    assert_eq!(
        codes(&model, &at(100)),
        [(Code::ClockServersDisagree, Severity::Warning, Some(server("c").to_string()))]
    );
    assert!(findings(&model, &at(100))[0].summary.contains("37.2s ahead of true time"));
}

#[test]
fn an_offset_is_reported_once_with_sign_and_size() {
    for (millis, side, severity) in
        [(37_250, "behind", Severity::Warning), (-90_000, "ahead of", Severity::Critical)]
    {
        let mut model = after_round(
            at(100),
            &[("a", offset_ms(millis)), ("b", offset_ms(millis)), ("c", offset_ms(millis))],
        );
        model.kernel(&kernel(at(100), false));
        let findings = findings(&model, &at(1_000));
        assert_eq!(findings[0].code, Code::ClockOffset);
        assert_eq!(findings[0].severity, severity);
        assert!(findings[0].summary.contains(side), "{}", findings[0].summary);
        assert!(
            findings[1..].iter().all(|finding| finding.severity == Severity::Info),
            "one cause has one warning: {findings:?}"
        );
    }
}

#[test]
fn a_clock_without_confirmation_becomes_unknown() {
    let model = after_round(at(100), &[("a", offset_ms(0))]);
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
fn missing_answers_are_no_finding_within_the_grace_period() {
    let mut model = model();
    assert!(codes(&model, &at(0)).is_empty());
    model.kernel(&kernel(at(0), false));
    assert!(codes(&model, &at(10_000)).is_empty(), "no round has ended");
    model.round(&round(at(10), &[("a", Err(ExchangeError::Timeout))]));
    assert!(codes(&model, &at(159)).is_empty());
    assert_eq!(codes(&model, &at(160)), [(Code::ClockUnknown, Severity::Warning, None)]);
}

#[test]
fn the_remedy_depends_on_why_no_server_answers() {
    let resolve = || Err(ExchangeError::Resolve("no".to_owned()));
    let kiss = |code: &str| Err(ExchangeError::KissOfDeath(code.to_owned()));
    let network = || Err(ExchangeError::Network("Connection refused (os error 111)".to_owned()));
    let far = || Err(ExchangeError::RootDistanceExceeded(Delta::from_secs(9)));
    let invalid = || Err(ExchangeError::InvalidResponse("too short".to_owned()));
    let cases: [(&[Answer<'_>], &[&str]); 13] = [
        (&[("a", resolve()), ("b", resolve())], &["name resolution"]),
        (&[("a", Err(ExchangeError::Timeout))], &["UDP port 123", "a:123"]),
        (&[("a", network())], &["network path to a:123"]),
        (&[("a", Err(ExchangeError::Unsynchronised))], &["time source of a:123"]),
        (&[("a", kiss("RATE"))], &["less often"]),
        (&[("a", kiss("DENY"))], &["operator of a:123"]),
        (&[("a", kiss("RSTR"))], &["operator of a:123"]),
        (&[("a", kiss("NTSN"))], &["without authentication"]),
        (&[("a", kiss("XYZ1"))], &["operator of a:123"]),
        (&[("a", far())], &["too wide"]),
        (&[("a", invalid())], &["not that of an NTP server"]),
        (&[("a", Err(ExchangeError::ClockStepped))], &["sets this node's clock"]),
        (
            &[("a", resolve()), ("b", Err(ExchangeError::Timeout)), ("c", kiss("DENY"))],
            &["name resolution", "UDP port 123 from this node to b:123", "operator of c:123"],
        ),
    ];
    for (answers, words) in cases {
        let finding = findings(&after_round(at(0), answers), &at(200)).remove(0);
        let remedy = &finding.remedy.text;
        assert!(words.iter().all(|word| remedy.contains(word)), "{words:?}: {remedy}");
        let is_closed = answers.iter().any(|(_, answer)| *answer == Err(ExchangeError::Timeout));
        assert_eq!(remedy.contains("UDP"), is_closed, "only silence is a closed port: {remedy}");
        assert_eq!(remedy.contains("name resolution"), answers[0].1 == resolve(), "{remedy}");
    }
}

#[test]
fn the_kernel_confirms_the_clock_until_its_bound_is_too_wide() {
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
fn a_clock_without_a_daemon_is_reported_once() {
    for (answer, code) in [
        (offset_ms(0), Code::ClockUnsynchronized),
        (Err(ExchangeError::Timeout), Code::ClockUnknown),
    ] {
        let mut model = after_round(at(0), &[("a", answer)]);
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
fn a_step_moves_the_offset_at_once_until_it_is_measured() {
    let all = |millis| ["a", "b", "c"].map(|name| (name, offset_ms(millis)));
    let mut model = after_round(at(100), &all(0));
    let size = Delta::from_secs(90);
    let now = set(at(110), size);
    model.step(&step(at(110), size));
    let estimate = model.estimate(&now);
    assert_eq!(estimate.state, ClockState::Stepped);
    assert!((estimate.offset + size).abs() < Delta::from_millis(1), "{estimate:?}");
    let reported: Vec<_> =
        codes(&model, &now).into_iter().map(|(code, severity, _)| (code, severity)).collect();
    assert_eq!(
        reported,
        [(Code::ClockOffset, Severity::Critical), (Code::ClockStepped, Severity::Info)]
    );
    model.round(&round(set(at(120), size), &all(-90_000)));
    assert_eq!(model.estimate(&set(at(120), size)).state, ClockState::Off);
    assert_eq!(model.next_change(&set(at(120), size)), Some(at(170).monotonic));
    let later: Vec<_> =
        codes(&model, &set(at(171), size)).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(later, [Code::ClockOffset]);
}

#[test]
fn a_step_that_repairs_the_clock_is_reported_and_clears_the_offset() {
    let mut model = after_round(at(100), &[("a", offset_ms(-90_000))]);
    let size = Delta::from_secs(-90);
    model.step(&step(at(110), size));
    model.round(&round(set(at(111), size), &[("a", offset_ms(0))]));
    assert_eq!(codes(&model, &set(at(112), size)), [(Code::ClockStepped, Severity::Warning, None)]);
}

#[test]
fn a_leap_second_is_reported_as_such_and_is_no_offset() {
    let midnight = 60;
    let before_midnight = set(at(100), Delta::from_secs(6_300 - midnight));
    assert_eq!(before_midnight.after(Delta::from_secs(midnight)).wall.as_secs() % 86_400, 0);
    let mut model = after_round(before_midnight, &[("a", offset_ms(0))]);
    model.kernel(&KernelClock { leap: Leap::Insert, ..kernel(before_midnight, true) });
    let second = Delta::from_secs(-1);
    let leap = step(before_midnight.after(Delta::from_secs(midnight)), second);
    let mut unannounced = model.clone();
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

    unannounced.kernel(&kernel(before_midnight, true));
    unannounced.step(&leap);
    assert_eq!(
        codes(&unannounced, &leap.after)[0].0,
        Code::ClockOffset,
        "this one was not announced"
    );
    let early = step(before_midnight.after(Delta::from_secs(midnight - 30)), second);
    model.step(&early);
    assert!(
        !findings(&model, &early.after)
            .iter()
            .any(|finding| finding.summary.contains("leap second")),
        "a step half a minute before midnight is not a leap second"
    );
}
