//! Findings and traces of tokens.

use super::*;

#[test]
fn a_stalled_token_is_reported_before_it_expires_and_cleared_when_it_is_replaced() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let mut engine = engine();
    assert_eq!(alerts(&engine.step(&at(1), token("p1", 0, 3_600)).reports, at(1).wall), []);
    let reported = run(&mut engine, 1, 3_590);
    let expected = [
        (3_000, Raised, Code::RotationLate, Severity::Info),
        (3_180, Reminded, Code::RotationStalled, Severity::Warning),
        (3_360, Reminded, Code::RotationStalled, Severity::Critical),
    ];
    assert_eq!(reported, expected);
    let replaced = engine.step(&at(3_595), token("p1", 3_593, 3_600)).reports;
    assert_eq!(
        alerts(&replaced, at(3_595).wall),
        [(3_595, Cleared, Code::RotationStalled, Severity::Critical)]
    );
    assert_eq!(
        spans(&replaced),
        [schema::SPAN_GENERATION, schema::SPAN_FRESH, schema::SPAN_REFRESH_WAIT]
    );
    assert_eq!(
        summaries(&replaced),
        ["Token \"token\" of pod shop/p1-name (volume kube-api-access-x) was replaced by a new \
          token, 9m 55s after it was first reported."]
    );
}

#[test]
fn the_trace_of_an_expired_token_ends_once() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let expired = engine.step(&at(601), Observation::Tick).reports;
    assert_eq!(spans(&expired).len(), 3);
    assert_eq!(spans(&engine.step(&at(602), Observation::Tick).reports), [""; 0]);
    let replaced = engine.step(&at(700), token("p1", 699, 600)).reports;
    assert_eq!(spans(&replaced), [""; 0], "its trace was exported when it expired");
    assert!(replaced.iter().any(
        |report| matches!(report, Report::Rotation { delay } if *delay == Delta::from_secs(220))
    ));
}

#[test]
fn a_rotation_in_time_gives_no_alert() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    assert_eq!(run(&mut engine, 1, 570), []);
    let reports = engine.step(&at(571), token("p1", 570, 600)).reports;
    assert_eq!(alerts(&reports, at(571).wall), []);
    assert!(reports.contains(&Report::Rotation { delay: Delta::from_secs(91) }));
}

#[test]
fn findings_are_cleared_when_the_pod_is_removed() {
    let mut engine = engine();
    let _ = engine.step(&at(700), token("p1", 0, 600));
    let gone = engine.step(&at(710), Observation::Gone(key("p1"))).reports;
    assert_eq!(
        alerts(&gone, at(710).wall),
        [(710, AlertEvent::Cleared, Code::Expired, Severity::Critical)]
    );
    assert!(engine.tokens(&at(711)).is_empty());
    assert_eq!(engine.step(&at(712), Observation::Gone(key("never-there"))).reports, []);
}

#[test]
fn findings_name_only_the_affected_pod() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(1), token("p2", 0, 86_400));
    let reported = run(&mut engine, 1, 2_000);
    assert!(!reported.is_empty());
    assert!(
        engine
            .findings()
            .iter()
            .filter(|f| f.code.as_str().starts_with("token."))
            .all(|f| matches!(&f.subject, Subject::Token { pod, .. } if pod.uid == "p1"))
    );
}

#[test]
fn a_file_that_is_created_again_gives_no_second_trace() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    assert_eq!(spans(&engine.step(&at(10), Observation::Gone(key("p1"))).reports).len(), 3);
    let _ = engine.step(&at(11), token("p1", 0, 600));
    assert_eq!(
        spans(&engine.step(&at(490), token("p1", 489, 600)).reports),
        [""; 0],
        "its trace was exported when the file was removed"
    );
    let _ = engine.step(&at(491), token("p1", 0, 600));
    assert_eq!(
        spans(&engine.step(&at(492), token("p1", 489, 600)).reports),
        [""; 0],
        "nor for a generation that is written back"
    );
}

#[test]
fn a_malformed_file_links_to_the_trace_of_its_last_token() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let content = FileContent::Malformed { reason: "it is empty".into() };
    let _ = engine.step(
        &at(2),
        Observation::File(FileSeen {
            key: key("p1"),
            written_at: None,
            directory: None,
            content,
            signature: None,
        }),
    );
    let _ = engine.step(&at(20), Observation::Tick);
    let malformed =
        engine.findings().into_iter().find(|finding| finding.code == Code::Malformed).unwrap();
    assert_eq!(
        malformed.trace,
        Some(crate::traces::generation::root(&key("p1"), &claims(IAT, 600, None)))
    );
    let replaced = engine.step(&at(30), token("p1", 29, 600)).reports;
    assert!(
        summaries(&replaced)[0].contains("was replaced by a new token"),
        "{:?}",
        summaries(&replaced)
    );
}

