//! Signatures of copies, and whose API server their kubeconfigs name.

use nix::sys::stat::stat;
use proptest::prelude::*;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::copies::{CopiedToken, CopyServer};
use tokenwatch_core::world::tokens::SignatureResult;
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::super::checks::Checks;
use super::*;
use crate::sources::tokens::{Stamp, found};

fn signed(signer: &Signer) -> String {
    let pod = PodIdentity {
        namespace: "kube-system".into(),
        name: "kube-multus-ds-x".into(),
        service_account: "multus".into(),
        node: "n1".into(),
    };
    let request = TokenRequest {
        pod: &pod,
        audiences: &[],
        issued_at: Wall::from_secs(1_800_000_000),
        lifetime: Delta::from_secs(3_600),
        extended: false,
    };
    signer.sign(&request).unwrap()
}

/// With another end than the one that was signed.
fn damaged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", signature.chars().rev().collect::<String>())
}

fn publish(keys: &SharedKeys, signers: &[&Signer]) {
    let all: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    let jwks = serde_json::from_value(json!({"keys": all})).unwrap();
    keys.take(&jwks, Wall::from_secs(1_800_000_100));
}

fn results(observations: Vec<Observation>) -> Vec<Option<SignatureResult>> {
    let seen = copies(observations);
    let tokens = seen.iter().flat_map(|seen| &seen.tokens);
    tokens.map(|token| token.signature.map(|seen| seen.result)).collect()
}

fn inline(token: &str) -> String {
    kubeconfig("multus", &format!("token: {token}"))
}

/// Its name, its path, and how it holds a token.
type Form = (&'static str, &'static str, fn(&str) -> String);

#[test]
fn the_signature_of_a_copy_is_checked_in_every_form() {
    use SignatureResult::{Damaged, NoSuchKey, Verified};
    let (signer, other) = (Signer::new().unwrap(), Signer::new().unwrap());
    let forms: [Form; 4] = [
        ("a kubeconfig", MULTUS, inline),
        ("a token file", "/opt/token", ToOwned::to_owned),
        ("another text", "/opt/environment", |token| format!("A=b\nTOKEN={token}\n")),
        ("a wrapped line", "/opt/wrapped", |token| {
            format!("token: >-\n  {}\n  {}\n", &token[..300], &token[300..])
        }),
    ];
    for (form, path, content) in forms {
        let good = signed(&signer);
        let table =
            [(good.clone(), Verified), (damaged(&good), Damaged), (signed(&other), NoSuchKey)];
        for (token, expected) in table {
            let (host, keys) = (Host::new(), SharedKeys::default());
            host.file(path, content(&token));
            publish(&keys, &[&signer]);
            let scan = Scanner::new(host.config(&["/opt"]), keys).scan();
            let text = format!("{:?}", scan.observations);
            assert_eq!(results(scan.observations), [Some(expected)], "{form}: {text}");
            let parts = token.split('.');
            assert!(parts.into_iter().all(|part| !text.contains(&part[..12])), "{text}");
        }
    }
}

#[test]
fn a_token_file_of_a_kubeconfig_is_checked_and_has_its_server() {
    let (signer, keys, host) = (Signer::new().unwrap(), SharedKeys::default(), Host::new());
    host.file(MULTUS, kubeconfig("multus", "tokenFile: /opt/token"));
    host.file("/opt/token", damaged(&signed(&signer)));
    publish(&keys, &[&signer]);
    let seen = copies(Scanner::new(host.config(&[]), keys).scan().observations);
    let CopiedToken { api_server, signature, .. } = &seen[0].tokens[0];
    assert_eq!(*api_server, Some(CopyServer::Own));
    assert_eq!(signature.map(|seen| seen.result), Some(SignatureResult::Damaged));
}

#[test]
fn new_keys_check_each_copy_again() {
    use SignatureResult::{NoSuchKey, Verified};
    let (signer, other) = (Signer::new().unwrap(), Signer::new().unwrap());
    let (host, keys) = (Host::new(), SharedKeys::default());
    host.file(MULTUS, inline(&signed(&signer)));
    let mut scanner = Scanner::new(host.config(&[]), keys.clone());
    let mut scan = || results(scanner.scan().observations);
    assert_eq!(scan(), [None], "no keys yet");
    publish(&keys, &[&other]);
    assert_eq!((scan(), scan()), (vec![Some(NoSuchKey)], vec![]));
    publish(&keys, &[&other, &signer]);
    assert_eq!((scan(), scan()), (vec![Some(Verified)], vec![]));
    publish(&keys, &[&signer]);
    assert_eq!(scan(), [], "the same set, as before");
    host.file(MULTUS, inline(&damaged(&signed(&signer))));
    assert_eq!(scan(), [Some(SignatureResult::Damaged)]);
    host.file(MULTUS, inline(&signed(&signer)));
    assert_eq!(scan(), [Some(Verified)], "the file is written again");
}

