//! Pods and service accounts that the API server reports.

use super::*;
use crate::world::cluster::{Container, MountedPart, Phase, TokenMount};

#[test]
fn a_pod_that_starts_to_terminate_is_diagnosed_at_once() {
    use AlertEvent::{Raised, Reminded};
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(2), listed(None));
    let terminating = engine.step(&at(100), listed(Some(900))).reports;
    assert_eq!(
        alerts(&terminating, at(100).wall),
        [(100, Raised, Code::PodTerminating, Severity::Warning)]
    );
    let expected = [(600, Reminded, Code::PodTerminating, Severity::Critical)];
    assert_eq!(run(&mut engine, 100, 9_000), expected, "no late rotation, and no resolution");
    let summary = engine.status(&at(9_000)).findings[0].0.summary.clone();
    assert!(summary.contains("terminating, still running, token dead"), "{summary}");
    let gone = engine.step(&at(9_001), Observation::Gone(key("p1"))).reports;
    assert_eq!(alerts(&gone, at(9_001).wall)[0].1, AlertEvent::Cleared);
}

#[test]
fn pods_from_the_cluster_are_shown_in_the_status() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(2), listed(None));
    let status = engine.status(&at(12));
    assert_eq!(status.tokens[0].pod.name.as_deref(), Some("cart-0"));
    assert_eq!(status.agent.cluster, Some(ClusterFigures { pods: 1, age: Delta::from_secs(10) }));
    let _ = engine
        .step(&at(20), Observation::Cluster(ClusterSeen::Unreachable { reason: "403".into() }));
    assert_eq!(engine.status(&at(21)).agent.unreachable.as_deref(), Some("403"));
}

#[test]
fn there_are_no_findings_about_tokens_before_the_api_server_answers() {
    use AlertEvent::Raised;
    let with_cluster = || Engine::new(Config { cluster_configured: true, ..Config::default() });
    let mut engine = with_cluster();
    assert_eq!(
        alerts(&engine.step(&at(700), token("p1", 0, 600)).reports, at(700).wall),
        [],
        "the pod may be terminating"
    );
    let known = engine.step(&at(701), listed(Some(900))).reports;
    assert_eq!(
        alerts(&known, at(701).wall),
        [(701, Raised, Code::PodTerminating, Severity::Critical)]
    );
    let mut engine = with_cluster();
    let _ = engine.step(&at(700), token("p1", 0, 600));
    let _ = engine
        .step(&at(701), Observation::Cluster(ClusterSeen::Unreachable { reason: "403".into() }));
    assert_eq!(
        run(&mut engine, 701, 720),
        [(710, Raised, Code::Expired, Severity::Critical)],
        "the grace period has ended"
    );
}

#[test]
fn the_service_account_of_a_late_token_is_requested_every_five_minutes() {
    let (mut engine, reports) = late();
    assert_eq!(queries(&reports), ["cart"]);
    let mut requested = Vec::new();
    for age in 3_001..3_700 {
        requested.extend(queries(&engine.step(&at(age), Observation::Tick)).iter().map(|_| age));
    }
    assert_eq!(requested, [3_300, 3_600], "every five minutes");
    let mut unconfirmed = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = unconfirmed.step(&at(0), listed(None));
    let _ = unconfirmed.step(&at(1), token("unknown-pod", 0, 3_600));
    assert_eq!(
        queries(&unconfirmed.step(&at(3_000), Observation::Tick)),
        [""; 0],
        "only the claims name its account"
    );
    let mut without_cluster = self::engine();
    let _ = without_cluster.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(
        queries(&without_cluster.step(&at(3_000), Observation::Tick)),
        [""; 0],
        "no API server is configured"
    );
}

#[test]
fn a_late_token_with_a_lost_account_is_critical_at_once() {
    use AlertEvent::{Cleared, Reminded};
    let lost = Code::SubjectReplaced;
    // (the UID of the account now, part of the summary)
    for (uid, words) in [
        (None, "service account shop/cart does not exist any more"),
        (Some("other"), "was deleted and created again"),
    ] {
        let (mut engine, _) = self::late();
        let known = engine.step(&at(3_001), account(uid)).reports;
        let expected = [(3_001, Reminded, lost, Severity::Critical)];
        assert_eq!(alerts(&known, at(3_001).wall), expected, "{uid:?}");
        assert!(
            summaries(&known).iter().any(|summary| summary.contains(words)),
            "{:?}",
            summaries(&known)
        );
        assert_eq!(
            alerts(&engine.step(&at(3_002), account(uid)).reports, at(3_002).wall),
            [],
            "it is reported once"
        );
        let repaired = engine.step(&at(3_050), token("p1", 3_049, 3_600)).reports;
        assert_eq!(alerts(&repaired, at(3_050).wall), [(3_050, Cleared, lost, Severity::Critical)]);
    }
}

