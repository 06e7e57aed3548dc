//! The API server's clock: who is wrong, and what that breaks.

use super::*;
use crate::world::clocks::{DateSeen, ExchangeError, KernelClock};
use crate::world::keys::{KeySet, KeysAnswer, KeysSeen};

/// An answer of an API server that is `ahead` seconds ahead of the node's clock.
fn answer(age: i64, ahead: i64) -> Observation {
    answer_of(&[], age, ahead)
}

/// The same, of one with these names in its certificate.
fn answer_of(names: &[&str], age: i64, ahead: i64) -> Observation {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let (sent, received) = (at(age).after(Delta::from_millis(-8)), at(age));
    let date = Wall::from_secs((received.wall + Delta::from_millis(ahead * 1_000 - 4)).as_secs());
    Observation::ApiServerDate(DateSeen { sent, received, date, names })
}

fn config() -> Config {
    let mut config = Config { node: "n1".into(), cluster_configured: true, ..Config::default() };
    config.clock.servers_configured = true;
    config
}

/// A node with a token of 600 s whose true time is `offset` seconds later than its clock shows,
/// where that is known; and the API servers that answer in turn.
fn node(offset: Option<i64>, ahead: &[i64]) -> Engine {
    let mut engine = Engine::new(config());
    let _ = engine.step(&at(1), token("p1", 0, 600));
    for nth in 0..12 {
        let age = 2 + 30 * nth;
        if let Some(offset) = offset {
            let _ = engine.step(&at(age), measured(&at(age), Delta::from_secs(offset)));
        }
        let of = ahead[usize::try_from(nth).unwrap() % ahead.len()];
        let _ = engine.step(&at(age + 1), answer(age + 1, of));
    }
    let _ = engine.step(&at(360), Observation::Tick);
    engine
}

fn skew(engine: &Engine) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == Code::ApiserverSkew)
}

fn text(finding: &Finding, name: &str) -> String {
    finding.evidence.get(name).and_then(crate::base::value::Value::text).unwrap().to_owned()
}

#[test]
fn who_is_wrong_is_named() {
    use Severity::{Critical, Info, Warning};
    // True time after the node's clock, the API servers' clocks after it, who is wrong.
    type Row<'a> = (Option<i64>, &'a [i64], Option<(&'a str, Severity)>);
    let table: &[Row<'_>] = &[
        (Some(0), &[0], None),
        (Some(0), &[1], None), // a second is not certain
        (Some(0), &[5], Some(("api_server", Info))),
        (Some(0), &[-30], Some(("api_server", Warning))),
        (Some(0), &[90], Some(("api_server", Warning))),
        (Some(0), &[7_200], Some(("api_server", Critical))), // dead before it is refreshed
        (Some(90), &[90], None),                             // the node alone: clock.offset
        (Some(-90), &[-90], None),
        (Some(90), &[0], Some(("api_server", Warning))), // the same error as the node's
        (Some(0), &[0, 0, 30], Some(("one_api_server", Warning))),
        (Some(0), &[0, 90], Some(("one_api_server", Critical))),
        (Some(0), &[0, 1], None),
        (None, &[0], None),
        (None, &[20], Some(("node_or_api_server", Warning))),
        (None, &[0, 90], Some(("either_api_server", Critical))),
    ];
    for (offset, ahead, expected) in table {
        let found = skew(&node(*offset, ahead));
        let found = found.map(|finding| (text(&finding, "wrong"), finding.severity));
        let expected = expected.map(|(wrong, severity)| (wrong.to_owned(), severity));
        assert_eq!(found, expected, "{offset:?} {ahead:?}");
    }
}

#[test]
fn what_it_breaks_is_named() {
    // How far the API server is ahead of the node and of true time: 600 s tokens are due after
    // 480 s, and refused after 660 s.
    let table = [
        (30, vec![]),
        (90, vec!["not_yet_valid"]),
        (170, vec!["not_yet_valid"]),
        (190, vec!["not_yet_valid", "dead_before_refresh: 1"]),
        (-300, vec![]),
        (-500, vec!["refreshed_each_sync: 1"]),
    ];
    for (ahead, expected) in table {
        let finding = skew(&node(Some(0), &[ahead])).unwrap();
        let effects = finding.evidence.get("effects").cloned();
        let expected = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(effects, Some(crate::base::value::Value::List(expected)), "{ahead}");
    }
    let summary = skew(&node(Some(0), &[190])).unwrap().summary;
    let start = "The API server's clock is 3m 10s ahead of true time (±";
    assert!(summary.starts_with(start), "{summary}");
    assert!(summary.contains("refuses 1 token of this node before kubelet replaces"), "{summary}");
}

#[test]
fn which_of_several_is_wrong_is_named_by_its_certificate() {
    // (the certificates and clocks of those that answer in turn, true time, the names)
    type Row<'a> = (&'a [(&'a [&'a str], i64)], Option<i64>, &'a str);
    let (one, two, three): (&[&str], &[&str], &[&str]) =
        (&["k8s", "cp-1"], &["k8s", "cp-2"], &["k8s", "cp-3"]);
    let table: &[Row<'_>] = &[
        (&[(one, 0), (two, 90)], Some(0), " (certificate: cp-2)"),
        (&[(one, 0), (two, 90), (three, 0)], Some(0), " (certificate: cp-2)"),
        (&[(one, 0), (two, 90), (three, 90)], Some(0), ""),
        (&[(one, 0), (one, 90)], Some(0), ""),
        (&[(&[], 0), (two, 90)], Some(0), ""),
        (&[(one, 0), (two, 90)], None, " (certificate: cp-2, cp-1)"),
    ];
    for (servers, truth, expected) in table {
        let mut engine = Engine::new(config());
        // Before, all of them were right.
        for nth in 0..24 {
            let age = 2 + 30 * nth;
            if let Some(offset) = truth {
                let seen = measured(&at(age), Delta::from_secs(*offset));
                let _ = engine.step(&at(age), seen);
            }
            let (names, ahead) = servers[usize::try_from(nth).unwrap() % servers.len()];
            let ahead = if nth < 9 { 0 } else { ahead };
            let _ = engine.step(&at(age + 1), answer_of(names, age + 1, ahead));
        }
        let finding = skew(&engine).unwrap();
        let is_expected = finding.summary.contains(&format!("API servers{expected} "));
        assert!(is_expected, "{servers:?}: {}", finding.summary);
        let cause = finding.cause().unwrap();
        let named = expected.contains("cp-2");
        assert_eq!(cause.as_str().starts_with("api_server:cp-"), named, "{cause}");
    }
}

