//! Signatures in a scan: each token is checked once with each set of keys.

use std::fs;
use std::path::Path;

use serde_json::json;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::observation::FileSeen;
use tokenwatch_core::world::tokens::{Signature, SignatureResult};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::*;

/// An hour ahead, so that every file is old.
fn later() -> Reading {
    let (now, hour) = (clocks::now(), Delta::from_secs(3_600));
    Reading { wall: now.wall + hour, monotonic: now.monotonic + hour }
}

struct Node {
    root: tempfile::TempDir,
    signer: Signer,
    keys: SharedKeys,
    scanner: Scanner,
}

impl Node {
    /// With this number of pods.
    fn new(pods: usize) -> Self {
        let (root, signer) = (tempfile::tempdir().unwrap(), Signer::new().unwrap());
        let (keys, roots) = (SharedKeys::default(), vec![root.path().to_owned()]);
        let mut scanner = Scanner::with_clocks(roots, later);
        scanner.check_signatures(keys.clone());
        let mut node = Self { root, signer, keys, scanner };
        (0..pods).for_each(|pod| node.write(pod, &node.token(pod)));
        assert_eq!(node.scan(), vec![None; pods], "no keys yet");
        node.scanner.take_opened();
        node
    }

    fn token(&self, pod: usize) -> String {
        let pod = PodIdentity {
            namespace: "shop".into(),
            name: format!("cart-{pod}"),
            service_account: "cart".into(),
            node: "n1".into(),
        };
        let request = TokenRequest {
            pod: &pod,
            audiences: &[],
            issued_at: Wall::from_secs(1_800_000_000),
            lifetime: Delta::from_secs(3_600),
            extended: false,
        };
        self.signer.sign(&request).unwrap()
    }

    fn write(&self, pod: usize, token: &str) {
        let payload = Payload::from([("token".into(), token.as_bytes().to_vec())]);
        let volume = Volume::new(self.root.path(), &format!("pod-{pod}"), "kube-api-access-x2x2x");
        volume.write(&payload, Wall::from_secs(1_800_000_000)).unwrap();
    }

    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
        let jwks = serde_json::from_value(json!({"keys": keys})).unwrap();
        self.keys.take(&jwks, Wall::from_secs(1_800_000_100));
    }

    /// What a scan reports of signatures.
    fn scan(&mut self) -> Vec<Option<SignatureResult>> {
        let mut out = Vec::new();
        let _ = self.scanner.scan(&mut out);
        out.into_iter().map(|seen| signature(&seen).map(|seen| seen.result)).collect()
    }
}

fn signature(seen: &Observation) -> Option<Signature> {
    match seen {
        Observation::File(FileSeen { signature, .. }) => *signature,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_set_of_keys_checks_every_token_once() {
    use SignatureResult::{NoSuchKey, Verified};
    let mut node = Node::new(3);
    let other = Signer::new().unwrap();
    node.publish(&[&other]);
    assert_eq!(node.scan(), [Some(NoSuchKey); 3]);
    assert_eq!((node.scanner.take_opened(), node.scan().len()), (3, 0));
    assert_eq!(node.scanner.take_opened(), 0, "nothing is read again");
    node.publish(&[&other, &node.signer]);
    assert_eq!(node.scan(), [Some(Verified); 3]);
    node.publish(&[&node.signer]);
    assert_eq!((node.scan().len(), node.scanner.take_opened()), (0, 3), "the same set, as before");
    node.publish(&[&node.signer, &Signer::new().unwrap()]);
    assert_eq!(node.scan(), [], "each is read, and nothing is different");
    assert_eq!((node.scanner.take_opened(), node.scan().len()), (3, 0));
    assert_eq!(node.scanner.take_opened(), 0);
}

#[test]
fn a_token_that_changes_is_checked_at_once() {
    use SignatureResult::{Damaged, Verified};
    let mut node = Node::new(2);
    node.publish(&[&node.signer]);
    assert_eq!(node.scan(), [Some(Verified); 2]);
    let token = node.token(0);
    node.write(0, &token[..token.len() - 4]);
    assert_eq!(node.scan(), [Some(Damaged)]);
    assert_eq!(node.scan(), []);
    node.write(0, &token);
    assert_eq!(node.scan(), [Some(Verified)]);
}

#[test]
fn a_file_that_is_damaged_in_its_place_is_noticed() {
    let mut node = Node::new(1);
    node.publish(&[&node.signer]);
    assert_eq!(node.scan(), [Some(SignatureResult::Verified)]);
    let volume = Path::new("pods/pod-0/volumes/kubernetes.io~projected/kube-api-access-x2x2x");
    let file = node.root.path().join(volume).join("..data/token");
    let token = node.token(0);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    fs::write(file, format!("{signed}.{reversed}")).unwrap();
    assert_eq!(node.scan(), [Some(SignatureResult::Damaged)], "the same claims and length");
}

#[test]
fn nothing_of_a_signature_is_in_what_is_reported() {
    let mut node = Node::new(1);
    node.publish(&[&node.signer]);
    let mut out = Vec::new();
    let _ = node.scanner.scan(&mut out);
    let text = format!("{out:?}") + &serde_json::to_string(&out).unwrap();
    let token = node.token(0);
    assert!(text.contains("Verified") && text.contains(r#""result":"verified""#), "{text}");
    for part in token.split('.') {
        assert!(!text.contains(part) && !text.contains(&part[..12]), "{text}");
    }
}
