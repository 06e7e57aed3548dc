//! Tokens that work, and should not be relied on; and those whose audience does not fit.

use super::*;
use crate::base::value::Value;
use crate::findings::Finding;
use crate::world::cluster::{Container, Convention, MountedPart, Phase, TokenMount};
use crate::world::tokens::{LegacyClaims, LegacyToken};

fn pod(uid: &str, volume: &str, convention: Option<Convention>) -> Pod {
    let mount = TokenMount {
        volume: volume.into(),
        path: "token".into(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention,
    };
    let container = Container { name: "app".into(), tokens: vec![mount], ..Container::default() };
    Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: format!("{uid}-name"),
        containers: vec![container],
        phase: Phase::Running,
        ..Pod::default()
    }
}

fn with_audience(uid: &str, volume: &str, audience: &str) -> Observation {
    let mut claims = claims(IAT, 3_600, None);
    claims.audiences = vec![audience.into()];
    let key = TokenKey { pod_uid: uid.into(), volume: volume.into(), path: "token".into() };
    let content = FileContent::Token(Box::new(claims));
    Observation::File(FileSeen { key, written_at: None, directory: None, content, signature: None })
}

/// A node of a cluster, with these observations at age 2.
fn node(pods: Vec<Pod>, seen: Vec<Observation>) -> Engine {
    let config = Config { node: "n1".into(), cluster_configured: true, ..Config::default() };
    let mut engine = Engine::new(config);
    let _ = engine.step(&at(1), Observation::Cluster(ClusterSeen::Listed(pods)));
    for observation in seen {
        let _ = engine.step(&at(2), observation);
    }
    let _ = engine.step(&at(30), Observation::Tick);
    engine
}

fn found(engine: &Engine, code: Code) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == code)
}

#[test]
fn an_audience_that_does_not_fit_its_client_is_named() {
    use Severity::{Info, Warning};
    let table = [
        (Some(Convention::AwsWebIdentity), "sts.amazonaws.com", None),
        (Some(Convention::AwsWebIdentity), "sts.amazon.com", Some(Warning)),
        (Some(Convention::AwsWebIdentity), "my-company", Some(Info)),
        (Some(Convention::LinkerdIdentity), "vault", Some(Warning)),
        (None, "anything", None),
    ];
    for (convention, audience, expected) in table {
        let engine =
            node(vec![pod("p1", "v", convention)], vec![with_audience("p1", "v", audience)]);
        let finding = found(&engine, Code::AudienceUnknown);
        assert_eq!(finding.as_ref().map(|it| it.severity), expected, "{audience}");
        assert!(finding.is_none_or(|it| it.summary.contains("container app gives it to")));
    }
}

#[test]
fn what_clients_of_the_api_server_read_has_an_audience_of_the_api_server() {
    let in_cluster = || pod("p1", "v", Some(Convention::InCluster));
    let own = "kube-api-access-x2x2x";
    let other = || pod("p2", own, Some(Convention::InCluster));
    let alone = node(vec![in_cluster()], vec![with_audience("p1", "v", "vault")]);
    assert_eq!(found(&alone, Code::AudienceUnknown), None, "nothing shows what it accepts");
    let seen = |audience: &str| {
        vec![with_audience("p2", own, "api.example"), with_audience("p1", "v", audience)]
    };
    let not_by_spec = node(vec![in_cluster()], seen("mine.example"));
    assert_eq!(found(&not_by_spec, Code::AudienceUnknown), None, "anybody can write such a file");
    let fits = node(vec![in_cluster(), other()], seen("api.example"));
    assert_eq!(found(&fits, Code::AudienceUnknown), None);
    for (audience, severity) in [("ledger", Severity::Warning), ("vault", Severity::Info)] {
        let wrong = node(vec![in_cluster(), other()], seen(audience));
        let finding = found(&wrong, Code::AudienceUnknown).unwrap();
        assert_eq!(finding.severity, severity, "{audience}");
        assert!(finding.summary.contains("401"), "{}", finding.summary);
    }
}

#[test]
fn the_audience_of_a_pod_that_ends_does_not_matter() {
    let linkerd = pod("p1", "v", Some(Convention::LinkerdIdentity));
    let ended = Pod { phase: Phase::Succeeded, ..linkerd.clone() };
    let terminating = Pod { deletion: Some(Wall::from_secs(IAT + 60)), ..linkerd.clone() };
    let named = |pod: Pod| {
        let engine = node(vec![pod], vec![with_audience("p1", "v", "vault")]);
        found(&engine, Code::AudienceUnknown).is_some()
    };
    assert_eq!([linkerd, ended, terminating].map(named), [true, false, false]);
}

#[test]
fn while_the_api_server_is_away_after_a_restart_the_audience_is_not_judged() {
    let pods = || vec![pod("p1", "v", Some(Convention::LinkerdIdentity))];
    let before = node(pods(), vec![with_audience("p1", "v", "vault")]);
    let finding = found(&before, Code::AudienceUnknown).unwrap();
    let (raised_at, reported_at) = (at(30).wall, at(30).wall);
    let config = Config { node: "n1".into(), cluster_configured: true, ..Config::default() };
    let mut engine = Engine::new(config);
    let _ = engine
        .restore(&at(100), vec![Restored { finding: finding.into(), raised_at, reported_at }]);
    let _ = engine.step(&at(101), with_audience("p1", "v", "vault"));
    for age in (102..900).step_by(7) {
        let _ = engine.step(&at(age), Observation::Tick);
    }
    assert!(found(&engine, Code::AudienceUnknown).is_some(), "nothing shows that it fits");
    let plain = vec![pod("p1", "v", None)];
    let _ = engine.step(&at(901), Observation::Cluster(ClusterSeen::Listed(plain)));
    for age in (902..1_100).step_by(7) {
        let _ = engine.step(&at(age), Observation::Tick);
    }
    assert_eq!(found(&engine, Code::AudienceUnknown), None, "no client of linkerd any more");
}

