//! Copies of tokens on the host.

use super::*;
use crate::world::cluster::{Container, MountedPart, Phase, TokenMount};
use crate::world::copies::{CopiedToken, CopiesSeen, CopyKind, Mention, Plugin};
use crate::world::keys::{KeySet, KeysAnswer, KeysSeen};
use crate::world::tokens::Claims;

const PATH: &str = "/etc/cni/net.d/multus.d/multus.kubeconfig";

/// The claims of the token of a pod of Multus.
fn of_multus(iat_age: i64) -> Claims {
    let mut claims = claims(IAT + iat_age, 3_600, None);
    claims.binding.namespace = "kube-system".into();
    claims.binding.service_account.name = "multus".into();
    claims.binding.pod = Some(crate::world::tokens::ObjectRef {
        name: "kube-multus-ds-x".into(),
        uid: Some("m1".into()),
    });
    claims
}

fn in_volume(iat_age: i64) -> Observation {
    Observation::File(FileSeen {
        key: key("m1"),
        written_at: None,
        directory: None,
        content: FileContent::Token(Box::new(of_multus(iat_age))),
        signature: None,
    })
}

/// The kubeconfig of Multus with this token, or without any.
fn copied(iat_age: Option<i64>) -> Observation {
    let token =
        |age| CopiedToken { user: Some("multus".into()), ..CopiedToken::new(of_multus(age)) };
    Observation::Copies(CopiesSeen {
        path: PATH.into(),
        kind: CopyKind::Kubeconfig,
        plugin: Some(Plugin::Multus),
        mention: Mention::Named,
        written_at: None,
        tokens: iat_age.map(token).into_iter().collect(),
    })
}

fn scanned() -> Observation {
    Observation::Source(SourceState { source: "copies".into(), degraded: None })
}

fn config() -> Config {
    Config { node: "n1".into(), ..Config::default() }
}

/// Age, event and severity of the alerts about copies.
fn of_copies(reports: &[Report], now: i64) -> Vec<(i64, AlertEvent, Severity)> {
    let about = |report: &Report| match report {
        Report::Alert(alert) if alert.finding.code == Code::CopyStale => {
            Some((now, alert.event, alert.finding.severity))
        }
        Report::Alert(_) | Report::Span(_) | Report::Rotation { .. } => None,
    };
    reports.iter().filter_map(about).collect()
}

/// An engine that has raised the finding, and the finding.
fn stale() -> (Engine, Restored) {
    let mut engine = Engine::new(config());
    for (age, observation) in [(1, in_volume(0)), (1, copied(Some(0))), (1, scanned())] {
        assert_eq!(of_copies(&engine.step(&at(age), observation).reports, age), []);
    }
    let _ = engine.step(&at(2_890), in_volume(2_880));
    let reports = engine.step(&at(3_200), Observation::Tick).reports;
    let raised = reports.iter().find_map(|report| match report {
        Report::Alert(alert) => ledger::after(alert).1,
        Report::Span(_) | Report::Rotation { .. } => None,
    });
    (engine, raised.expect("a finding"))
}

#[test]
fn a_stale_copy_is_raised_by_the_engines_own_wakes() {
    let mut engine = Engine::new(config());
    for observation in [in_volume(0), copied(Some(0)), scanned()] {
        let _ = engine.step(&at(1), observation);
    }
    let _ = engine.step(&at(2_890), in_volume(2_880));
    let (mut now, mut reported) = (at(2_890), Vec::new());
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(3_700).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        let age = (now.wall - Wall::from_secs(IAT)).as_secs();
        reported.extend(of_copies(&engine.step(&now, Observation::Tick).reports, age));
    }
    let expected = [
        (3_190, AlertEvent::Raised, Severity::Warning),
        (3_300, AlertEvent::Reminded, Severity::Critical),
    ];
    assert_eq!(reported, expected);
}

#[test]
fn how_a_finding_about_a_copy_ends() {
    let table = [
        (copied(Some(2_880)), "was written again with another token"),
        (copied(None), "was removed, or holds no token any more"),
    ];
    for (observation, sentence) in table {
        let (mut engine, _) = stale();
        let reports = engine.step(&at(3_250), observation).reports;
        let ended = [(3_250, AlertEvent::Cleared, Severity::Warning)];
        assert_eq!(of_copies(&reports, 3_250), ended);
        let summary = summaries(&reports).concat();
        assert!(summary.contains(&format!("File {PATH} on node n1 {sentence}")), "{summary}");
        assert!(engine.findings().is_empty());
    }
}

#[test]
fn a_restart_neither_repeats_nor_forgets_a_stale_copy() {
    let restart = |seen: Vec<Observation>| {
        let (_, raised) = stale();
        let mut engine = Engine::new(config());
        let mut early = of_copies(&engine.restore(&at(3_210), vec![raised]).reports, 3_210);
        for observation in seen {
            early.extend(of_copies(&engine.step(&at(3_211), observation).reports, 3_211));
        }
        let mut late = Vec::new();
        for age in [3_299, 3_301] {
            late.extend(of_copies(&engine.step(&at(age), Observation::Tick).reports, age));
        }
        (early, late)
    };
    let still = vec![in_volume(2_880), copied(Some(0)), scanned()];
    let critical = vec![(3_301, AlertEvent::Reminded, Severity::Critical)];
    assert_eq!(restart(still), (vec![], critical));
    let cleared = |age| vec![(age, AlertEvent::Cleared, Severity::Warning)];
    let gone = vec![in_volume(2_880), scanned()];
    assert_eq!(restart(gone), (cleared(3_211), vec![]), "the file is gone");
    let unseen = vec![in_volume(2_880)];
    assert_eq!(restart(unseen), (vec![], cleared(3_301)), "nobody looks any more");
}

