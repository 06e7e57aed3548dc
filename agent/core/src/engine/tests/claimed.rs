//! What unverified claims may not do: name an object in a command, a subject or a cause.

use proptest::prelude::*;

use super::*;
use crate::findings::Finding;
use crate::world::cluster::Phase;
use crate::world::copies::{CopiedToken, CopiesSeen, CopyKind, Mention, Plugin};
use crate::world::tokens::{Claims, ObjectRef, Signature, SignatureResult, SigningKey};

/// The command about a pod of which only the UID is proven.
fn by_uid(verb: &str, uid: &str) -> String {
    format!(
        "kubectl get pods -A --no-headers -o custom-columns=U:.metadata.uid,N:.metadata.namespace,\
         P:.metadata.name | awk '$1 == \"{uid}\" {{print \"-n\", $2, $3}}' | xargs -r kubectl \
         {verb}"
    )
}

fn file(claims: Claims, signature: Option<SignatureResult>) -> Observation {
    let signature = signature.map(|result| Signature { result, keys_at: at(0).wall });
    let content = FileContent::Token(Box::new(claims));
    Observation::File(FileSeen {
        key: key("p1"),
        written_at: None,
        directory: None,
        content,
        signature,
    })
}

fn pod(running: bool) -> Observation {
    let phase = if running { Phase::Running } else { Phase::Unknown };
    let Observation::Cluster(ClusterSeen::Listed(mut pods)) = listed(None) else {
        return Observation::Tick;
    };
    for pod in &mut pods {
        pod.phase = phase;
    }
    Observation::Cluster(ClusterSeen::Listed(pods))
}

/// Of a token that is not valid yet: kube-system/coredns, as whoever wrote it claims.
fn early(uid: Option<&str>) -> Claims {
    let mut claims = claims(IAT, 3_600, None);
    claims.not_before = Wall::from_secs(IAT + 2_000);
    claims.binding.namespace = "kube-system".into();
    claims.binding.pod =
        Some(ObjectRef { name: "coredns-x".into(), uid: uid.map(ToOwned::to_owned) });
    claims
}

fn found(observations: Vec<Observation>, age: i64) -> Vec<Finding> {
    let cluster_configured = observations.iter().any(|one| matches!(one, Observation::Cluster(_)));
    let config = Config { node: "n1".into(), cluster_configured, ..Config::default() };
    let mut engine = Engine::new(config);
    for observation in observations {
        let _ = engine.step(&at(1), observation);
    }
    let _ = engine.step(&at(age), Observation::Tick);
    engine.findings()
}

#[test]
fn a_name_is_used_where_more_than_a_claim_proves_it() {
    use SignatureResult::{NoSuchKey, OtherKey, Verified};
    let unproven = Some(by_uid("delete pod", "p1"));
    let named = |name: &str| Some(format!("kubectl delete pod -n {name}"));
    let coredns = || Some("coredns-x".to_owned());
    // (UID in the claims, signature, whether the API server lists the pod, command, subject)
    let table = [
        (None, None, false, unproven.clone(), None),
        (None, Some(Verified), false, unproven.clone(), None),
        (Some("other"), None, false, unproven.clone(), None),
        (Some("other"), Some(Verified), false, unproven.clone(), None),
        (Some("p1"), None, false, unproven.clone(), coredns()),
        (Some("p1"), Some(NoSuchKey), false, unproven.clone(), coredns()),
        (Some("p1"), Some(OtherKey), false, unproven, coredns()),
        (Some("p1"), Some(Verified), false, named("kube-system coredns-x"), coredns()),
        (None, None, true, named("shop cart-0"), Some("cart-0".to_owned())),
        (Some("p1"), None, true, named("shop cart-0"), Some("cart-0".to_owned())),
    ];
    for (uid, signature, is_listed, command, subject) in table {
        let of = format!("{uid:?} {signature:?} {is_listed}");
        let listed = is_listed.then(|| listed(None)).into_iter();
        let found = found(listed.chain([file(early(uid), signature)]).collect(), 200);
        let [finding] = found.as_slice() else { panic!("{of}: {found:#?}") };
        assert_eq!(finding.code, Code::NotYetValid, "{of}");
        assert_eq!(finding.remedy.command, command, "{of}");
        let Subject::Token { pod, .. } = &finding.subject else { panic!("{finding:?}") };
        assert_eq!((&pod.uid, &pod.name), (&"p1".to_owned(), &subject), "{of}");
    }
}

/// Names that begin like no other, some with characters that a shell understands.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "zq[a-z0-9-]{1,8}", 1 => "zq[a-z;$`'\" |&()-]{1,8}"]
}

fn uid() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), Just(Some("p1".to_owned())), name().prop_map(Some)]
}

prop_compose! {
    fn hostile()(
        names in prop::array::uniform6(name()),
        uid in uid(),
        iat in -8_000..4_000i64,
        lifetime in 600..8_000i64,
        later in 0..4_000i64,
        has_pod in any::<bool>(),
    ) -> Claims {
        let [namespace, pod, account, node, issuer, key] = names;
        let mut claims = claims(IAT + iat, lifetime, None);
        claims.not_before = claims.not_before + Delta::from_secs(later);
        claims.issuer = issuer;
        claims.key = SigningKey { id: Some(key), ..SigningKey::default() };
        claims.binding.namespace = namespace;
        claims.binding.pod = has_pod.then_some(ObjectRef { name: pod, uid });
        claims.binding.service_account = ObjectRef { name: account, uid: None };
        claims.binding.node = Some(ObjectRef { name: node, uid: None });
        claims
    }
}

fn copy(claims: Claims) -> Observation {
    Observation::Copies(CopiesSeen {
        path: "/etc/cni/net.d/multus.d/multus.kubeconfig".into(),
        kind: CopyKind::Kubeconfig,
        plugin: Some(Plugin::Multus),
        mention: Mention::Named,
        written_at: None,
        tokens: vec![CopiedToken::new(claims)],
    })
}

proptest! {
    /// Whatever the claims of files and copies are: no command and no cause has a name that only
    /// they give, and no subject has one without the UID of the path.
    #[test]
    fn no_command_has_a_name_that_only_claims_give(
        in_volume in hostile(),
        in_copy in hostile(),
        listed in prop::option::of(any::<bool>()),
        age in 100..6_000i64,
    ) {
        let claimed = in_volume.binding.pod.as_ref().and_then(|pod| pod.uid.as_deref());
        let is_of_pod = claimed == Some("p1");
        let listed = listed.map(pod).into_iter();
        let of_files = [file(in_volume, None), copy(in_copy)];
        for finding in found(listed.chain(of_files).collect(), age) {
            let command = finding.remedy.command.clone().unwrap_or_default();
            prop_assert!(!command.contains("zq"), "{:#?}", finding);
            let cause = finding.cause().map(|cause| cause.to_string()).unwrap_or_default();
            prop_assert!(!cause.contains("zq"), "{:#?}", finding);
            if let Subject::Token { pod, .. } = &finding.subject {
                let is_named = pod.name.as_ref().is_some_and(|name| name.contains("zq"));
                prop_assert!(is_of_pod || !is_named, "{:#?}", finding);
                prop_assert!(pod.is_claimed || !is_named, "{:#?}", finding);
            }
        }
    }
}