#[test]
fn it_is_reported_once_and_stays_while_the_clock_is_not_known() {
    let mut engine = node(Some(0), &[90]);
    let mut reports = Vec::new();
    let mut step = |engine: &mut Engine, age, observation| {
        let outcome = engine.step(&at(age), observation);
        let alert = |report| if let Report::Alert(alert) = report { Some(alert) } else { None };
        let alerts = outcome.reports.into_iter().filter_map(alert);
        let alerts = alerts.filter(|alert| alert.finding.code == Code::ApiserverSkew);
        reports.extend(alerts.map(|alert| (age, alert.event)));
    };
    step(&mut engine, 400, answer(400, 90));
    step(&mut engine, 5_000, measured(&at(5_000), Delta::ZERO));
    assert!(skew(&engine).is_some(), "no answer for an hour is no repair");
    for age in 5_001..5_004 {
        step(&mut engine, age, answer(age, 0));
    }
    for age in [5_100, 5_200] {
        step(&mut engine, age, measured(&at(age), Delta::ZERO));
    }
    let cleared: Vec<_> = reports.iter().map(|(_, event)| *event).collect();
    assert_eq!(cleared.last(), Some(&AlertEvent::Cleared), "{reports:?}");
    assert!(!cleared.contains(&AlertEvent::Raised), "{reports:?}");
}

/// The agent sends few requests. An answer of another clock makes it ask for the keys again, which
/// takes three answers, and no more than once a minute.
#[test]
fn a_clock_that_differs_is_asked_soon() {
    let asks = |answers: &[(i64, i64)]| {
        let mut engine = Engine::new(config());
        let mut asked = Vec::new();
        let mut step = |age: i64, observation| {
            if engine.step(&at(age), observation).queries.contains(&Query::Keys) {
                asked.push(age);
                let keys = KeySet { issuer: None, ids: vec!["k1".into()] };
                let seen = KeysSeen { sent: at(age), answer: KeysAnswer::Published(keys) };
                let _ = engine.step(&at(age), Observation::Keys(seen));
            }
        };
        step(1, Observation::Cluster(ClusterSeen::Listed(vec![])));
        for (age, ahead) in answers {
            step(*age, answer(*age, *ahead));
        }
        for age in (300..900).step_by(10) {
            step(age, Observation::Tick);
        }
        asked
    };
    let calm = [(50, 0), (60, 0), (70, 0), (80, 0)];
    assert_eq!(asks(&calm), [1]);
    let set = [&calm[..], &[(200, -500)]].concat();
    assert_eq!(asks(&set), [1, 200]);
    let in_turn: Vec<_> = (0..8).map(|nth| (50 + 10 * nth, (nth % 2) * 90)).collect();
    let asked = asks(&in_turn);
    assert!(asked.iter().all(|age| *age <= 300), "both are known by then: {asked:?}");
}

#[test]
fn one_time_server_alone_does_not_accuse_the_api_server() {
    let alone = |offset: i64, ahead: i64| {
        let mut engine = Engine::new(config());
        for nth in 0..6 {
            let now = at(2 + 30 * nth);
            let Observation::NtpRound(mut round) = measured(&now, Delta::from_secs(offset)) else {
                unreachable!()
            };
            round.exchanges.truncate(1);
            let _ = engine.step(&now, Observation::NtpRound(round));
            let _ = engine.step(&at(3 + 30 * nth), answer(3 + 30 * nth, ahead));
        }
        skew(&engine).map(|finding| text(&finding, "wrong"))
    };
    assert_eq!(alone(90, 0), None, "the node and the API server agree");
    assert_eq!(alone(90, 90), None, "the time server and the API server agree");
    assert_eq!(alone(0, 90).as_deref(), Some("api_server"), "two against one");
    assert_eq!(alone(90, 300).as_deref(), Some("node_or_api_server"));
}

