//! Findings that depend on how many servers claim what.

use super::clock_of;
use crate::base::time::{Delta, Reading};
use crate::findings::{Affected, Code, Finding, Severity, Subject};
use crate::world::clocks::testing::*;
use crate::world::clocks::*;

fn findings(model: &ClockModel, now: &Reading) -> Vec<Finding> {
    clock_of("n1", model, &Affected::default(), now)
}

/// The findings after one round of these answers.
fn after(answers: &[(&str, i64)]) -> Vec<Finding> {
    let answers: Vec<_> =
        answers.iter().map(|(name, millis)| (*name, offset_ms(*millis))).collect();
    findings(&after_round(at(100), &answers), &at(100))
}

/// The same, when the first server announces a leap second. Those that smear it announce none.
fn after_announcement(answers: &[(&str, i64)]) -> Vec<Finding> {
    let answers: Vec<_> =
        answers.iter().map(|(name, millis)| (*name, offset_ms(*millis))).collect();
    let mut measured = round(at(100), &answers);
    let first = &mut measured.exchanges[0].result;
    *first = first.clone().map(|sample| Sample { leap: Leap::Insert, ..sample });
    let mut model = model();
    model.round(&measured);
    findings(&model, &at(100))
}

fn only(findings: Vec<Finding>, code: Code) -> Finding {
    let [finding] = findings.try_into().unwrap();
    assert_eq!(finding.code, code, "{finding:?}");
    finding
}

#[test]
fn two_camps_are_named_with_their_members_and_what_they_claim() {
    let answers = [("a", 0), ("b", 1), ("c", 800), ("d", 801)];
    let smeared = only(after_announcement(&answers), Code::ClockServersDisagree);
    assert_eq!(smeared.subject, Subject::node("n1"));
    for words in [
        "2 camps, 800.0ms apart",
        "a:123 (192.0.2.1), b:123 (192.0.2.1) confirm this node's clock",
        "c:123 (192.0.2.1), d:123 (192.0.2.1) put it 800.5ms behind true time",
        "A leap second is announced",
        "No majority decides",
    ] {
        assert!(smeared.summary.contains(words), "{words}: {}", smeared.summary);
    }
    assert!(smeared.remedy.text.contains("all of one kind"), "{}", smeared.remedy.text);

    let plain = only(after(&answers), Code::ClockServersDisagree);
    assert!(plain.summary.contains("2 camps, 800.0ms apart"), "{}", plain.summary);
    assert!(!plain.summary.contains("leap"), "nobody announces one: {}", plain.summary);
    assert!(plain.remedy.text.contains("which camp is wrong"), "{}", plain.remedy.text);

    let far = only(
        after_announcement(&[("a", 0), ("b", 1), ("c", 90_000), ("d", 90_001)]),
        Code::ClockServersDisagree,
    );
    assert!(far.summary.contains("2 camps") && !far.summary.contains("leap"), "{}", far.summary);
    assert!(far.remedy.text.contains("which camp is wrong"), "{}", far.remedy.text);
}

#[test]
fn a_camp_of_the_minority_is_one_finding_and_a_lone_server_its_own() {
    let answers = [("a", 0), ("b", 1), ("c", 0), ("d", 900), ("e", 901)];
    let findings = after_announcement(&answers);
    let minority = only(findings, Code::ClockServersDisagree);
    assert_eq!(minority.subject, Subject::node("n1"));
    for words in ["d:123 (192.0.2.1), e:123", "follows the camp of the majority", "leap second"] {
        assert!(minority.summary.contains(words), "{words}: {}", minority.summary);
    }
    let both = after(&[
        ("a", 0),
        ("b", 1),
        ("c", 0),
        ("d", 1),
        ("e", 90_000),
        ("f", 90_001),
        ("g", -5_000),
    ]);
    let subjects: Vec<_> = both.into_iter().map(|finding| finding.subject).collect();
    let lone = Subject::Server { server: server("g").to_string() };
    assert_eq!(subjects, [Subject::node("n1"), lone]);
}

#[test]
fn a_lone_server_within_a_leap_second_is_not_called_wrong() {
    let answers = [("a", 0), ("b", 1), ("c", 800)];
    let near = only(after_announcement(&answers), Code::ClockServersDisagree);
    assert!(near.summary.contains("smear") && !near.summary.contains("wrong"), "{}", near.summary);
    assert!(near.remedy.text.contains("all of one kind"), "{}", near.remedy.text);
    let plain = only(after(&answers), Code::ClockServersDisagree);
    assert!(plain.summary.contains("is wrong"), "no leap second: {}", plain.summary);
    let far = [("a", 0), ("b", 1), ("c", 8_000)];
    let far = only(after_announcement(&far), Code::ClockServersDisagree);
    assert!(far.summary.contains("is wrong") && !far.summary.contains("smear"), "{}", far.summary);
}

/// An agent that starts between a leap second and the end of the smear sees no announcement.
#[test]
fn the_date_shows_that_there_may_be_a_leap_second() {
    let answers = [("a", offset_ms(0)), ("b", offset_ms(0)), ("c", offset_ms(800))];
    // 2023-12-30 to 2024-01-02, at noon: at(0) is 2023-11-14T22:13:20Z.
    let noon = |day: i64| at(49_600 + 86_400 * day);
    for (day, may_be) in [(45, false), (46, true), (47, true), (48, false)] {
        let now = noon(day);
        let found = findings(&after_round(now, &answers), &now);
        let summary = &only(found, Code::ClockServersDisagree).summary;
        assert_eq!(
            summary.contains("If there was one"),
            may_be,
            "{}: {summary}",
            now.wall.rfc3339()
        );
    }
}