fn legacy(uid: &str) -> LegacyToken {
    LegacyToken {
        key: TokenKey { pod_uid: uid.into(), volume: "sa-token".into(), path: "token".into() },
        claims: LegacyClaims {
            namespace: "shop".into(),
            service_account: "ci".into(),
            secret: Some("ci-token".into()),
        },
    }
}

#[test]
fn secret_based_tokens_are_one_finding_until_the_last_pod_is_gone() {
    let pods = || vec![pod("p1", "v", None), pod("p2", "v", None)];
    let mut engine = node(pods(), vec![Observation::Legacy(vec![legacy("p1"), legacy("p2")])]);
    let finding = found(&engine, Code::Legacy).unwrap();
    assert_eq!((finding.severity, &finding.subject), (Severity::Info, &Subject::node("n1")));
    assert!(
        finding.summary.contains("2 tokens")
            && finding.summary.contains("shop/p1-name (Secret ci-token of ci)"),
        "{}",
        finding.summary
    );
    let _ = engine.step(&at(40), Observation::Legacy(vec![legacy("p2")]));
    assert!(found(&engine, Code::Legacy).unwrap().summary.contains("1 token on"));
    let ended = Pod { phase: Phase::Succeeded, ..pod("p2", "v", None) };
    let _ = engine.step(&at(50), Observation::Cluster(ClusterSeen::Listed(vec![ended])));
    for age in 51..200 {
        let _ = engine.step(&at(age), Observation::Tick);
    }
    assert_eq!(found(&engine, Code::Legacy), None, "its pod has ended");
}

#[test]
fn a_life_of_more_than_two_days_is_long_and_an_extension_is_not() {
    let day = 86_400;
    let table = [(day, None, None), (2 * day, None, None), (365 * day, Some(3_607), None)];
    let long = [(2 * day + 1, None, Some("2d")), (3_650 * day, None, Some("3650d"))];
    for (life, warn_after, expected) in table.into_iter().chain(long) {
        let Observation::File(mut file) = token("p1", 0, life) else { unreachable!() };
        file.content = FileContent::Token(Box::new(claims(IAT, life, warn_after)));
        let engine = node(vec![pod("p1", "v", None)], vec![Observation::File(file)]);
        let finding = found(&engine, Code::LifetimeLong);
        assert_eq!(finding.is_some(), expected.is_some(), "{life}");
        let text = expected.unwrap_or_default();
        assert!(
            finding.is_none_or(|it| it.summary.contains(text) && it.severity == Severity::Info)
        );
    }
}

#[test]
fn a_container_that_keeps_an_extended_token_works_only_because_of_the_extension() {
    let mut keeping = pod("p1", "kube-api-access-x", None);
    keeping.containers[0].tokens[0].part = MountedPart::File;
    keeping.containers[0].started = Some(Wall::from_secs(IAT));
    let Observation::File(mut file) = token("p1", 0, 3_600) else { unreachable!() };
    let mut extended = claims(IAT, 31_536_000, Some(3_607));
    file.content = FileContent::Token(Box::new(extended.clone()));
    let mut engine = node(vec![keeping], vec![Observation::File(file.clone())]);
    let held = |engine: &Engine| found(engine, Code::ExtendedOnly);
    assert_eq!(held(&engine), None, "within the life that was asked for");
    // kubelet replaces the token; the container keeps the first.
    extended = claims(IAT + 2_900, 31_536_000, Some(3_607));
    file.content = FileContent::Token(Box::new(extended));
    let _ = engine.step(&at(2_901), Observation::File(file));
    let _ = run(&mut engine, 2_901, 3_666);
    assert_eq!(held(&engine), None, "still within it");
    let _ = engine.step(&at(3_667), Observation::Tick);
    let finding = held(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Info);
    let since = Wall::from_secs(IAT + 3_667).rfc3339();
    assert!(finding.summary.contains(&since), "{}", finding.summary);
    assert_eq!(finding.evidence.get("tokens"), Some(&Value::from(1_usize)));
    let _ = engine.step(&at(3_700), Observation::Gone(key("p1")));
    assert_eq!(held(&engine), None);
}

/// These findings are about the node, and its next diagnosis may be a minute away.
#[test]
fn a_long_life_is_noticed_at_once_and_gone_with_its_token() {
    let mut engine = node(vec![pod("p1", "v", None)], vec![token("p1", 0, 3_600)]);
    let long = |engine: &Engine| found(engine, Code::LifetimeLong).map(|one| one.summary);
    assert_eq!(long(&engine), None);
    let _ = engine.step(&at(100), token("p1", 99, 30 * 86_400));
    assert!(long(&engine).unwrap().contains("30d"));
    let _ = engine.step(&at(200), token("p1", 199, 3_600));
    assert_eq!(long(&engine), None, "the pod asked for less");
    let _ = engine.step(&at(300), token("p1", 299, 20 * 86_400));
    assert!(long(&engine).unwrap().contains("20d"));
    let _ = engine.step(&at(400), Observation::Gone(key("p1")));
    assert_eq!(long(&engine), None);
}
