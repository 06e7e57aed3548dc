#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use super::*;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, Remedy, Severity, Subject};
use crate::ledger::Restored;
use crate::traces::generation;
use crate::world::clocks::ServerName;
use crate::world::cluster::PodRef;
use crate::world::tokens::{Claims, Exchange, TokenKey, claims_for_tests, is_for_api_server};

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new(Key::new([7; 32]))
}

#[test]
fn free_text_keeps_its_plain_words_and_loses_its_names() {
    let pseudonyms = pseudonyms();
    let hash = |name: &str| pseudonyms.name(Kind::Name, name);
    let address = pseudonyms.name(Kind::Address, "10.1.2.3");
    let kept = [
        "open: Permission denied (EACCES)",
        "no answer within 30 s",
        "the file is empty",
        "as of 2026-11-28T06:43:44Z",
        "12.3s ago",
        "",
    ];
    for text in kept {
        assert_eq!(pseudonyms.text(text), text);
    }
    let table = [
        ("https://10.1.2.3:6443/shop", format!("https://{address}:6443/{}", hash("shop"))),
        ("the server \"10.1.2.3\".", format!("the server \"{address}\".")),
        ("connect to [2001:db8::7]:53", {
            format!("connect to [{}]:53", pseudonyms.host("2001:db8::7"))
        }),
        (
            "User \"system:serviceaccount:shop:cart\" cannot list",
            format!("User \"system:serviceaccount:{}:{}\" cannot list", hash("shop"), hash("cart")),
        ),
        ("ntp1.example: not known", format!("{}: not known", hash("ntp1.example"))),
        ("/srv/k8s: \u{202e}x", format!("/{}/{}: {}", hash("srv"), hash("k8s"), hash("\u{202e}x"))),
    ];
    for (text, replaced) in table {
        assert_eq!(pseudonyms.text(text), replaced);
    }
}

#[test]
fn equal_names_stay_equal_whatever_they_name() {
    let pseudonyms = pseudonyms();
    let ends = |pseudonym: &str| pseudonym.rsplit('-').next().map(ToOwned::to_owned).unwrap();
    let pod = pseudonyms.name(Kind::Pod, "cart-0");
    assert!(pod.starts_with("pod-"));
    assert_eq!(ends(&pod), ends(&pseudonyms.text("cart-0")));
    let other = Pseudonyms::new(Key::new([8; 32]));
    assert_ne!(pod, other.name(Kind::Pod, "cart-0"), "each recording has its own");
}

#[test]
fn what_verdicts_and_readers_depend_on_stays() {
    let pseudonyms = pseudonyms();
    let volume = pseudonyms.name(Kind::Volume, "kube-api-access-x7k2p");
    assert!(volume.starts_with("kube-api-access-") && !volume.contains("x7k2p"));
    assert_eq!(pseudonyms.path("token"), "token");
    let directory = pseudonyms.directory("/var/lib/kubelet/pods/9f3");
    assert!(directory.starts_with("/var/lib/kubelet/pods/directory-"), "{directory}");
    let all = BlindSpot {
        pod_uid: BlindSpot::ALL.into(),
        volume: BlindSpot::ALL.into(),
        directory: String::new(),
        reason: String::new(),
        is_partly: false,
    };
    assert_eq!(pseudonyms.blind_spot(all.clone()), all);
    let files = SourceState { source: "files".into(), degraded: None };
    assert_eq!(pseudonyms.source(files.clone()), files);
}

#[test]
fn which_pods_may_write_a_copy_stays() {
    use crate::world::copies::Plugin::{Calico, Multus};
    let pseudonyms = pseudonyms();
    let pods = [
        (Multus, "kube-multus-ds-x7k2p"),
        (Multus, "multus-admission-controller-6d8f-x7k2p"),
        (Multus, "cart-0"),
        (Calico, "rke2-canal-x7k2p"),
        (Calico, "canal-api-0"),
    ];
    for (plugin, name) in pods {
        let pod = pseudonyms.name(Kind::Pod, name);
        assert_eq!(plugin.has_alias(&pod), plugin.has_alias(name), "{name}: {pod}");
        let is_daemon = |name| plugin.daemon_of(name).is_some();
        assert_eq!(is_daemon(&pod), is_daemon(name), "{name}: {pod}");
    }
}

