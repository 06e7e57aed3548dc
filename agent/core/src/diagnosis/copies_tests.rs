use super::*;
use crate::base::time::Monotonic;
use crate::base::value::Value;
use crate::world::copies::{CopiedToken, CopiesSeen, CopyKind, Mention};
use crate::world::observation::{BlindSpot, FileContent, FileSeen, Observation};
use crate::world::tokens::{Binding, Claims, ObjectRef, SigningKey, TokenKey};

const START: i64 = 1_800_000_000;
const YEAR: i64 = 31_536_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn at(secs: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(START + secs),
        monotonic: Monotonic::from_nanos((1_000 + secs) * 1_000_000_000),
    }
}

/// A token of a pod called like its account, or of no pod.
#[derive(Clone, Copy)]
struct Token {
    account: &'static str,
    is_bound: bool,
    issued: i64,
    life: i64,
    warn: Option<i64>,
    node: &'static str,
}

const HOURLY: Token =
    Token { account: "multus", is_bound: true, issued: 0, life: HOUR, warn: None, node: "n1" };
const EXTENDED: Token = Token { life: YEAR, warn: Some(3_607), ..HOURLY };
const REQUESTED: Token =
    Token { account: "calico-cni-plugin", is_bound: false, life: DAY, ..HOURLY };

impl Token {
    fn at(self, issued: i64) -> Self {
        Self { issued, ..self }
    }

    fn of(self, account: &'static str) -> Self {
        Self { account, ..self }
    }

    fn claims(self) -> Claims {
        let object = |name: &str| ObjectRef { name: name.into(), uid: Some(format!("uid-{name}")) };
        let issued_at = Wall::from_secs(START + self.issued);
        Claims {
            issuer: "https://kubernetes.default.svc".into(),
            subject: format!("system:serviceaccount:kube-system:{}", self.account),
            audiences: vec!["https://kubernetes.default.svc".into()],
            issued_at,
            not_before: issued_at,
            expires_at: issued_at + Delta::from_secs(self.life),
            warn_after: self.warn.map(|secs| issued_at + Delta::from_secs(secs)),
            credential: Some(format!("{}-{}", self.account, self.issued)),
            binding: Binding {
                namespace: "kube-system".into(),
                service_account: object(self.account),
                pod: self.is_bound.then(|| object(self.account)),
                secret: None,
                node: self.is_bound.then(|| object(self.node)),
            },
            key: SigningKey::default(),
        }
    }

    fn in_volume(self) -> Observation {
        Observation::File(FileSeen {
            key: TokenKey {
                pod_uid: format!("uid-{}", self.account),
                volume: "kube-api-access-x".into(),
                path: "token".into(),
            },
            written_at: None,
            directory: None,
            content: FileContent::Token(Box::new(self.claims())),
            signature: None,
        })
    }

    fn copied(self, plugin: Option<Plugin>, mention: Mention) -> Observation {
        copied(&[self], plugin, mention)
    }

    /// In the kubeconfig of Multus, which the CNI configuration names.
    fn in_use(self) -> Observation {
        self.copied(Some(Plugin::Multus), Mention::Named)
    }
}

const PATH: &str = "/etc/cni/net.d/multus.d/multus.kubeconfig";

fn copied(tokens: &[Token], plugin: Option<Plugin>, mention: Mention) -> Observation {
    let token = |token: &Token| CopiedToken {
        user: Some(token.account.into()),
        ..CopiedToken::new(token.claims())
    };
    Observation::Copies(CopiesSeen {
        path: PATH.into(),
        kind: CopyKind::Kubeconfig,
        plugin,
        mention,
        written_at: None,
        tokens: tokens.iter().map(token).collect(),
    })
}

fn config() -> Config {
    Config { node: "n1".into(), ..Config::default() }
}

/// The world after these observations, each at its time.
fn world(observations: &[(i64, Observation)]) -> World {
    let mut world = World::new(&config());
    for (secs, observation) in observations {
        let _ = world.learn(&at(*secs), observation.clone());
    }
    world
}