#[test]
fn the_snapshot_counts_tokens_and_findings() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(1), token("p2", 0, 3_600));
    let _ = engine.step(
        &at(2),
        Observation::Source(SourceState {
            source: "watch".into(),
            degraded: Some("out of watches".into()),
        }),
    );
    let _ = engine.step(&at(595), Observation::Tick);
    let snapshot = engine.snapshot(&at(595));
    assert_eq!(snapshot.tokens[&State::Stalled], 1);
    assert_eq!(snapshot.tokens[&State::Fresh], 1);
    assert_eq!(snapshot.findings.by_code[&(Code::RotationStalled, Severity::Critical)], 1);
    assert_eq!(snapshot.nearest_deadline, Some(Delta::from_secs(5)));
    assert!(!snapshot.sources["watch"]);
}

#[test]
fn the_status_page_has_sentences_of_this_moment() {
    let mut engine = engine();
    let _ = engine.step(&at(2_900), token("p", 0, 3_600));
    run(&mut engine, 2_900, 3_250);
    let shown = |age| {
        engine
            .status(&at(age))
            .findings
            .first()
            .map(|(finding, since)| (finding.summary.clone(), *since))
            .unwrap()
    };
    let ((early, raised), (later, still_raised)) = (shown(3_260), shown(3_350));
    assert!(early.contains("5m 40s") && later.contains("4m 10s"), "{early} / {later}");
    assert_eq!(raised, still_raised);
}

fn blind(engine: &Engine) -> String {
    let findings = engine.findings();
    let blind = findings.iter().find(|finding| finding.code == Code::AgentBlind);
    blind.map(|finding| finding.summary.clone()).unwrap_or_default()
}

fn tracked_of(engine: &Engine, pod: &str) -> usize {
    engine.world.tokens.iter().filter(|tracked| tracked.key.pod_uid == pod).count()
}

/// The file `path` of a pod, with an expired token of about `kilobytes`.
fn look_alike(pod: &str, path: usize, kilobytes: usize) -> Observation {
    let mut claims = claims(0, 600, None);
    claims.audiences = vec!["a".repeat(1_000); kilobytes];
    let key = TokenKey { path: path.to_string(), ..key(pod) };
    let content = FileContent::Token(Box::new(claims));
    Observation::File(FileSeen { key, written_at: None, directory: None, content, signature: None })
}

#[test]
fn tokens_beyond_the_limit_are_a_finding() {
    let mut engine = engine();
    for file in 0..MAX_TOKENS + 2 {
        let _ = engine.step(&at(1), look_alike("crowd", file, 1));
    }
    assert_eq!(engine.world.tokens.iter().count(), MAX_TOKENS);
    let _ = engine.step(&at(2), Observation::Tick); // the count waits for more of the kind
    let expected = "does not follow 2 files of pod UID crowd, which has most of them";
    assert!(blind(&engine).contains(expected), "{}", blind(&engine));
    let gone = |nth: usize| Observation::Gone(TokenKey { path: nth.to_string(), ..key("crowd") });
    let _ = engine.step(&at(4), gone(0));
    assert!(!blind(&engine).is_empty(), "the tokens that were left out were not observed since");
    let _ = engine.step(&at(5), look_alike("crowd", MAX_TOKENS, 1));
    let _ = engine.step(&at(6), gone(MAX_TOKENS + 1));
    assert_eq!((engine.world.tokens.iter().count(), blind(&engine).as_str()), (MAX_TOKENS, ""));
}

#[test]
fn a_crowd_of_tokens_takes_nothing_from_other_pods() {
    // (size of each token, so many, what is the most that there is room for)
    for (kilobytes, files, most) in [(1, 2_060, 2_048), (9, 480, 440), (40, 130, 104)] {
        let mut engine = engine();
        for file in 0..files {
            let _ = engine.step(&at(7_200), look_alike("crowd", file, kilobytes));
        }
        let before = tracked_of(&engine, "crowd");
        assert!(before <= most && before > most * 9 / 10, "{before} of {kilobytes} kB");
        for pod in 0..20 {
            let _ = engine.step(&at(7_201), token(&pod.to_string(), 0, 86_400));
            assert_eq!(tracked_of(&engine, &pod.to_string()), 1);
        }
        let _ = engine.step(&at(7_202), Observation::Tick);
        let (after, text) = (tracked_of(&engine, "crowd"), blind(&engine));
        let named = format!("does not follow {} files of pod UID crowd", files - after);
        assert!(after < before && text.contains(&named), "{after} of {before}: {text}");
        let found = engine.findings().iter().filter(|one| one.code == Code::Expired).count();
        assert_eq!(found, after, "what is not followed has no finding");
    }
}

#[test]
fn a_finding_about_a_token_that_is_left_out_ends_without_an_all_clear() {
    let mut engine = engine();
    for file in 0..MAX_TOKENS {
        let _ = engine.step(&at(7_200), look_alike("crowd", file, 1));
    }
    let outcome = engine.step(&at(7_201), token("a", 0, 86_400));
    let texts = summaries(&outcome.reports);
    let closed = texts.iter().filter(|text| text.contains("Nothing shows that it is good"));
    assert_eq!(
        (closed.count(), texts.len()),
        (1, 2),
        "and the one about what is left out: {texts:?}"
    );
}