#[test]
fn a_server_has_the_same_pseudonym_in_findings_and_in_answers() {
    let pseudonyms = pseudonyms();
    let table = [
        ("ntp1.example", None),
        ("ntp1.example", Some("192.0.2.7")),
        ("192.0.2.7", Some("192.0.2.7")),
        ("2001:db8::1", None),
    ];
    for (host, address) in table {
        let server = ServerName {
            host: host.into(),
            port: 123,
            address: address.map(Into::into),
            pool: None,
        };
        let exchanged = pseudonyms.server_name(server.clone());
        assert_eq!(pseudonyms.server(&server.to_string()), exchanged.to_string());
        assert!(!exchanged.to_string().contains(host), "{exchanged}");
    }
}

/// A finding about `claims`, as the engine makes it.
fn restored(claims: &crate::world::tokens::Claims, key: &TokenKey) -> Restored {
    let pod = PodRef { uid: key.pod_uid.clone(), ..PodRef::default() };
    let finding = Finding {
        code: Code::Expired,
        severity: Severity::Critical,
        subject: Subject::token(key, pod),
        summary: "Token \"token\" of pod shop/cart-0 (volume v) expired just now.".into(),
        deadline: None,
        evidence: Attributes::new()
            .with("generation", claims.generation().as_str())
            .with("service_account", "cart"),
        remedy: Remedy { text: "do".into(), command: Some("kubectl get pod cart-0".into()) },
        trace: Some(generation::root(key, claims)),
    };
    Restored { finding: finding.into(), raised_at: claims.issued_at, reported_at: claims.issued_at }
}

#[test]
fn a_restored_finding_keeps_the_trace_of_its_token() {
    let pseudonyms = pseudonyms();
    let key = TokenKey { pod_uid: "uid-1".into(), volume: "v".into(), path: "token".into() };
    for credential in [Some("0f".to_owned()), None] {
        let claims =
            crate::world::tokens::Claims { credential, ..claims_for_tests(1_000, 600, None) };
        let finding = pseudonyms.restored(restored(&claims, &key)).finding;
        let root = generation::root(&pseudonyms.token_key(key.clone()), &pseudonyms.claims(claims));
        assert_eq!(finding.trace, Some(root));
        let text = serde_json::to_string(&finding).unwrap();
        assert!(!text.contains("cart") && !text.contains("shop"), "{text}");
    }
}

/// Names that are also words of the list: `search`, `api` and `gateway` are.
#[test]
fn a_name_that_is_a_common_word_is_replaced_where_its_place_shows_that_it_is_a_name() {
    let pseudonyms = pseudonyms();
    let hash = |name: &str| pseudonyms.name(Kind::Name, name);
    let address = pseudonyms.name(Kind::Address, "10.1.2.3");
    let (search, api, gateway) = (hash("search"), hash("api"), hash("gateway"));
    assert_eq!(pseudonyms.text("search api gateway"), "search api gateway", "words of the list");
    let table = [
        (
            "User \"system:serviceaccount:search:api\" cannot list resource \"pods\" in API group \
             \"\" in the namespace \"search\"",
            format!(
                "User \"system:serviceaccount:{search}:{api}\" cannot list resource \"pods\" in \
                 API group \"\" in the namespace \"{search}\""
            ),
        ),
        ("pods \"gateway\" not found", format!("pods \"{gateway}\" not found")),
        (
            "https://10.1.2.3/api/v1/namespaces/search/serviceaccounts/api",
            format!("https://{address}/api/v1/namespaces/{search}/serviceaccounts/{api}"),
        ),
    ];
    for (text, replaced) in table {
        assert_eq!(pseudonyms.text(text), replaced);
    }
}

