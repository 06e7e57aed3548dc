//! The node's clock, and its effect on tokens.

use super::*;

#[test]
fn there_are_no_findings_about_tokens_before_the_first_measurement() {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    assert_eq!(alerts(&engine.step(&at(700), token("p1", 0, 600)).reports, at(700).wall), []);
    assert_eq!(run(&mut engine, 700, 709), []);
    assert_eq!(
        run(&mut engine, 709, 711),
        [(710, AlertEvent::Raised, Code::Expired, Severity::Critical)]
    );
}

#[test]
fn a_wrong_clock_is_one_finding_and_not_two_hundred() {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    // The true age is 520 s: the tokens are good.
    let mut reported = engine.step(&at(610), measured(&at(610), Delta::from_secs(-90))).reports;
    for pod in 0..200 {
        reported.extend(engine.step(&at(610), token(&format!("p{pod}"), 0, 600)).reports);
    }
    reported.extend(engine.step(&at(611), Observation::Tick).reports);
    assert_eq!(summaries(&reported).len(), 1, "{:?}", summaries(&reported));
    let offset = &engine.findings()[0];
    assert_eq!((offset.code, offset.severity), (Code::ClockOffset, Severity::Critical));
    let _ = engine.step(&at(612), measured(&at(612), Delta::from_secs(-90)));
    assert!(
        engine.findings()[0].summary.ends_with("It makes 200 healthy tokens look wrong."),
        "{}",
        engine.findings()[0].summary
    );
    assert_eq!(
        spans(&reported).iter().filter(|name| **name == schema::SPAN_GENERATION).count(),
        0,
        "the clock does not end their traces"
    );
}

/// A round in which each of these servers gives an offset in seconds, or is silent.
fn answers(now: &Reading, offsets: &[Option<i64>]) -> Observation {
    let Observation::NtpRound(mut round) = measured(now, Delta::ZERO) else { unreachable!() };
    let first = round.exchanges.remove(0);
    round.exchanges.clear();
    for (nth, offset) in offsets.iter().enumerate() {
        let mut one = first.clone();
        one.server.host = format!("s{nth}");
        one.result = match offset {
            Some(secs) => {
                one.result.map(|sample| Sample { offset: Delta::from_secs(*secs), ..sample })
            }
            None => Err(crate::world::clocks::ExchangeError::Timeout),
        };
        round.exchanges.push(one);
    }
    Observation::NtpRound(round)
}

