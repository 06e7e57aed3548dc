//! The clock of an API server that signs tokens: what the `iat` of rotations shows, and which
//! findings about tokens it explains.

use super::*;
use crate::world::clocks::DateSeen;

/// A node without access to an API server.
fn alone() -> Config {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    config
}

/// True time, if time servers show it, is `offset` seconds later than the node's clock.
fn measure(engine: &mut Engine, age: i64, offset: Option<i64>) {
    if let Some(offset) = offset {
        let _ = engine.step(&at(age), measured(&at(age), Delta::from_secs(offset)));
    }
}

/// A node whose tokens are replaced one after the other, each by an API server that is so many
/// seconds ahead of the node's clock.
fn rotations(config: Config, offset: Option<i64>, ahead: &[i64]) -> (Engine, i64) {
    let mut engine = Engine::new(config);
    let pods: Vec<String> = (0..ahead.len()).map(|nth| format!("p{nth}")).collect();
    for pod in &pods {
        let _ = engine.step(&at(1), token(pod, 0, 600));
    }
    let mut age = 400;
    for (pod, ahead) in pods.iter().zip(ahead) {
        measure(&mut engine, age, offset);
        let _ = engine.step(&at(age + 5), token(pod, age + 5 + ahead, 600));
        age += 30;
    }
    measure(&mut engine, age, offset);
    let _ = engine.step(&at(age + 1), Observation::Tick);
    (engine, age + 1)
}

fn skew(engine: &Engine) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == Code::ApiserverSkew)
}

fn text(finding: &Finding, name: &str) -> String {
    finding.evidence.get(name).and_then(crate::base::value::Value::text).unwrap().to_owned()
}

fn about_tokens(engine: &Engine) -> Vec<Code> {
    let codes = engine.findings().into_iter().map(|finding| finding.code);
    codes.filter(|code| matches!(code, Code::FutureDated | Code::NotYetValid)).collect()
}

#[test]
fn new_tokens_show_an_api_server_that_is_ahead() {
    // How far true time is ahead of the node, where that is known; and the API servers.
    type Row<'a> = (Option<i64>, &'a [i64], Option<&'a str>);
    let table: &[Row<'_>] = &[
        (Some(0), &[40, 40, 40, 40], Some("api_server")),
        (Some(0), &[0, 40, 0, 40, 0, 40], Some("api_server")),
        (Some(0), &[40, 40], None), // too few
        (Some(0), &[0, 0, 0, 0], None),
        (Some(0), &[1, 1, 1, 1], None),    // a second is not certain
        (Some(0), &[-40, -40, -40], None), // kubelet may have had them for a while
        (Some(40), &[40, 40, 40], None),   // the node alone: clock.offset
        (None, &[40, 40, 40], Some("node_or_api_server")),
        (None, &[0, 0, 0], None),
    ];
    for (offset, ahead, expected) in table {
        let (engine, _) = rotations(alone(), *offset, ahead);
        let found = skew(&engine).map(|finding| text(&finding, "wrong"));
        assert_eq!(found.as_deref(), *expected, "{offset:?} {ahead:?}");
    }
}

#[test]
fn one_finding_stands_for_the_tokens_that_it_dates() {
    let (engine, _) = rotations(alone(), Some(0), &[55, 55, 55, 55]);
    let finding = skew(&engine).unwrap();
    let start = "The API server's clock is at least 54.";
    assert!(finding.summary.starts_with(start), "{}", finding.summary);
    assert!(finding.summary.contains("It dates 1 token of this node"), "{}", finding.summary);
    assert_eq!(finding.evidence.get("tokens"), Some(&4_i64.into()));
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(about_tokens(&engine), []);
}

#[test]
fn a_token_that_is_further_ahead_than_the_clock_is_a_finding_of_its_own() {
    let (mut engine, age) = rotations(alone(), Some(0), &[40, 40, 40, 40]);
    let _ = engine.step(&at(age + 1), token("p1", age + 1 + 55, 600));
    let _ = run(&mut engine, age + 1, age + 20);
    assert_eq!(about_tokens(&engine), [Code::FutureDated]);
}