#[test]
fn a_finding_does_not_name_what_it_is_about() {
    let pseudonyms = pseudonyms();
    let key = TokenKey { pod_uid: "uid-1".into(), volume: "config".into(), path: "token".into() };
    let claims = claims_for_tests(1_000, 600, None);
    let mut restored = restored(&claims, &key);
    let finding = std::sync::Arc::make_mut(&mut restored.finding);
    finding.subject = Subject::token(
        &key,
        PodRef {
            namespace: Some("search".into()),
            name: Some("gateway".into()),
            uid: "uid-1".into(),
            owner: None,
            is_claimed: false,
        },
    );
    finding.summary =
        "Token \"token\" of pod search/gateway (volume config) expired just now.".into();
    finding.evidence = Attributes::new()
        .with("generation", "iat-acme")
        .with("service_account", "api")
        .with("audiences", ["proxy".to_owned()].as_slice());
    finding.remedy = Remedy {
        text: "the account system:serviceaccount:search:api of proxy".into(),
        command: Some("kubectl delete pod -n search gateway".into()),
    };
    let text = serde_json::to_string(&pseudonyms.restored(restored).finding).unwrap();
    for name in ["search", "gateway", "config", "\"api\"", ":api", "proxy", "acme"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    assert!(text.contains("expired just now") && text.contains("kubectl delete pod"), "{text}");
}

#[test]
fn an_address_is_replaced_whole() {
    let pseudonyms = pseudonyms();
    for address in ["::1", "2001:db8::", "2001:db8::1", "10.1.2.3"] {
        let replaced = pseudonyms.name(Kind::Address, address);
        assert_eq!(
            pseudonyms.text(&format!("to {address}: no route")),
            format!("to {replaced}: no route")
        );
    }
}

#[test]
fn a_version_that_somebody_made_is_a_name() {
    let pseudonyms = pseudonyms();
    let header = |version: &str| Header::new(version, Config::default());
    assert_eq!(pseudonyms.header(header("0.1.0")).tokenwatch, "0.1.0");
    let replaced = pseudonyms.header(header("0.1.0 acme.internal")).tokenwatch;
    assert!(replaced.starts_with("name-"), "{replaced}");
}

/// The container, its program and its library may be called as words of the list are.
#[test]
fn a_restored_finding_about_a_reader_keeps_its_words_and_loses_its_names() {
    let pseudonyms = pseudonyms();
    let key = TokenKey { pod_uid: "u-1".into(), volume: "v".into(), path: "token".into() };
    let mut restored = restored(&claims_for_tests(1_000, 600, None), &key);
    let finding = std::sync::Arc::make_mut(&mut restored.finding);
    finding.summary = "Container gateway (search) of pod shop/cart-0 still uses the token \
                                \"token\" (volume v) that it read at 2027-01-15T08:00:05Z. \
                                Evidence: it opened a connection to the API server without \
                                reading the new token. It reads the token only once, at its start."
        .into();
    let evidence = std::mem::take(&mut finding.evidence);
    finding.evidence = evidence
        .with("container", "gateway")
        .with("program", "search")
        .with("held_generation", "jti-secret")
        .with("mount_path", "/var/run/secrets/inventory");
    let finding = pseudonyms.restored(restored).finding;
    let evidence = format!("{:?}", finding.evidence);
    for name in ["gateway", "search", "jti-secret", "inventory"] {
        assert!(!evidence.contains(name) && !finding.summary.contains(name), "{finding:?}");
    }
    for words in [
        "still uses the token \"token\"",
        "that it read at 2027-01-15T08:00:05Z",
        "Evidence: it opened a connection to the API server without reading the new token.",
        "It reads the token only once, at its start.",
    ] {
        assert!(finding.summary.contains(words), "{words:?}: {}", finding.summary);
    }
}

/// The agent judges the readers of a token by whom it is for.
#[test]
fn an_audience_keeps_the_service_that_it_names() {
    let pseudonyms = pseudonyms();
    let table = [
        ("sts.amazonaws.com", "sts.amazonaws.com"),
        ("api://AzureADTokenExchange", "api://AzureADTokenExchange"),
        ("k3s", "k3s"),
        ("https://vault.acme.example", "-vault"),
        ("acme.svc.id.goog", "-svc.id.goog"),
        ("https://kubernetes.default.svc.acme", "-kubernetes"),
        ("acme-k3s", ""),
    ];
    for (audience, kept) in table {
        let claims =
            Claims { audiences: vec![audience.into()], ..claims_for_tests(1_000, 600, None) };
        let replaced = pseudonyms.claims(claims.clone());
        assert!(replaced.audiences[0].ends_with(kept), "{replaced:?}");
        assert!(!replaced.audiences[0].contains("acme"), "{replaced:?}");
        assert_eq!(Exchange::of(&replaced), Exchange::of(&claims), "{audience}");
        assert_eq!(is_for_api_server(&replaced), is_for_api_server(&claims), "{audience}");
    }
}