#[test]
fn the_report_of_the_kernel_alone_does_not_show_who_is_wrong() {
    let mut engine = Engine::new(config());
    for nth in 0..6 {
        let now = at(2 + 30 * nth);
        let kernel = KernelClock {
            synchronised: true,
            max_error: Delta::from_millis(20),
            estimated_error: Delta::from_millis(20),
            leap: Leap::None,
            steering_ppm: 0,
            taken: now,
        };
        let Observation::NtpRound(mut round) = measured(&now, Delta::ZERO) else { unreachable!() };
        round.exchanges.iter_mut().for_each(|one| one.result = Err(ExchangeError::Timeout));
        let _ = engine.step(&now, Observation::NtpRound(round));
        let _ = engine.step(&now, Observation::Kernel(kernel));
        let _ = engine.step(&at(3 + 30 * nth), answer(3 + 30 * nth, 90));
    }
    let found = skew(&engine).map(|finding| text(&finding, "wrong"));
    assert_eq!(found.as_deref(), Some("node_or_api_server"));
}

#[test]
fn a_finding_by_true_time_stays_while_nothing_shows_that() {
    let mut engine = node(Some(90), &[0]); // both follow a bad source
    assert_eq!(skew(&engine).map(|finding| text(&finding, "wrong")).as_deref(), Some("api_server"));
    for age in (400..4_000).step_by(60) {
        let _ = engine.step(&at(age), answer(age, 0)); // no time server answers any more
    }
    assert!(skew(&engine).is_some(), "agreement with the node shows nothing");
    for age in (4_000..4_400).step_by(60) {
        let _ = engine.step(&at(age), measured(&at(age), Delta::from_secs(90)));
        let _ = engine.step(&at(age + 1), answer(age + 1, 90));
    }
    let _ = engine.step(&at(4_500), Observation::Tick);
    assert_eq!(skew(&engine), None);
}

#[test]
fn after_a_pause_of_the_machine_old_answers_say_nothing() {
    let mut engine = node(Some(0), &[0]);
    let _ = engine.step(&at(400), measured(&at(400), Delta::from_secs(30)));
    assert_eq!(skew(&engine), None, "the last answer was before the pause");
    for age in [410, 420] {
        let _ = engine.step(&at(age), answer(age, 30));
        let _ = engine.step(&at(age + 1), measured(&at(age + 1), Delta::from_secs(30)));
        assert_eq!(skew(&engine), None, "it contradicts what was known");
    }
}

/// The API server's clock seems to jump. Whose it was shows when a time server answers again.
#[test]
fn after_a_pause_of_the_machine_new_answers_accuse_nobody() {
    let wrong = |engine: &Engine| skew(engine).map(|finding| text(&finding, "wrong"));
    for (offset, expected) in [(7_200, None), (0, Some("api_server"))] {
        let mut engine = node(Some(0), &[0]);
        for age in [400, 401, 402] {
            let _ = engine.step(&at(age), answer(age, 7_200));
        }
        let _ = engine.step(&at(402), Observation::Tick);
        assert_eq!(wrong(&engine), None, "a time server will show it");
        for age in [410, 474] {
            let _ = engine.step(&at(age), measured(&at(age), Delta::from_secs(offset)));
            let _ = engine.step(&at(age + 1), answer(age + 1, 7_200));
        }
        let _ = engine.step(&at(476), measured(&at(476), Delta::from_secs(offset)));
        assert_eq!(wrong(&engine).as_deref(), expected, "{offset}");
    }
}

/// Where no time server answers any more, the finding waits no longer than for two rounds.
#[test]
fn a_clock_that_differs_is_reported_without_a_time_server_too() {
    for ahead in [7_200, -90] {
        let mut engine = node(Some(0), &[0]);
        for age in [400, 401, 402, 540] {
            let _ = engine.step(&at(age), answer(age, ahead));
            assert_eq!(skew(&engine), None, "{age}");
        }
        let _ = engine.step(&at(551), answer(551, ahead));
        let found = skew(&engine).map(|finding| text(&finding, "wrong"));
        assert_eq!(found.as_deref(), Some("node_or_api_server"));
    }
}

#[test]
fn without_access_to_an_api_server_nothing_is_kept() {
    let finding = skew(&node(Some(0), &[90])).unwrap();
    let (raised_at, reported_at) = (at(100).wall, at(100).wall);
    let restored = vec![Restored { finding: finding.into(), raised_at, reported_at }];
    let mut after = Engine::new(Config { cluster_configured: false, ..config() });
    let _ = after.restore(&at(500), restored);
    for age in (500..700).step_by(30) {
        let _ = after.step(&at(age), measured(&at(age), Delta::ZERO));
    }
    assert_eq!(skew(&after), None);
}
