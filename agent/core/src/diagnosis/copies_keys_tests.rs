//! Copies whose key the API servers do not have, or whose signature is wrong.

use proptest::prelude::*;

use super::*;
use crate::world::cluster::{ClusterSeen, Container, MountedPart, Phase, Pod, TokenMount};
use crate::world::copies::{CopyKey, CopyServer, NotJudged};
use crate::world::keys::{KeySet, KeyState, KeysAnswer, KeysSeen};
use crate::world::tokens::{Signature, SignatureResult, Unsupported};

const ISSUER: &str = "https://kubernetes.default.svc";

/// A copy of the token of Multus, which `old` signed.
#[derive(Clone)]
struct Copy {
    claims: Claims,
    server: Option<CopyServer>,
    signature: Option<SignatureResult>,
    plugin: Option<Plugin>,
    mention: Mention,
}

impl Copy {
    fn new() -> Self {
        let key = SigningKey { id: Some("old".into()), is_external: false };
        Self {
            claims: Claims { key, ..EXTENDED.claims() },
            server: None,
            signature: None,
            plugin: Some(Plugin::Multus),
            mention: Mention::Named,
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut copy = Self::new();
        change(&mut copy);
        copy
    }

    /// Bound to no pod.
    fn requested(change: impl FnOnce(&mut Self)) -> Self {
        Self::with(|copy| {
            copy.claims = Claims { key: copy.claims.key.clone(), ..REQUESTED.claims() };
            change(copy);
        })
    }

    fn observed(&self) -> Observation {
        let signature = self.signature.map(|result| Signature { result, keys_at: at(0).wall });
        let token = CopiedToken {
            api_server: self.server,
            signature,
            ..CopiedToken::new(self.claims.clone())
        };
        Observation::Copies(CopiesSeen {
            path: PATH.into(),
            kind: CopyKind::Kubeconfig,
            plugin: self.plugin,
            mention: self.mention,
            written_at: None,
            tokens: vec![token],
        })
    }
}

fn with_keys() -> Config {
    Config { cluster_configured: true, ..config() }
}

/// The pod of Multus, as the API server lists it.
fn listed() -> Observation {
    let mount = TokenMount {
        volume: "kube-api-access-x".into(),
        path: "token".into(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let container = Container { name: "app".into(), tokens: vec![mount], ..Container::default() };
    Observation::Cluster(ClusterSeen::Listed(vec![Pod {
        uid: "uid-multus".into(),
        namespace: "kube-system".into(),
        name: "multus".into(),
        phase: Phase::Running,
        containers: vec![container],
        ..Pod::default()
    }]))
}

fn published(sent: i64, ids: &[&str]) -> Observation {
    let set = KeySet::new(Some(ISSUER), ids.iter().map(ToString::to_string)).unwrap();
    Observation::Keys(KeysSeen { sent: at(sent), answer: KeysAnswer::Published(set) })
}

fn refused(sent: i64) -> Observation {
    let claims = Copy::new().claims;
    Observation::Keys(KeysSeen { sent: at(sent), answer: KeysAnswer::Refused(Box::new(claims)) })
}

/// What is known 100 s after the copy, from these answers.
fn judged(copy: &Copy, answers: &[Observation]) -> (Option<(String, Severity)>, CopyKey) {
    let mut world = World::new(&with_keys());
    let known = [HOURLY.in_volume(), copy.observed(), listed()];
    for observation in known.into_iter().chain(answers.iter().cloned()) {
        let _ = world.learn(&at(20), observation);
    }
    let file = world.copies.get(PATH).unwrap();
    let key = world.copy_key(file, &file.seen.tokens[0]);
    (found(&world, 100), key)
}

fn times(count: i64, from: i64, ids: &[&str]) -> Vec<Observation> {
    (0..count).map(|nth| published(from + nth, ids)).collect()
}

#[test]
fn a_key_that_the_api_servers_do_not_have_is_named() {
    let new = &["new"][..];
    let table = [
        ("no answer", vec![], None),
        ("a part of a round", times(2, 21, new), None),
        ("a round", times(3, 21, new), Some(Warning)),
        ("three rounds", times(9, 21, new), Some(Critical)),
        ("answers from before the copy", times(9, 1, new), None),
        ("the key is there", times(9, 21, &["old", "new"]), None),
        ("one API server has it", [times(3, 21, new), times(3, 31, &["old"])].concat(), {
            Some(Warning)
        }),
        ("it is removed", [times(3, 21, &["old"]), times(9, 31, new)].concat(), Some(Critical)),
        ("the agent's own token is refused", vec![refused(21), refused(90)], None),
    ];
    for (name, answers, expected) in table {
        let (found, _) = judged(&Copy::new(), &answers);
        let expected = expected.map(|severity| ("key unknown".to_owned(), severity));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn only_a_copy_that_is_for_this_cluster_is_judged_by_its_keys() {
    use CopyKey::{Judged, NotJudged as Not};
    let unknown = Judged(KeyState::Unknown);
    let settings = |copy: &mut Copy| (copy.plugin, copy.mention) = (None, Mention::Configured);
    let other = || "https://oidc.example/other".to_owned();
    let table = [
        ("of a pod of this cluster", Copy::new(), unknown),
        (
            "the same, by another address of the API server",
            { Copy::with(|copy| copy.server = Some(CopyServer::Other)) },
            unknown,
        ),
        ("the same, in a file that only the settings name", Copy::with(settings), unknown),
        (
            "an earlier issuer of this cluster",
            { Copy::with(|copy| copy.claims.issuer = other()) },
            unknown,
        ),
        ("requested by the plugin", Copy::requested(|_| ()), unknown),
        (
            "for another API server",
            { Copy::requested(|copy| copy.server = Some(CopyServer::Other)) },
            Not(NotJudged::OtherServer),
        ),
        (
            "of another issuer",
            { Copy::requested(|copy| copy.claims.issuer = other()) },
            Not(NotJudged::OtherIssuer),
        ),
        (
            "of a pod elsewhere with the issuer of many clusters",
            {
                Copy::with(|copy| {
                    settings(copy);
                    copy.claims.binding.pod = Some(ObjectRef { name: "x".into(), uid: None });
                })
            },
            Not(NotJudged::Anybodys),
        ),
        ("requested, and only the settings name it", Copy::requested(settings), {
            Not(NotJudged::Anybodys)
        }),
        (
            "the same, for this API server",
            {
                Copy::requested(|copy| {
                    settings(copy);
                    copy.server = Some(CopyServer::Own);
                })
            },
            unknown,
        ),
        (
            "of an external signer",
            { Copy::with(|copy| copy.claims.key.is_external = true) },
            Not(NotJudged::External),
        ),
        ("without an id", Copy::with(|copy| copy.claims.key.id = None), Not(NotJudged::NoId)),
        ("an empty id", Copy::with(|copy| copy.claims.key.id = Some(String::new())), {
            Not(NotJudged::NoId)
        }),
    ];
    for (name, copy, expected) in table {
        let (found, key) = judged(&copy, &times(9, 21, &["new"]));
        assert_eq!(key, expected, "{name}");
        let names_key = found.is_some_and(|(reason, _)| reason == "key unknown");
        assert_eq!(names_key, expected == unknown, "{name}");
    }
    let (_, key) = judged(&Copy::new(), &[]);
    assert_eq!(key, Not(NotJudged::NoAnswer));
    // The agent asks the API server of another cluster, which knows no pod of this node.
    let mut elsewhere = World::new(&with_keys());
    let known = [HOURLY.in_volume(), Copy::requested(|_| ()).observed()];
    for observation in known.into_iter().chain(times(9, 21, &["new"])) {
        let _ = elsewhere.learn(&at(20), observation);
    }
    let file = elsewhere.copies.get(PATH).unwrap();
    let key = elsewhere.copy_key(file, &file.seen.tokens[0]);
    assert_eq!(key, Not(NotJudged::OtherIssuer));
}

#[test]
fn a_wrong_signature_is_named_whatever_the_cluster() {
    use SignatureResult::{Damaged, NoSuchKey, OtherKey, Unsupported as NotChecked, Verified};
    let table = [
        (Damaged, Some(("damaged".to_owned(), Critical))),
        (Verified, None),
        (NoSuchKey, None), // the ids decide what that means
        (OtherKey, None),
        (NotChecked(Unsupported::Key), None),
        (NotChecked(Unsupported::Es512), None),
    ];
    for (result, expected) in table {
        let copy = Copy::with(|copy| copy.signature = Some(result));
        let (found, _) = judged(&copy, &times(9, 21, &["old"]));
        assert_eq!(found, expected, "{result:?}");
    }
    let elsewhere = Copy::requested(|copy| {
        (copy.signature, copy.server) = (Some(Damaged), Some(CopyServer::Other));
    });
    let (found, _) = judged(&elsewhere, &[]);
    assert_eq!(found.map(|(reason, _)| reason), Some("damaged".to_owned()));
}

#[test]
fn a_file_that_nothing_uses_harms_nobody() {
    let unused = Copy::requested(|copy| {
        (copy.plugin, copy.mention) = (Some(Plugin::Whereabouts), Mention::NotNamed);
    });
    let (found, _) = judged(&unused, &times(9, 21, &["new"]));
    assert_eq!(found, Some(("key unknown".to_owned(), Info)));
}

#[test]
fn the_finding_says_who_refuses_the_token() {
    let summary = |copy: &Copy, answers: &[Observation]| {
        let mut world = World::new(&with_keys());
        let known = [HOURLY.in_volume(), copy.observed(), listed()];
        for observation in known.into_iter().chain(answers.iter().cloned()) {
            let _ = world.learn(&at(20), observation);
        }
        let finding = copies(&world, &with_keys(), &at(100)).pop().unwrap().finding.unwrap();
        assert_eq!(finding.deadline, None, "since when is not known");
        (finding.summary, finding.evidence)
    };
    let (text, evidence) = summary(&Copy::new(), &times(9, 21, &["new"]));
    assert!(text.contains("no API server has any more: each refuses the token"), "{text}");
    assert!(text.contains("no pod can be created or deleted on node n1"), "{text}");
    assert_eq!(evidence.get("key_id"), Some(&Value::Text("old".into())));
    assert_eq!(evidence.get("key"), Some(&Value::Text("no API server has it".into())));
    let split = [times(3, 21, &["new"]), times(3, 31, &["old"])].concat();
    let (text, _) = summary(&Copy::new(), &split);
    assert!(text.contains("some API servers have and others do not"), "{text}");
    assert!(!text.contains("no pod can"), "{text}");
    let (text, evidence) =
        summary(&Copy::with(|copy| copy.signature = Some(SignatureResult::Damaged)), &[]);
    assert!(text.contains("damaged or forged") && text.contains("no API server accepts"), "{text}");
    assert_eq!(evidence.get("signature"), Some(&Value::Text("damaged".into())));
    assert_eq!(evidence.get("key"), None, "no API server has shown its keys");
}

proptest! {
    /// A copy whose key an API server has shown in each answer is never accused because of it, and
    /// neither is one that may be for another cluster.
    #[test]
    fn no_copy_is_accused_without_evidence(
        server in proptest::option::of(prop_oneof![Just(CopyServer::Own), Just(CopyServer::Other)]),
        is_configured: bool,
        has_key: bool,
        is_ours: bool,
        count in 0..20_i64,
    ) {
        let copy = Copy::requested(|copy| {
            copy.server = server;
            if is_configured {
                (copy.plugin, copy.mention) = (None, Mention::Configured);
            }
            if !is_ours {
                copy.claims.issuer = "https://oidc.example/other".into();
            }
        });
        let ids: &[&str] = if has_key { &["new", "old"] } else { &["new"] };
        let (found, _) = judged(&copy, &times(count, 21, ids));
        let is_accused = found.is_some_and(|(reason, _)| reason == "key unknown");
        let may_be_other = !is_ours || server == Some(CopyServer::Other)
            || (is_configured && server.is_none());
        prop_assert!(!is_accused || (!has_key && !may_be_other && count >= 3));
    }
}