/// The API server refuses the token throughout: one finding, which is not resolved in between.
#[test]
fn an_account_that_is_created_again_stays_lost_to_its_tokens() {
    use AlertEvent::{Cleared, Raised};
    let lost = Code::SubjectReplaced;
    let mut engine = fresh();
    let _ = engine.step(&at(2), Observation::Tick);
    let mut alerts_at = |age, observation| {
        let reports = engine.step(&at(age), observation).reports;
        alerts(&reports, at(age).wall)
    };
    assert_eq!(alerts_at(100, account(None)), [], "its release may be being removed");
    assert_eq!(alerts_at(120, Observation::Tick), [(120, Raised, lost, Severity::Critical)]);
    assert_eq!(alerts_at(130, account(Some("other"))), []);
    assert_eq!(alerts_at(131, Observation::Tick), [], "it is refused all the time");
    let back = alerts_at(150, account(Some("sa-uid")));
    assert_eq!(back, [(150, Cleared, lost, Severity::Critical)], "a restored backup");
    assert_eq!(alerts_at(160, account(Some("other"))), [], "a loss by itself waits again");
}

/// An engine with access to the API server and one fresh token.
fn fresh() -> Engine {
    let mut engine = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = engine.step(&at(1), listed(None));
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    engine
}

#[test]
fn a_lost_account_is_named_while_its_token_is_fresh_and_stays_one_finding() {
    use AlertEvent::{Cleared, Raised};
    let lost = Code::SubjectReplaced;
    let mut engine = fresh();
    assert_eq!(queries(&engine.step(&at(2), Observation::Tick)), ["cart"], "soon after the start");
    assert_eq!(alerts(&engine.step(&at(3), account(None)).reports, at(3).wall), []);
    assert_eq!(
        run(&mut engine, 3, 6_000),
        [(13, Raised, lost, Severity::Critical)],
        "after ten seconds, and nothing else when the token is late and expires"
    );
    let same = engine.step(&at(6_001), account(Some("other"))).reports;
    assert_eq!(alerts(&same, at(6_001).wall), [], "missing, then created again: the same finding");
    let unreachable = ClusterSeen::Unreachable { reason: "down".into() };
    let _ = engine.step(&at(6_002), Observation::Cluster(unreachable));
    assert_eq!(run(&mut engine, 6_002, 14_000), [], "no time clears it");
    let repaired = engine.step(&at(14_001), token("p1", 14_000, 3_600)).reports;
    assert_eq!(alerts(&repaired, at(14_001).wall), [(14_001, Cleared, lost, Severity::Critical)]);
}

#[test]
fn an_account_that_was_lost_with_its_release_is_no_finding() {
    let mut engine = fresh();
    let _ = engine.step(&at(2), Observation::Tick);
    let _ = engine.step(&at(3), account(None));
    let _ = engine.step(&at(5), listed(Some(35)));
    assert_eq!(run(&mut engine, 5, 100), [], "the pod terminates: its release was removed");
}

#[test]
fn a_lost_account_is_requested_every_five_minutes() {
    let mut engine = fresh();
    let _ = engine.step(&at(2), Observation::Tick);
    let _ = engine.step(&at(3), account(None));
    let mut requested = Vec::new();
    for age in 4..1_000 {
        requested.extend(queries(&engine.step(&at(age), Observation::Tick)).iter().map(|_| age));
    }
    assert!(requested.windows(2).all(|pair| pair[1] - pair[0] <= 300), "{requested:?}");
    assert!(requested.first() <= Some(&302) && requested.len() <= 4, "{requested:?}");
    let back = engine.step(&at(1_000), account(Some("sa-uid"))).reports;
    let cleared = (1_000, AlertEvent::Cleared, Code::SubjectReplaced, Severity::Critical);
    assert_eq!(alerts(&back, at(1_000).wall), [cleared], "the account is back with its UID");
}

#[test]
fn a_caller_that_looks_once_gets_a_query_for_every_account() {
    let mut engine = fresh();
    let names = |queries: Vec<Query>| queries.len();
    assert_eq!(names(engine.every_query(&at(1))), 2, "the account, and the keys");
    let mut without = self::engine();
    let _ = without.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(names(without.every_query(&at(1))), 0, "no API server confirms the account");
}

#[test]
fn an_unchanged_account_changes_nothing() {
    let (mut engine, _) = late();
    assert_eq!(
        alerts(&engine.step(&at(3_001), account(Some("sa-uid"))).reports, at(3_001).wall),
        []
    );
    assert_eq!(run(&mut engine, 3_001, 3_200)[0].2, Code::RotationStalled, "the cause is kubelet");
}

#[test]
fn the_token_of_a_force_deleted_pod_is_a_warning_once_kubelet_should_have_removed_it() {
    use AlertEvent::{Raised, Reminded};
    let mut engine = engine();
    let _ = engine.step(&at(0), listed(Some(30)));
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let gone =
        engine.step(&at(700), Observation::Cluster(ClusterSeen::PodGone("p1".into()))).reports;
    let code = Code::PodTerminating;
    assert_eq!(alerts(&gone, at(700).wall), [(700, Raised, code, Severity::Info)]);
    assert_eq!(run(&mut engine, 700, 14_000), [(820, Reminded, code, Severity::Warning)]);
    assert_eq!(
        engine.status(&at(701)).agent.cluster,
        Some(ClusterFigures { pods: 0, age: Delta::from_secs(1) })
    );
    let _ = engine.step(&at(20_001), Observation::Gone(key("p1")));
    assert!(engine.world.cluster.pod("p1").is_none(), "the pod is removed with its last token");
}

