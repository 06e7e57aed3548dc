//! What kubelet's syncs show: a volume, a pod or a node that will get no new token.

use super::*;
use crate::world::cluster::Phase;
use crate::world::kubelet::{SyncsSeen, VolumeSync};
use crate::world::readers::{ReaderEvent, ReadersSeen};

type Alerts = Vec<(i64, AlertEvent, Code, Severity)>;

/// A node whose kubelet syncs each pod once a minute, at a second of its own.
struct Node {
    engine: Engine,
    pods: Vec<Pod>,
    /// Volumes that kubelet does not sync.
    left_out: Vec<TokenKey>,
    alerts: Alerts,
    last: Vec<String>,
}

const SECOND: &str = "cloud-token";

fn keys(pod: &str) -> [TokenKey; 2] {
    [key(pod), TokenKey { volume: SECOND.into(), ..key(pod) }]
}

impl Node {
    /// The pod p0 has two volumes with tokens.
    fn new(pods: usize) -> Self {
        let pod = |nth: usize| Pod {
            uid: format!("p{nth}"),
            namespace: "shop".into(),
            name: format!("p{nth}-name"),
            phase: Phase::Running,
            ..Pod::default()
        };
        let pods: Vec<Pod> = (0..pods).map(pod).collect();
        let engine = engine_with_cluster();
        let mut new = Self { engine, pods, left_out: vec![], alerts: vec![], last: vec![] };
        new.begin(1);
        new
    }

    /// The agent starts.
    fn begin(&mut self, age: i64) {
        let listed = ClusterSeen::Listed(self.pods.clone());
        self.step(age, Observation::Cluster(listed));
        for key in self.keys() {
            let Observation::File(file) = token(&key.pod_uid, 0, 3_600) else { unreachable!() };
            self.step(age, Observation::Readers(watching(&key, true)));
            self.step(age, Observation::File(FileSeen { key, ..file }));
        }
    }

    fn keys(&self) -> Vec<TokenKey> {
        let of = |pod: &Pod| keys(&pod.uid).into_iter().take(if pod.uid == "p0" { 2 } else { 1 });
        self.pods.iter().flat_map(of).collect()
    }

    fn step(&mut self, age: i64, observation: Observation) {
        let reports = self.engine.step(&at(age), observation).reports;
        for report in reports {
            if let Report::Alert(alert) = report {
                let finding = &alert.finding;
                self.alerts.push((age, alert.event, finding.code, finding.severity));
                self.last.push(finding.summary.clone());
            }
        }
    }

    fn synced(&mut self, age: i64, keys: Vec<TokenKey>) {
        let sync = |key: TokenKey| VolumeSync {
            pod_uid: key.pod_uid,
            volume: key.volume,
            at: at(age).monotonic,
            is_certain: true,
        };
        let volumes = keys.into_iter().map(sync).collect();
        self.step(age, Observation::Syncs(SyncsSeen { until: at(age).monotonic, volumes }));
    }

    fn run(&mut self, from: i64, to: i64) {
        for age in from..to {
            let due = |pod: &Pod| (age - pod.uid[1..].parse::<i64>().unwrap() * 4) % 60 == 0;
            let due: Vec<String> =
                self.pods.iter().filter(|pod| due(pod)).map(|pod| pod.uid.clone()).collect();
            let is_synced =
                |key: &TokenKey| due.contains(&key.pod_uid) && !self.left_out.contains(key);
            let synced: Vec<TokenKey> = self.keys().into_iter().filter(is_synced).collect();
            if !synced.is_empty() || age % 30 == 0 {
                self.synced(age, synced);
            }
            if self.engine.next_wake().is_some_and(|next| next <= at(age).monotonic) {
                self.step(age, Observation::Tick);
                let next = self.engine.next_wake();
                assert!(next.is_none_or(|next| next > at(age).monotonic), "wakes at once again");
            }
        }
    }

    fn cluster(&mut self, age: i64, pod: Pod) {
        self.step(age, Observation::Cluster(ClusterSeen::Pod(Box::new(pod))));
    }
}

fn engine_with_cluster() -> Engine {
    let node = "n1".into();
    Engine::new(Config { node, cluster_configured: true, ..Config::default() })
}