#[test]
fn an_unchanged_file_is_checked_once_with_each_set_of_keys() {
    let (signer, keys, host) = (Signer::new().unwrap(), SharedKeys::default(), Host::new());
    host.file("/opt/token", signed(&signer));
    let text = std::fs::read_to_string(host.at("/opt/token")).unwrap();
    let found::Span { start, token, .. } = found::spans(&text).remove(0);
    let bytes = token.unwrap().1;
    let stamp = Stamp::of(&stat(&host.at("/opt/token")).unwrap());
    let written = Wall::from_nanos(stamp.changed_nanos());
    publish(&keys, &[&signer]);
    let mut checks = Checks::against(keys.clone());
    let check = |checks: &mut Checks, age: i64, start: usize| {
        checks.begin();
        let now = written + Delta::from_millis(age);
        let seen = checks.of(stamp, now).signature(start, &bytes);
        assert_eq!(seen.map(|seen| seen.result), Some(SignatureResult::Verified));
        std::mem::take(&mut checks.made)
    };
    assert_eq!(check(&mut checks, 500, start), 1);
    assert_eq!(check(&mut checks, 900, start), 1, "the file may change without a new ctime");
    assert_eq!(check(&mut checks, 1_100, start), 1);
    assert_eq!(check(&mut checks, 61_100, start), 0);
    assert_eq!(check(&mut checks, 61_200, start + 1), 1, "another token of the file");
    assert_eq!(check(&mut checks, 61_300, start), 1, "the last scan did not see it");
    publish(&keys, &[&signer, &Signer::new().unwrap()]);
    assert_eq!(check(&mut checks, 61_400, start), 1, "another set of keys");
    assert_eq!(check(&mut checks, 61_500, start), 0);
    assert_eq!(check(&mut checks, -5_000, start), 0, "the clock was set back");
    assert_eq!(check(&mut checks, -5_000, start), 1, "no stamp is trusted then");
}

#[test]
fn a_kubeconfig_names_the_api_server_of_its_context() {
    use CopyServer::{Other, Own};
    let token = token("multus");
    let of = |clusters: &str, contexts: &str, current: &str| {
        let host = Host::new();
        host.file(MULTUS, format!(
            "kind: Config\nclusters: [{clusters}]\ncontexts: [{contexts}]\n{current}\nusers:\n- \
             name: u\n  user:\n    token: {token}\n"
        ));
        host.seen()[0].tokens[0].api_server
    };
    let own = "{name: own, cluster: {server: 'https://10.96.0.1:443'}}";
    let far = "{name: far, cluster: {server: 'https://far.example:6443'}}";
    let near = "{name: near, cluster: {server: 'https://127.0.0.1:6443'}}";
    let both = &format!("{own}, {far}, {near}");
    let context = |name: &str| format!("{{name: {name}, context: {{cluster: {name}, user: u}}}}");
    let two = &format!("{}, {}", context("far"), context("own"));
    let table = [
        (both, &context("own"), "", Some(Own)),
        (both, &context("far"), "", Some(Other)),
        (both, &context("near"), "", None),
        (both, two, "current-context: own", Some(Own)),
        (both, two, "current-context: far", Some(Other)),
        (both, two, "", None),
        (both, two, "current-context: nowhere", None),
        (&String::new(), &context("own"), "", None),
        (both, &String::new(), "", None),
    ];
    for (clusters, contexts, current, expected) in table {
        assert_eq!(of(clusters, contexts, current), expected, "{contexts} {current}");
    }
    for clusters in ["7", "{name: own, cluster: 7}", "{name: own, cluster: {server: [1]}}"] {
        let host = Host::new();
        host.file(MULTUS, format!("kind: Config\nclusters: [{clusters}]\nusers: []\n"));
        let _ = host.scan();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))] // each makes a host's directory

    /// Whatever is in the file beside a token, nothing panics, and nothing of the token is shown.
    #[test]
    fn any_file_is_taken(
        before in "\\PC{0,40}|[ -~\n]{0,80}",
        after in "\\PC{0,40}|[ -~\n]{0,80}",
    ) {
        let (signer, keys, host) = (Signer::new().unwrap(), SharedKeys::default(), Host::new());
        let token = signed(&signer);
        host.file(MULTUS, format!("{before}\n{token}\n{after}"));
        publish(&keys, &[&signer]);
        let Scan { observations, problems, .. } = Scanner::new(host.config(&[]), keys).scan();
        let text = format!("{observations:?}{problems:?}");
        prop_assert!(token.split('.').all(|part| !text.contains(&part[..12])), "{}", text);
    }
}