/// Another API server, whose clock is right, may answer the pods.
#[test]
fn a_token_that_is_not_valid_yet_stays_a_finding_if_tokens_alone_show_the_clock() {
    let (engine, _) = rotations(alone(), Some(0), &[300, 300, 300]);
    assert!(skew(&engine).is_some());
    assert_eq!(about_tokens(&engine), [Code::NotYetValid; 3]);
}

#[test]
fn it_ends_when_new_tokens_are_right_and_not_before() {
    let (mut engine, age) = rotations(alone(), Some(0), &[40, 40, 40, 40]);
    let _ = engine.step(&at(age + 4_000), measured(&at(age + 4_000), Delta::ZERO));
    let _ = run(&mut engine, age + 4_000, age + 4_010);
    assert!(
        engine.findings().iter().any(|finding| finding.code == Code::ApiserverSkew) || {
            let active = engine.snapshot(&at(age + 4_010)).findings.by_code;
            active.keys().any(|(code, _)| *code == Code::ApiserverSkew)
        }
    );
    let later = age + 4_100;
    for nth in 0..8 {
        let at_age = later + nth * 30;
        measure(&mut engine, at_age, Some(0));
        let _ = engine.step(&at(at_age + 1), token("p0", at_age + 1, 600 + nth));
    }
    measure(&mut engine, later + 300, Some(0));
    let _ = engine.step(&at(later + 301), Observation::Tick);
    let _ = run(&mut engine, later + 301, later + 400);
    let active = engine.snapshot(&at(later + 400)).findings.by_code;
    assert!(active.keys().all(|(code, _)| *code != Code::ApiserverSkew), "{active:?}");
}

/// An answer of an API server that is `ahead` seconds ahead of the node's clock.
fn answer(age: i64, ahead: i64) -> Observation {
    let (sent, received) = (at(age).after(Delta::from_millis(-8)), at(age));
    let date = Wall::from_secs((received.wall + Delta::from_millis(ahead * 1_000 - 4)).as_secs());
    Observation::ApiServerDate(DateSeen { sent, received, date, names: Vec::new() })
}

/// A node whose tokens are replaced while the API server that answers is so far ahead.
fn answered(ahead: i64) -> (Engine, i64) {
    let (mut engine, age) =
        rotations(Config { cluster_configured: true, ..alone() }, Some(0), &[ahead; 3]);
    for nth in 0..4 {
        measure(&mut engine, age + nth * 10, Some(0));
        let _ = engine.step(&at(age + nth * 10 + 1), answer(age + nth * 10 + 1, ahead));
    }
    let _ = engine.step(&at(age + 40), Observation::Tick);
    let _ = engine.step(&at(age + 41), Observation::Tick);
    (engine, age + 41)
}

#[test]
fn an_api_server_that_answers_explains_its_tokens_also_those_that_are_not_valid_yet() {
    for ahead in [90, 300] {
        let (engine, _) = answered(ahead);
        assert_eq!(text(&skew(&engine).unwrap(), "wrong"), "api_server", "{ahead}");
        assert!(skew(&engine).unwrap().evidence.get("answers").is_some(), "{ahead}");
        assert_eq!(about_tokens(&engine), [], "{ahead}");
    }
}

#[test]
fn when_the_clock_is_corrected_the_tokens_that_it_dated_are_named() {
    let (mut engine, age) = answered(300);
    for nth in 0..6 {
        measure(&mut engine, age + nth * 10, Some(0));
        let _ = engine.step(&at(age + nth * 10 + 1), answer(age + nth * 10 + 1, 0));
    }
    let _ = run(&mut engine, age + 60, age + 70);
    assert_eq!(skew(&engine), None);
    let found = about_tokens(&engine);
    assert!(!found.is_empty() && found.iter().all(|code| *code == Code::NotYetValid), "{found:?}");
}

#[test]
fn another_api_server_than_the_one_that_answers_may_sign() {
    let (mut engine, age) =
        rotations(Config { cluster_configured: true, ..alone() }, Some(0), &[40, 40, 40]);
    for nth in 0..4 {
        measure(&mut engine, age + nth * 5, Some(0));
        let _ = engine.step(&at(age + nth * 5 + 1), answer(age + nth * 5 + 1, 0));
    }
    measure(&mut engine, age + 21, Some(0));
    let _ = engine.step(&at(age + 22), Observation::Tick);
    assert_eq!(text(&skew(&engine).unwrap(), "wrong"), "one_api_server");
}
