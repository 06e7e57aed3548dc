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