/// An offset that nobody proved takes no finding about a token away, and makes none milder.
#[test]
fn only_a_proven_offset_explains_what_a_token_shows() {
    type Row<'a> = (&'a [Option<i64>], (&'a str, Severity));
    let findings = |offsets: &[Option<i64>], is_disciplined: bool| {
        let mut config = Config { node: "n1".into(), ..Config::default() };
        config.clock.servers_configured = true;
        let mut engine = Engine::new(config);
        let _ = engine.step(&at(700), answers(&at(700), offsets));
        if is_disciplined {
            let kernel = crate::world::clocks::testing::kernel(at(700), true);
            let _ = engine.step(&at(700), Observation::Kernel(kernel));
        }
        let tokens = [("expired", 0, 600), ("stalled", 0, 1_000)];
        for (pod, iat, lifetime) in tokens {
            let _ = engine.step(&at(700), token(pod, iat, lifetime));
        }
        let _ = engine.step(&at(990), Observation::Tick);
        let all = engine.findings().into_iter();
        let codes = all.map(|finding| (finding.code.as_str(), finding.severity));
        let (clock, mut tokens): (Vec<_>, Vec<_>) =
            codes.partition(|(code, _)| code.starts_with("clock."));
        tokens.sort_unstable_by_key(|(code, _)| *code);
        (clock, tokens)
    };
    let (clock, tokens) = findings(&[], false);
    assert!(tokens.len() == 2 && clock.len() == 1, "{clock:?} {tokens:?}");
    let (unknown, offset) = (("clock.unknown", Severity::Warning), "clock.offset");
    for away in [Some(-7_200), Some(7_200)] {
        for is_disciplined in [false, true] {
            // (what the servers answer, the findings about the clock)
            let table: [Row<'_>; 4] = [
                (&[away, None, None], unknown),
                (&[away, None], unknown),
                (&[away, away, None, None, None], unknown),
                (&[away], (offset, Severity::Warning)),
            ];
            for (offsets, expected) in table {
                let (clock, same) = findings(offsets, is_disciplined);
                assert_eq!(clock, [expected], "{offsets:?} {is_disciplined}");
                assert_eq!(same, tokens, "{offsets:?} {is_disciplined}");
            }
        }
        let (clock, proven) = findings(&[away, away, None], false);
        assert_eq!(clock, [(offset, Severity::Critical)], "two of three prove it");
        assert_eq!(proven.is_empty(), away < Some(0), "a node that is ahead explains both");
    }
}

/// The finding names what one server alone would mean for tokens. That takes nothing away.
#[test]
fn one_server_alone_names_the_pods_that_the_api_server_would_refuse() {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    let _ = engine.step(&at(100), answers(&at(100), &[Some(3_000)]));
    let _ = engine.step(&at(100), token("p1", 0, 600));
    let _ = engine.step(&at(101), Observation::Tick);
    let _ = engine.step(&at(102), answers(&at(102), &[Some(3_000)]));
    let [finding] = engine.findings().try_into().unwrap();
    let summary = &finding.summary;
    assert!(summary.contains("The following holds if the server is right."), "{summary}");
    assert!(summary.contains("refuses 1 token that has expired by true time"), "{summary}");
    let [view] = engine.tokens(&at(102)).try_into().unwrap();
    assert_eq!(view.verdict, crate::world::tokens::Verdict::Uncertain, "either may be right");
}

/// Backends refuse what is dated in the future, and the alert about the clock first of all.
#[test]
fn an_alert_has_true_time_while_the_clock_is_known_to_be_off() {
    let true_times = |offset: i64| {
        let mut config = Config { node: "n1".into(), ..Config::default() };
        config.clock.servers_configured = true;
        let mut engine = Engine::new(config);
        let round = measured(&at(700), Delta::from_secs(offset));
        let mut reports = engine.step(&at(700), round).reports;
        reports.extend(engine.step(&at(701), token("p1", offset, 600)).reports);
        let alert = |report: &Report| match report {
            Report::Alert(alert) => Some((alert.at, alert.true_time)),
            Report::Span(_) | Report::Rotation { .. } => None,
        };
        reports.iter().filter_map(alert).collect::<Vec<_>>()
    };
    for offset in [-7_200, 7_200] {
        let times = true_times(offset);
        assert!(!times.is_empty());
        for (at, true_time) in times {
            assert_eq!(true_time, Some(at + Delta::from_secs(offset)));
        }
    }
    let healthy = true_times(0);
    assert!(!healthy.is_empty() && healthy.iter().all(|(_, time)| time.is_none()), "{healthy:?}");
}

#[test]
fn kubelet_has_time_to_catch_up_after_a_forward_step() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    let stepped = Reading { wall: at(3_400).wall, monotonic: at(2_000).monotonic };
    let step = crate::world::clocks::Step { size: Delta::from_secs(1_400), after: stepped };
    assert_eq!(
        alerts(&engine.step(&stepped, Observation::ClockStep(step)).reports, stepped.wall),
        []
    );
    let later = |secs: i64| stepped.after(Delta::from_secs(secs));
    assert_eq!(alerts(&engine.step(&later(119), Observation::Tick).reports, later(119).wall), []);
    assert!(engine.next_wake() <= Some(later(120).monotonic));
    let reported = alerts(&engine.step(&later(120), Observation::Tick).reports, later(120).wall);
    assert_eq!(reported, [(3_520, AlertEvent::Raised, Code::RotationStalled, Severity::Critical)]);
}

#[test]
fn the_snapshot_shows_that_the_first_measurement_is_pending() {
    let mut config = Config::default();
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    let _ = engine.step(&at(0), Observation::Tick);
    assert!(engine.readiness(&at(1)).awaits_clock(&at(1)));
    assert!(!engine.readiness(&at(1)).awaits_clock(&at(11)), "the grace period has ended");
    assert!(
        !super::Engine::new(Config::default()).readiness(&at(0)).awaits_clock(&at(0)),
        "no server is configured"
    );
}