fn watching(key: &TokenKey, complete: bool) -> ReadersSeen {
    let (pod_uid, volume) = (key.pod_uid.clone(), key.volume.clone());
    let what = ReaderEvent::Watching { directory: "..1".into(), complete, moment: false };
    ReadersSeen { pod_uid, volume, what }
}

fn of_token(alerts: &Alerts) -> Alerts {
    alerts.iter().filter(|(_, _, code, _)| *code == Code::RotationStalled).copied().collect()
}

#[test]
fn a_volume_that_is_not_synced_is_named_long_before_its_token_is_due() {
    let mut node = Node::new(8);
    node.run(2, 600);
    assert_eq!(node.alerts, []);
    node.left_out = vec![keys("p0")[1].clone()]; // synced at 540 for the last time
    node.run(600, 1_000);
    let [(age, AlertEvent::Raised, Code::RotationStalled, Severity::Warning)] = node.alerts[..]
    else {
        panic!("{:?}", node.alerts)
    };
    assert!((600..=780).contains(&age), "{age}");
    assert_eq!(
        node.last[0],
        "Token \"token\" of pod shop/p0-name (volume cloud-token) will not be replaced: kubelet \
         has not synced its volume for 3m 04s, although it syncs another volume of the pod. It is \
         due in 35m 56s. It expires in 47m 56s, at 2027-01-15T09:00:00Z."
    );
    node.left_out.clear();
    node.run(1_000, 1_100);
    assert_eq!(node.alerts.len(), 2);
    assert_eq!(node.alerts[1].1, AlertEvent::Cleared);
    assert_eq!(
        node.last[1],
        "Token \"token\" of pod shop/p0-name (volume cloud-token) is in a volume that kubelet \
         syncs again, 4m 56s after it was first reported."
    );
}

#[test]
fn a_pod_that_is_not_synced_is_a_hint_until_nothing_else_explains_it() {
    use AlertEvent::{Raised, Reminded};
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = keys("p3").into(); // synced at 552 for the last time
    node.run(600, 2_800);
    let seen = of_token(&node.alerts);
    let events: Vec<_> = seen.iter().map(|(_, event, _, severity)| (*event, *severity)).collect();
    assert_eq!(events, [(Raised, Severity::Info), (Reminded, Severity::Warning)]);
    assert!((600..=780).contains(&seen[0].0), "{seen:?}");
    assert_eq!(seen[1].0, 552 + 900);
    assert!(node.last[0].contains("although it syncs those of other pods"), "{}", node.last[0]);
}

#[test]
fn a_pod_that_ends_is_not_one_that_kubelet_leaves_out() {
    let ends: [fn(&Pod) -> Pod; 3] = [
        |pod| Pod { deletion: Some(at(4_000).wall), ..pod.clone() },
        |pod| Pod { phase: Phase::Succeeded, ..pod.clone() },
        |pod| Pod { phase: Phase::Failed, ..pod.clone() },
    ];
    for end in ends {
        let mut node = Node::new(8);
        node.run(2, 600);
        node.left_out = keys("p3").into();
        let pod = end(&node.pods[3]);
        node.cluster(600, pod);
        node.run(601, 2_800);
        assert_eq!(of_token(&node.alerts), [], "{:?}", node.last);
    }
}

#[test]
fn a_kubelet_that_syncs_nothing_is_one_finding_before_any_token_is_due() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = node.keys();
    node.run(600, 1_200);
    let [(age, AlertEvent::Raised, Code::KubeletStalled, Severity::Warning)] = node.alerts[..]
    else {
        panic!("{:?}", node.alerts)
    };
    assert!((680..=780).contains(&age), "{age}");
    assert_eq!(
        node.last[0],
        "kubelet on node n1 has synced no volume for 3m 06s, and so will not replace 9 tokens of 8 \
         pods. The last of them expires in 47m 30s. First: shop/p0-name until \
         2027-01-15T09:00:00Z. This agent reaches the API server, so the cause is on this node: \
         kubelet itself, the container runtime or the network of the node, or kubelet's own \
         connection or credentials."
    );
    node.left_out.clear();
    node.run(1_200, 2_000);
    assert_eq!(
        node.alerts[1..].iter().map(|one| (one.1, one.2)).collect::<Vec<_>>(),
        [(AlertEvent::Cleared, Code::KubeletStalled)]
    );
    assert_eq!(
        node.last[1],
        "kubelet on node n1 syncs volumes again, 7m 52s after this was reported."
    );
}