#[test]
fn an_announcement_counts_for_a_day_and_the_kernels_does_too() {
    let answers = [("a", offset_ms(0)), ("b", offset_ms(0)), ("c", offset_ms(800))];
    for (later, counts) in [(86_000, true), (86_500, false)] {
        let mut model = model();
        model.kernel(&KernelClock { leap: Leap::Insert, ..kernel(at(100), true) });
        let now = at(100 + later);
        model.kernel(&kernel(now, true));
        model.round(&round(now, &answers));
        let summary = &only(findings(&model, &now), Code::ClockServersDisagree).summary;
        assert_eq!(summary.contains("A leap second is announced"), counts, "{summary}");
    }
}

#[test]
fn two_servers_that_contradict_each_other_are_no_camps() {
    let finding = only(after(&[("a", 0), ("b", 37_250)]), Code::ClockServersDisagree);
    assert!(finding.summary.contains("contradict each other by 37.3s"), "{}", finding.summary);
    assert!(
        finding.summary.contains("b:123 (192.0.2.1) puts it 37.3s behind"),
        "{}",
        finding.summary
    );
    assert!(finding.remedy.text.contains("at least three"), "{}", finding.remedy.text);
}

#[test]
fn one_server_alone_does_not_show_who_is_wrong() {
    let alone: [&[Answer<'_>]; 2] = [&[("a", offset_ms(90_000))], &[("a", offset_ms(700))]];
    for answers in alone {
        let finding = only(findings(&after_round(at(100), answers), &at(100)), Code::ClockOffset);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.summary.contains("a:123 (192.0.2.1) alone"), "{}", finding.summary);
        assert!(!finding.summary.contains("The node is wrong"), "{}", finding.summary);
        let advice = format!("{:?}", finding.remedy);
        assert!(!advice.contains("step"), "{advice}");
        assert!(advice.contains("at least three"), "{advice}");
    }
    let several = only(after(&[("a", 90_000), ("b", 90_000)]), Code::ClockOffset);
    assert!(several.summary.contains("The node is wrong"), "{}", several.summary);
}

#[test]
fn all_addresses_of_one_name_are_one_server() {
    let named = |addresses: &[&str]| {
        let mut answers = round(at(100), &vec![("a", offset_ms(90_000)); addresses.len()]);
        for (exchange, address) in answers.exchanges.iter_mut().zip(addresses) {
            exchange.server.address = Some((*address).to_owned());
        }
        let mut model = model();
        model.round(&answers);
        only(findings(&model, &at(100)), Code::ClockOffset).summary.contains("alone")
    };
    assert!(named(&["192.0.2.1", "2001:db8::1"]));
    assert!(named(&["192.0.2.1", "192.0.2.2"]), "whoever has the name has both");
    assert!(named(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
}

#[test]
fn the_offset_carries_what_the_kernel_reports() {
    let answers = [("a", offset_ms(90_000)), ("b", offset_ms(90_001))];
    let with_kernel = |synchronised: bool| {
        let mut model = after_round(at(100), &answers);
        model.kernel(&kernel(at(100), synchronised));
        only(findings(&model, &at(400)), Code::ClockOffset)
    };
    let undisciplined = with_kernel(false);
    assert!(undisciplined.summary.contains("No time daemon disciplines it"));
    assert!(undisciplined.remedy.text.starts_with("Start a time daemon"));
    let contradicted = with_kernel(true);
    assert!(contradicted.summary.contains("The time daemon contradicts this"), "{contradicted:?}");
}

#[test]
fn a_clock_is_unsynchronised_once_that_has_lasted() {
    let mut model = after_round(at(0), &[("a", offset_ms(0))]);
    model.kernel(&kernel(at(0), true));
    let found = |model: &ClockModel, now: i64| -> Vec<Code> {
        findings(model, &at(now)).into_iter().map(|finding| finding.code).collect()
    };
    model.kernel(&kernel(at(1_000), false));
    assert!(found(&model, 1_149).is_empty());
    assert_eq!(
        model.next_change(&at(1_000)),
        Some(at(1_150).monotonic),
        "and it is looked at then"
    );
    assert_eq!(found(&model, 1_150), [Code::ClockUnsynchronized]);
    model.kernel(&kernel(at(1_200), true));
    model.kernel(&kernel(at(1_264), false));
    assert_eq!(found(&model, 1_300), [Code::ClockUnsynchronized], "one good report is no end");
    model.kernel(&kernel(at(1_328), true));
    assert_eq!(found(&model, 1_478), []);

    let once = Limits { servers_configured: true, grace: Delta::ZERO, ..Limits::default() };
    let mut once = ClockModel::new(once);
    once.kernel(&kernel(at(0), false));
    once.round(&round(at(0), &[("a", offset_ms(0)), ("b", offset_ms(0))]));
    assert_eq!(found(&once, 0), [Code::ClockUnsynchronized], "one measurement waits for nothing");
    assert_eq!(findings(&once, &at(0))[0].severity, Severity::Info);
}