#[test]
fn the_api_servers_clock_decides_when_a_copy_is_refused() {
    // The node is two hours behind: by its clock the copy is fresh.
    let mut engine = Engine::new(config());
    let _ = engine.step(&at(1), measured(&at(1), Delta::from_secs(7_200)));
    for observation in [in_volume(0), copied(Some(0)), scanned()] {
        let _ = engine.step(&at(60), observation);
    }
    let found: Vec<_> =
        engine.findings().into_iter().filter(|one| one.code == Code::CopyStale).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].summary.contains("expired 1h 01m ago"), "{}", found[0].summary);
}

#[test]
fn a_finding_about_a_copy_is_about_the_file_on_the_node() {
    let (engine, raised) = stale();
    let finding = &raised.finding;
    assert_eq!(finding.subject, Subject::File { node: "n1".into(), path: PATH.into() });
    let summary = "The kubeconfig /etc/cni/net.d/multus.d/multus.kubeconfig (multus) holds an old \
                   token of pod kube-system/kube-multus-ds-x: kubelet replaced that token 5m 10s \
                   ago, and nobody wrote the copy again. The API server refuses the copy in 7m \
                   40s, from 2027-01-15T09:01:00Z on. Then no pod can be created or deleted on \
                   node n1.";
    assert_eq!(finding.summary, summary);
    assert_eq!(finding.deadline, Some(at(3_660).wall));
    let command = finding.remedy.command.as_deref();
    let by_uid = "awk '$1 == \"m1\" {print \"-n\", $2, $3}' | xargs -r kubectl delete pod";
    assert!(command.is_some_and(|command| command.ends_with(by_uid)), "{command:?}");
    assert_eq!(engine.status(&at(3_210)).findings.len(), 1, "on the page");
    assert_eq!(
        engine.snapshot(&at(3_210)).findings.by_code[&(Code::CopyStale, Severity::Warning)],
        1
    );
}

/// A round of requests for the keys, which has this answer.
fn round(engine: &mut Engine, age: i64, key: &str) -> Vec<Report> {
    let answer = |_| {
        let set = KeySet::new(None, [key.to_owned()]).unwrap();
        let seen = KeysSeen { sent: at(age), answer: KeysAnswer::Published(set) };
        engine.step(&at(age), Observation::Keys(seen)).reports
    };
    (0..3).flat_map(answer).collect()
}

/// The pod of Multus, as the API server lists it.
fn listed() -> Observation {
    let key = key("m1");
    let mount = TokenMount {
        volume: key.volume,
        path: key.path,
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let container = Container { name: "app".into(), tokens: vec![mount], ..Container::default() };
    Observation::Cluster(ClusterSeen::Listed(vec![Pod {
        uid: "m1".into(),
        namespace: "kube-system".into(),
        name: "kube-multus-ds-x".into(),
        phase: Phase::Running,
        containers: vec![container],
        ..Pod::default()
    }]))
}

/// A copy that calico-node requested, signed with this key.
fn requested(key: &str) -> Observation {
    let mut claims = claims(IAT, 86_400, None);
    claims.key.id = Some(key.into());
    claims.credential = Some(format!("signed with {key}"));
    (claims.binding.pod, claims.binding.node) = (None, None);
    Observation::Copies(CopiesSeen {
        path: PATH.into(),
        kind: CopyKind::Kubeconfig,
        plugin: Some(Plugin::Calico),
        mention: Mention::Named,
        written_at: None,
        tokens: vec![CopiedToken::new(claims)],
    })
}

#[test]
fn a_copy_whose_key_is_retired_is_named_within_minutes_and_clears_when_it_is_written_again() {
    let mut engine = Engine::new(Config { cluster_configured: true, ..config() });
    let known = [in_volume(0), listed(), requested("k1"), scanned(), Observation::Tick];
    for observation in known {
        let _ = engine.step(&at(1), observation);
    }
    let _ = round(&mut engine, 31, "k1");
    assert_eq!(engine.findings(), []);
    // The key was replaced since. The agent asks again after half an hour.
    let mut reports = Vec::new();
    let (mut first, mut rounds) = (None, 0);
    for age in 32..2_400 {
        let outcome = engine.step(&at(age), Observation::Tick);
        reports.extend(of_copies(&outcome.reports, age));
        if outcome.queries.contains(&Query::Keys) {
            first = first.or(Some(age));
            rounds += 1;
            let seen = round(&mut engine, age, "k2");
            reports.extend(of_copies(&seen, age));
        }
    }
    let first = first.expect("a round");
    let severities: Vec<_> = reports.iter().map(|(_, event, of)| (*event, *of)).collect();
    let expected =
        [(AlertEvent::Raised, Severity::Warning), (AlertEvent::Reminded, Severity::Critical)];
    assert_eq!(severities, expected, "{reports:?}");
    assert_eq!(reports[0].0, first);
    assert!(reports[1].0 <= first + 130, "two more rounds: {reports:?}");
    assert!(rounds <= 4, "{rounds} rounds in 40 minutes");
    let written = engine.step(&at(2_400), requested("k2")).reports;
    let ended: Vec<_> = of_copies(&written, 2_400).iter().map(|(_, event, _)| *event).collect();
    assert_eq!(ended, [AlertEvent::Cleared]);
}