#[test]
fn a_renewal_that_fails_differs_from_a_volume_that_is_not_synced() {
    let mut node = Node::new(8);
    node.run(2, 2_890);
    for key in node.keys().into_iter().filter(|key| key.pod_uid != "p1") {
        let Observation::File(file) = token(&key.pod_uid, 2_890, 3_600) else { unreachable!() };
        node.step(2_890, Observation::File(FileSeen { key, ..file }));
    }
    node.run(2_891, 3_200);
    let is_it = |text: &&String| text.contains("p1-name") && text.contains("stopped");
    let stalled = node.last.iter().find(is_it);
    assert_eq!(
        stalled.map(String::as_str),
        Some(
            "Token \"token\" of pod shop/p1-name (volume kube-api-access-x) should have been \
             replaced 5m 00s ago: kubelet has stopped rotating it. It has synced the volume 5 \
             times since and got no new token: it does not reach the API server, or that refuses. \
             It expires in 7m 00s, at 2027-01-15T09:00:00Z."
        )
    );
}

#[test]
fn only_a_sync_ends_it_and_not_a_gap_nor_a_restart() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = vec![keys("p0")[1].clone()];
    node.run(600, 900);
    assert_eq!(node.alerts.len(), 1, "{:?}", node.alerts);
    node.step(900, Observation::Readers(watching(&keys("p0")[1], false)));
    node.run(901, 1_200);
    let findings = node.engine.findings();
    assert_eq!((node.alerts.len(), findings.len()), (1, 1), "{:?}", node.alerts);

    let mut restarted = Node::new(8);
    let raised_at = at(690).wall;
    let finding = findings[0].clone();
    restarted.engine = engine_with_cluster();
    let restored = Restored { finding: finding.into(), raised_at, reported_at: raised_at };
    let _ = restarted.engine.restore(&at(1_200), vec![restored]);
    restarted.begin(1_200);
    restarted.left_out.clone_from(&node.left_out);
    restarted.run(1_201, 1_500);
    assert_eq!(restarted.alerts, [], "{:?}", restarted.last);
    restarted.left_out.clear();
    restarted.run(1_500, 1_600);
    let [(_, AlertEvent::Cleared, Code::RotationStalled, _)] = restarted.alerts[..] else {
        panic!("{:?}", restarted.alerts)
    };
    assert!(restarted.last[0].contains("kubelet syncs again"), "{:?}", restarted.last);
}

#[test]
fn a_pod_that_is_deleted_is_not_synced_again() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = keys("p3").into();
    node.run(600, 900);
    let pod = Pod { deletion: Some(at(930).wall), ..node.pods[3].clone() };
    node.cluster(900, pod);
    node.run(901, 1_000);
    let last = node.last.last().unwrap();
    assert!(last.contains("ends with its pod"), "{last}");
}

#[test]
fn a_new_token_ends_it_as_what_it_is() {
    for complete in [true, false] {
        let mut node = Node::new(8);
        node.run(2, 600);
        node.left_out = keys("p3").into();
        node.run(600, 2_900);
        node.alerts.clear();
        node.step(2_900, Observation::Readers(watching(&key("p3"), complete)));
        let Observation::File(file) = token("p3", 2_899, 3_600) else { unreachable!() };
        node.step(2_900, Observation::File(FileSeen { key: key("p3"), ..file }));
        assert_eq!(node.alerts.len(), 1, "{:?}", node.alerts);
        assert_eq!(node.alerts[0].1, AlertEvent::Cleared);
        let last = node.last.last().unwrap();
        assert!(last.contains("was replaced by a new token"), "{last}");
        node.synced(2_904, keys("p3")[..1].to_vec());
        node.left_out.clear();
        node.run(2_905, 2_990);
        assert_eq!(of_token(&node.alerts).len(), 1, "{:?}", node.alerts);
    }
}