#[test]
fn the_account_of_a_pod_that_has_ended_is_not_requested() {
    let mut engine = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let Observation::Cluster(ClusterSeen::Listed(mut pods)) = listed(None) else { panic!() };
    pods[0].phase = crate::world::cluster::Phase::Failed;
    let _ = engine.step(&at(1), Observation::Cluster(ClusterSeen::Listed(pods)));
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(engine.every_query(&at(2)), [Query::Keys]);
}

/// The pod of [`listed`], with a container that mounts its token.
fn listed_with_token(phase: Phase) -> Observation {
    let mount = TokenMount {
        volume: key("p1").volume,
        path: key("p1").path,
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let app = Container { tokens: vec![mount], ..Container::default() };
    let (uid, namespace, name) = ("p1".into(), "shop".into(), "cart-0".into());
    let pod = Pod { uid, namespace, name, phase, containers: vec![app], ..Pod::default() };
    Observation::Cluster(ClusterSeen::Listed(vec![pod]))
}

#[test]
fn a_running_pod_that_loses_its_token_is_reported_until_the_token_is_back() {
    use AlertEvent::{Cleared, Raised};
    let mut engine = engine();
    let _ = engine.step(&at(0), listed_with_token(Phase::Running));
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(
        alerts(&engine.step(&at(50), Observation::Gone(key("p1"))).reports, at(50).wall),
        []
    );
    let missing = (Code::Missing, Severity::Critical);
    assert_eq!(run(&mut engine, 50, 600), [(60, Raised, missing.0, missing.1)]);
    let back = engine.step(&at(700), token("p1", 699, 3_600)).reports;
    assert_eq!(alerts(&back, at(700).wall), [(700, Cleared, missing.0, missing.1)]);
    assert_eq!(
        summaries(&back),
        ["Token \"token\" of pod shop/cart-0 (volume kube-api-access-x) is there again, 10m 40s \
          after it was reported as missing."]
    );
}

#[test]
fn a_missing_token_is_resolved_when_its_pod_ends() {
    use AlertEvent::{Cleared, Raised};
    let mut engine = engine();
    let _ = engine.step(&at(0), Observation::WithoutTokens(vec!["p1".into()]));
    let _ = engine.step(&at(0), listed_with_token(Phase::Running));
    let missing = (Code::Missing, Severity::Critical);
    assert_eq!(run(&mut engine, 0, 100), [(10, Raised, missing.0, missing.1)]);
    let ended = engine.step(&at(200), listed_with_token(Phase::Succeeded)).reports;
    assert_eq!(alerts(&ended, at(200).wall), [(200, Cleared, missing.0, missing.1)]);
    assert!(summaries(&ended)[0].contains("was removed with its pod or volume"));
}

/// Files that a pod has left behind are no alarm, but only if the API server was asked for this
/// node: with a wrong node name it would know none of the pods.
#[test]
fn a_pod_that_the_api_server_never_knew_is_no_alarm() {
    use AlertEvent::Raised;
    let other = |uid: &str| Pod { uid: uid.into(), ..Pod::default() };
    let list = |uids: &[&str]| {
        Observation::Cluster(ClusterSeen::Listed(uids.iter().map(|uid| other(uid)).collect()))
    };
    let from_node = |node: &str| {
        let Observation::File(mut seen) = token("p1", 0, 600) else { return Observation::Tick };
        if let FileContent::Token(claims) = &mut seen.content {
            let name = node.into();
            claims.binding.node = Some(crate::world::tokens::ObjectRef { name, uid: None });
        }
        Observation::File(seen)
    };
    let left = (Code::PodTerminating, Severity::Info);
    let expired = (Code::Expired, Severity::Critical);
    // (what the API server lists, the node that the token names, what is raised)
    let table = [
        (list(&["p2"]), "", left),    // a token of p2 is here
        (list(&[]), "n1", left),      // the token confirms the node's name
        (list(&["p3"]), "", expired), // these may be the pods of another node
        (list(&[]), "", expired),
        (list(&[]), "n2", expired),
    ];
    for (listed, node, (code, severity)) in table {
        let mut engine = engine();
        let _ = engine.step(&at(1), token("p2", 0, 36_000));
        let _ = engine.step(&at(1_000), listed.clone());
        let raised = engine.step(&at(1_001), from_node(node)).reports;
        let raised = alerts(&raised, at(1_001).wall);
        assert_eq!(raised, [(1_001, Raised, code, severity)], "{listed:?} on {node:?}");
        let lost = ClusterSeen::Unreachable { reason: "timeout".into() };
        let lost = engine.step(&at(1_002), Observation::Cluster(lost)).reports;
        assert_eq!(alerts(&lost, at(1_002).wall), [], "a UID never comes back");
        assert_eq!(run(&mut engine, 1_002, 1_200), [], "{listed:?} on {node:?}");
    }
}