/// Reason and severity at this time.
fn found(world: &World, secs: i64) -> Option<(String, Severity)> {
    let finding = copies(world, &config(), &at(secs)).pop()?.finding?;
    match finding.evidence.get("reason") {
        Some(Value::Text(reason)) => Some((reason.clone(), finding.severity)),
        other => panic!("{other:?}"),
    }
}

/// One row: when, and what is found then.
type Row = (i64, Option<(&'static str, Severity)>);

#[track_caller]
fn assert_found(name: &str, observations: &[(i64, Observation)], rows: &[Row]) {
    let world = world(observations);
    for (secs, expected) in rows {
        let expected = expected.map(|(reason, severity)| (reason.to_owned(), severity));
        assert_eq!(found(&world, *secs), expected, "{name}, at {secs} s");
    }
}

use Severity::{Critical, Info, Warning};

#[test]
fn a_copy_that_is_not_written_again_is_found_before_it_dies() {
    let hourly =
        [(0, HOURLY.in_volume()), (0, HOURLY.in_use()), (2_880, HOURLY.at(2_880).in_volume())];
    let rows: &[Row] = &[
        (2_890, None),
        (3_170, None), // a healthy writer needs seconds, and has 5 min
        (3_181, Some(("behind", Warning))),
        (3_301, Some(("behind", Critical))),
        (3_661, Some(("expired", Critical))),
    ];
    assert_found("1 h, without extension", &hourly, rows);
    let short = |issued| Token { life: 600, ..HOURLY.at(issued) };
    let ten_minutes =
        [(0, short(0).in_volume()), (0, short(0).in_use()), (490, short(490).in_volume())];
    let rows: &[Row] =
        &[(540, None), (551, Some(("behind", Warning))), (601, Some(("behind", Critical)))];
    assert_found("10 min", &ten_minutes, rows);
    let healthy = [
        (0, HOURLY.in_volume()),
        (0, HOURLY.in_use()),
        (2_880, HOURLY.at(2_880).in_volume()),
        (3_000, HOURLY.at(2_880).in_use()),
    ];
    assert_found("written again", &healthy, &[(3_001, None), (5_700, None)]);
}

#[test]
fn an_extended_copy_works_for_a_year() {
    let rotated = [
        (0, EXTENDED.in_volume()),
        (0, EXTENDED.in_use()),
        (2_900, EXTENDED.at(2_900).in_volume()),
    ];
    let rows: &[Row] = &[
        (3_000, None),
        (3_300, Some(("behind", Info))),
        (YEAR - 15 * DAY, Some(("behind", Info))),
        (YEAR - 13 * DAY, Some(("behind", Warning))),
        (YEAR - 1_800, Some(("behind", Critical))),
        (YEAR + 61, Some(("expired", Critical))),
    ];
    assert_found("extended", &rotated, rows);
    let fresh = [(0, EXTENDED.in_volume()), (0, EXTENDED.in_use())];
    assert_found("extended and fresh", &fresh, &[(2_800, None)]);
}

#[test]
fn a_copy_of_a_pod_that_is_gone_is_refused_whatever_its_expiry() {
    let other = HOURLY.of("cart").in_volume();
    let gone = [(0, other.clone()), (0, EXTENDED.in_use())];
    // The next pod of the plugin has two minutes to write the file.
    assert_found("gone", &gone, &[(100, None), (121, Some(("pod gone", Critical)))]);

    let left = [
        (0, EXTENDED.in_volume()),
        (0, EXTENDED.in_use()),
        (
            500,
            Observation::Gone(TokenKey {
                pod_uid: "uid-multus".into(),
                volume: "kube-api-access-x".into(),
                path: "token".into(),
            }),
        ),
    ];
    assert_found("left", &left, &[(600, None), (621, Some(("pod gone", Critical)))]);

    let here = Observation::WithoutTokens(vec!["uid-multus".into()]);
    let kept = [(0, other.clone()), (0, EXTENDED.in_use()), (0, here)];
    assert_found("its directory is there", &kept, &[(600, None)]);
    let hidden = Observation::Blind(vec![BlindSpot {
        pod_uid: BlindSpot::ALL.into(),
        volume: BlindSpot::ALL.into(),
        directory: "/var/lib/kubelet".into(),
        reason: "no permission".into(),
        is_partly: false,
    }]);
    let unseen = [(0, other.clone()), (0, EXTENDED.in_use()), (0, hidden)];
    assert_found("the agent does not see pods", &unseen, &[(600, None)]);
    let elsewhere = Token { node: "n2", ..EXTENDED };
    let foreign = [(0, other), (0, elsewhere.in_use())];
    assert_found("its pod is on another node", &foreign, &[(600, None)]);
}

#[test]
fn the_api_servers_list_of_pods_decides_where_it_is_known() {
    use crate::world::cluster::{ClusterSeen, Phase, Pod};
    let pod = |name: &str| Pod {
        uid: format!("uid-{name}"),
        namespace: "kube-system".into(),
        name: name.into(),
        phase: Phase::Running,
        ..Pod::default()
    };
    let listed = |names: &[&str]| {
        Observation::Cluster(ClusterSeen::Listed(names.iter().map(|name| pod(name)).collect()))
    };
    let other = HOURLY.of("cart").in_volume();
    let gone = [(0, other.clone()), (0, EXTENDED.in_use()), (10, listed(&["cart"]))];
    assert_found("not listed", &gone, &[(60, None), (121, Some(("pod gone", Critical)))]);
    let exists = [(0, other), (0, EXTENDED.in_use()), (10, listed(&["cart", "multus"]))];
    assert_found("listed", &exists, &[(600, None)]);
}

#[test]
fn what_nothing_uses_is_left_over() {
    let dead = |mention| {
        [(0, HOURLY.of("cart").in_volume()), (0, HOURLY.copied(Some(Plugin::Multus), mention))]
    };
    let at_once: &[Row] = &[(3_700, Some(("expired", Critical)))];
    let left_over: &[Row] = &[(3_700, Some(("expired", Info)))];
    assert_found("named", &dead(Mention::Named), at_once);
    assert_found("configured", &dead(Mention::Configured), at_once);
    assert_found("not named", &dead(Mention::NotNamed), left_over);
    assert_found("another is named", &dead(Mention::OtherNamed), left_over);
    assert_found("no configuration and no pod", &dead(Mention::Unknown), left_over);
    let with_pod = |plugin, mention| {
        [(0, HOURLY.at(3_000).in_volume()), (0, HOURLY.copied(Some(plugin), mention))]
    };
    let multus = Plugin::Multus;
    assert_found("no configuration", &with_pod(multus, Mention::Unknown), at_once);
    assert_found("another path is named", &with_pod(multus, Mention::OtherNamed), left_over);
    // The runtime may read its configurations from somewhere else.
    let uncertain: &[Row] = &[(3_700, Some(("expired", Warning)))];
    assert_found("not named, and runs", &with_pod(multus, Mention::NotNamed), uncertain);
    // NetworkAttachmentDefinitions name it, and the agent does not see those.
    let whereabouts = with_pod(Plugin::Whereabouts, Mention::NotNamed);
    assert_found("whereabouts, by multus", &whereabouts, at_once);
    let uninstalled = |plugin, account| {
        let copy = HOURLY.of(account).copied(Some(plugin), Mention::NotNamed);
        [(0, HOURLY.at(3_000).in_volume()), (0, copy)]
    };
    let whereabouts = uninstalled(Plugin::Whereabouts, "whereabouts");
    assert_found("whereabouts was uninstalled", &whereabouts, left_over);
    let spiderpool = uninstalled(Plugin::Spiderpool, "spiderpool-agent");
    assert_found("spiderpool was uninstalled", &spiderpool, left_over);
}

#[test]
fn a_copy_of_another_pods_token_is_named() {
    let foreign = HOURLY.of("cart");
    let with_writer = [(0, HOURLY.in_volume()), (0, foreign.in_volume()), (0, foreign.in_use())];
    assert_found("beside the plugin's pod", &with_writer, &[(60, Some(("other pod", Warning)))]);
    let without = [(0, foreign.in_volume()), (0, foreign.in_use())];
    assert_found("the plugin has no pod here", &without, &[(60, Some(("unknown pod", Info)))]);
    let custom = [
        (0, HOURLY.of("multus-admission-controller-6d8f-x7k2p").in_volume()),
        (0, HOURLY.of("cni-meta").in_volume()),
        (0, HOURLY.of("cni-meta").in_use()),
        (2_880, HOURLY.of("cni-meta").at(2_880).in_volume()),
    ];
    let rows: &[Row] = &[(60, Some(("unknown pod", Info))), (3_310, Some(("behind", Critical)))];
    assert_found("the plugin has another name, and is behind", &custom, rows);
    let elsewhere = Token { node: "n2", ..foreign };
    let unseen = [(0, HOURLY.of("shop").in_volume()), (0, elsewhere.in_use())];
    assert_found("a pod of another node", &unseen, &[(60, Some(("unknown pod", Warning)))]);
    assert_found("the plugin has another name", &custom[..3], &[(60, Some(("unknown pod", Info)))]);
    let installer = HOURLY.of("multus-additional-cni-plugins");
    let openshift = [
        (0, HOURLY.of("whereabouts-reconciler").in_volume()),
        (0, installer.in_volume()),
        (0, installer.copied(Some(Plugin::Whereabouts), Mention::Named)),
    ];
    assert_found("multus installs whereabouts", &openshift, &[(60, None)]);
    let world = world(&with_writer);
    let summary = copies(&world, &config(), &at(60)).pop().unwrap().finding.unwrap().summary;
    for part in ["pod kube-system/cart", "kube-system/cart", "that is pod kube-system/multus"] {
        assert!(summary.contains(part), "{part} in {summary}");
    }
}

#[test]
fn a_pod_that_is_not_known_to_be_the_plugins_is_not_accused() {
    let foreign = HOURLY.of("cart");
    let world = world(&[(0, foreign.in_volume()), (0, foreign.in_use())]);
    let finding = copies(&world, &config(), &at(60)).pop().unwrap().finding.unwrap();
    let summary = finding.summary;
    assert!(summary.contains("which is not known to be the plugin's"), "{summary}");
    assert!(!summary.contains("no pod can be created"), "{summary}");
    let command = "kubectl get pods -A -o wide --field-selector spec.nodeName=n1 | grep multus";
    assert_eq!(finding.remedy.command.as_deref(), Some(command));
    assert_eq!((finding.deadline, finding.evidence.get("writer")), (None, None));
}

#[test]
fn a_rotation_does_not_hide_a_copy_that_is_generations_behind() {
    let once = |age: i64| [(0, EXTENDED.in_volume()), (0, EXTENDED.at(-age).in_use())];
    let behind: &[Row] = &[(10, Some(("behind", Info)))];
    assert_found("20 d old", &once(20 * DAY), behind);
    assert_found("a rotation missed", &once(6_000), behind);
    assert_found("the last one", &once(2_900), &[(10, None), (301, Some(("behind", Info)))]);
    assert_found("of a late kubelet", &once(3_100), &[(10, None), (301, Some(("behind", Info)))]);
    let copy = EXTENDED.at(-20 * DAY);
    let mut observations = vec![(0, EXTENDED.in_volume()), (0, copy.in_use())];
    for age in [2_880, 5_760, 8_640] {
        observations.push((age, EXTENDED.at(age).in_volume()));
        assert_found("after each rotation", &observations, &[(age, Some(("behind", Info)))]);
    }
    let world = world(&observations);
    let finding = copies(&world, &config(), &at(8_700)).pop().unwrap().finding.unwrap();
    let summary = finding.summary;
    assert!(summary.contains("kubelet replaced that token at least 1h 37m ago"), "{summary}");
    assert_eq!(finding.evidence.get("replaced_at"), None);
}

#[test]
fn each_copy_counts_from_when_its_own_generation_was_replaced() {
    let observations = [
        (0, EXTENDED.in_volume()),
        (0, EXTENDED.in_use()),
        (2_880, EXTENDED.at(2_880).in_volume()),
        (5_760, EXTENDED.at(5_760).in_volume()),
    ];
    assert_found("two behind", &observations, &[(5_761, Some(("behind", Info)))]);
    let world = world(&observations);
    let finding = copies(&world, &config(), &at(5_820)).pop().unwrap().finding.unwrap();
    assert!(finding.summary.contains("replaced that token 49m 00s ago"), "{}", finding.summary);
}

/// The command of the remedy for a dead kubeconfig of this plugin, with pods of these names.
fn command(plugin: Plugin, copy: Token, pods: &[&'static str]) -> String {
    let pods = pods.iter().map(|pod| (0, HOURLY.of(pod).at(3_000).in_volume()));
    let copy = [(0, copy.copied(Some(plugin), Mention::Named))];
    let world = world(&pods.chain(copy).collect::<Vec<_>>());
    let finding = copies(&world, &config(), &at(2 * DAY)).pop().unwrap().finding.unwrap();
    finding.remedy.command.unwrap()
}

#[test]
fn the_remedy_restarts_the_pod_that_writes_the_file_or_none() {
    use Plugin::{Calico, Cilium, Multus};
    let delete = |pod: &str| {
        format!(
            "kubectl get pods -A --no-headers -o custom-columns=U:.metadata.uid,\
             N:.metadata.namespace,P:.metadata.name | awk '$1 == \"uid-{pod}\" {{print \"-n\", $2, \
             $3}}' | xargs -r kubectl delete pod"
        )
    };
    let list = |plugin: &str| {
        format!("kubectl get pods -A -o wide --field-selector spec.nodeName=n1 | grep {plugin}")
    };
    let table: [(Plugin, Token, &[&'static str], String); 7] = [
        (
            Calico,
            REQUESTED,
            &["calico-kube-controllers-7d", "calico-node-x"],
            delete("calico-node-x"),
        ),
        (Calico, REQUESTED, &["calico-kube-controllers-7d"], list("calico")),
        (Calico, REQUESTED, &["canal-api-0", "calico-node-x"], delete("calico-node-x")),
        (Calico, REQUESTED, &["calico-node-x", "canal-x"], list("calico")),
        (Cilium, REQUESTED.of("c"), &["cilium-operator-7d-x", "cilium-x"], delete("cilium-x")),
        (Multus, HOURLY.of("multus-b"), &["multus-a", "multus-b"], delete("multus-b")),
        (Multus, HOURLY.of("own-cni"), &["multus-ac-7d-x", "own-cni"], delete("own-cni")),
    ];
    for (plugin, copy, pods, expected) in table {
        assert_eq!(command(plugin, copy, pods), expected, "{pods:?}");
    }
}

#[test]
fn a_token_of_another_cluster_is_not_of_a_pod_that_is_gone() {
    let claims = |issuer: &str| {
        let mut claims = EXTENDED.of("vault").claims();
        claims.binding.node = None;
        claims.issuer = issuer.into();
        claims
    };
    let copied = |issuer, plugin, mention| {
        Observation::Copies(CopiesSeen {
            path: PATH.into(),
            kind: CopyKind::Token,
            plugin,
            mention,
            written_at: None,
            tokens: vec![CopiedToken::new(claims(issuer))],
        })
    };
    let (ours, theirs) = ("https://kubernetes.default.svc", "https://oidc.example/other");
    let gone = Some(("pod gone", Critical));
    let calico = Some(Plugin::Calico);
    let table = [
        ("another issuer", copied(theirs, None, Mention::Configured), None),
        ("the pod may be on another node", copied(ours, None, Mention::Configured), None),
        ("a plugin of another cluster", copied(theirs, calico, Mention::Named), None),
        ("before Kubernetes 1.30", copied(ours, calico, Mention::Named), gone),
    ];
    for (name, copy, expected) in table {
        let known = [(0, HOURLY.of("cart").in_volume()), (0, copy)];
        let found = found(&world(&known), 200).filter(|(reason, _)| reason == "pod gone");
        assert_eq!(found, expected.map(|(reason, of)| (reason.to_owned(), of)), "{name}");
    }
}

#[test]
fn a_requested_token_is_judged_by_its_own_life() {
    let calico = [(0, REQUESTED.copied(Some(Plugin::Calico), Mention::Named))];
    let rows: &[Row] = &[
        (12 * HOUR, None), // calico-node sleeps for 6 to 12 h
        (12 * HOUR + 1_800, Some(("not renewed", Warning))),
        (23 * HOUR + 120, Some(("not renewed", Critical))),
        (DAY + 61, Some(("expired", Critical))),
    ];
    assert_found("calico", &calico, rows);
    let bound = Token { is_bound: true, ..REQUESTED.of("calico-node") };
    let old_calico =
        [(0, bound.in_volume()), (0, bound.copied(Some(Plugin::Calico), Mention::Named))];
    assert_found("bound to its pod", &old_calico, &[(13 * HOUR, None)]);
    let other = [(0, REQUESTED.copied(None, Mention::Configured))];
    let rows: &[Row] = &[(21 * HOUR, None), (22 * HOUR, Some(("not renewed", Warning)))];
    assert_found("somebody else's", &other, rows);
    let yearly = [(0, Token { life: YEAR, ..REQUESTED }.copied(None, Mention::Configured))];
    let rows: &[Row] =
        &[(YEAR - 15 * DAY, None), (YEAR - 13 * DAY, Some(("not renewed", Warning)))];
    assert_found("a year", &yearly, rows);
}

#[test]
fn the_worst_token_of_a_file_counts() {
    let fresh = HOURLY.at(3_600);
    let both = [
        (0, fresh.in_volume()),
        (0, copied(&[fresh, HOURLY], Some(Plugin::Multus), Mention::Named)),
    ];
    assert_found("one of two expired", &both, &[(3_700, Some(("expired", Critical)))]);
}

#[test]
fn an_earlier_generation_is_recognised_among_the_tokens_of_a_pod() {
    // A second token of the pod, for the same audience, that kubelet rotates at other times.
    let mut other = HOURLY.at(3_500);
    other.life = 2 * HOUR;
    let Observation::File(mut second) = other.in_volume() else { panic!() };
    second.key.volume = "a-first-by-name".into();
    let observations = [
        (0, Observation::File(second)),
        (0, HOURLY.in_volume()),
        (0, HOURLY.in_use()),
        (2_880, HOURLY.at(2_880).in_volume()),
    ];
    let world = world(&observations);
    let file = world.copies.get(PATH).unwrap();
    let facts = world.copy_facts(file, &file.seen.tokens[0], &at(3_000));
    let source = facts.source.unwrap();
    assert!(source.is_certain);
    assert_eq!(source.tracked.key.volume, "kube-api-access-x");
}

#[test]
fn the_next_look_is_when_something_changes() {
    let observations =
        [(0, HOURLY.in_volume()), (0, HOURLY.in_use()), (2_880, HOURLY.at(2_880).in_volume())];
    let world = world(&observations);
    let (mut now, mut seen) = (2_881, Vec::new());
    for _ in 0..8 {
        seen.push((now, found(&world, now).map(|(_, severity)| severity)));
        let Some(next) = next(&world, &at(now)) else { break };
        now += (next - at(now).monotonic).as_secs();
    }
    let changes: Vec<_> = seen.iter().filter(|(_, severity)| severity.is_some()).collect();
    assert_eq!(
        changes,
        [&(3_180, Some(Warning)), &(3_300, Some(Critical)), &(3_660, Some(Critical))],
        "{seen:?}"
    );
}

#[cfg(test)]
#[path = "copies_keys_tests.rs"]
mod keys;