#[test]
fn two_pods_of_a_kubelet_that_is_back_are_cleared_one_by_one() {
    let mut node = Node::new(2);
    node.run(2, 900);
    node.left_out = node.keys();
    node.run(900, 1_300);
    assert_eq!(node.alerts.len(), 3, "{:?}", node.alerts);
    node.left_out.clear();
    node.run(1_300, 1_400);
    let cleared = node.alerts.iter().filter(|(_, event, ..)| *event == AlertEvent::Cleared);
    assert_eq!(cleared.count(), 3, "{:?}", node.alerts);
}

#[test]
fn a_node_that_loses_its_pods_while_kubelet_is_silent_stays_named() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = node.keys();
    node.run(600, 900);
    for pod in node.pods.clone() {
        node.cluster(900, Pod { deletion: Some(at(930).wall), ..pod });
    }
    node.run(901, 1_500);
    let stalled: Vec<_> =
        node.alerts.iter().filter(|(_, _, code, _)| *code == Code::KubeletStalled).collect();
    assert_eq!(stalled.len(), 1, "{:?}", node.alerts);
}

#[test]
fn pods_that_end_are_no_majority() {
    let mut node = Node::new(8);
    node.run(2, 600);
    for nth in 1..7 {
        let pod = Pod { deletion: Some(at(4_000).wall), ..node.pods[nth].clone() };
        node.left_out.extend(keys(&pod.uid));
        node.cluster(600, pod);
    }
    node.run(601, 2_000);
    let all = node.alerts.iter().map(|(_, _, code, _)| *code);
    let others: Vec<Code> = all.filter(|code| *code != Code::PodTerminating).collect();
    assert_eq!(others, []);
}

#[test]
fn the_volumes_of_a_pod_may_go_on_one_after_the_other() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = keys("p0").into();
    node.run(600, 900);
    let worst = |node: &Node| of_token(&node.alerts).iter().map(|one| one.3).max();
    assert_eq!(worst(&node), Some(Severity::Info));
    node.synced(900, vec![key("p0")]);
    node.synced(905, vec![keys("p0")[1].clone()]);
    node.left_out.clear();
    node.run(906, 1_000);
    assert_eq!(worst(&node), Some(Severity::Info), "{:?}", node.last);
}

#[test]
fn deleting_pods_that_are_stuck_clears_nothing() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = (1..7).flat_map(|nth| keys(&format!("p{nth}"))).collect();
    node.run(600, 1_000);
    let codes = |node: &Node| -> Vec<(AlertEvent, Code)> {
        node.alerts.iter().map(|(_, event, code, _)| (*event, *code)).collect()
    };
    let stalled = vec![(AlertEvent::Raised, Code::KubeletStalled)];
    assert_eq!(codes(&node), stalled, "{:?}", node.last);
    for nth in [2, 5] {
        let pod = Pod { deletion: Some(at(4_000).wall), ..node.pods[nth].clone() };
        node.cluster(1_000, pod);
    }
    node.alerts.retain(|(_, _, code, _)| *code != Code::PodTerminating);
    node.run(1_001, 1_300);
    assert_eq!(codes(&node), stalled, "{:?}", node.last);
}

#[test]
fn one_sync_after_a_restart_is_no_kubelet_that_is_back() {
    let mut node = Node::new(8);
    node.run(2, 600);
    node.left_out = node.keys();
    node.run(600, 900);
    let finding = node.engine.findings()[0].clone();
    assert_eq!(finding.code, Code::KubeletStalled);
    node.engine = engine_with_cluster();
    let (raised_at, reported_at) = (at(780).wall, at(780).wall);
    let _ = node
        .engine
        .restore(&at(900), vec![Restored { finding: finding.into(), raised_at, reported_at }]);
    node.alerts.clear();
    node.begin(900);
    node.left_out.retain(|key| key.pod_uid != "p4");
    node.run(901, 1_500);
    assert_eq!(node.alerts, [], "{:?}", node.last);
    node.left_out.clear();
    node.run(1_500, 1_600);
    assert_eq!(node.alerts.len(), 1, "{:?}", node.last);
    assert!(node.last.last().unwrap().contains("syncs volumes again"), "{:?}", node.last);
}
