//! Pods with more files than the agent follows of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::tokens::TokenKey;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::unsigned;

use super::files_tests::bound_token;
use super::*;

/// Makes so many tokens, beside some other files, the content of the volume.
fn write(root: &Path, pod: &str, volume: &str, tokens: usize, others: usize) {
    let token = bound_token();
    let token = |nth| (format!("f-{nth:02}").into(), token.clone().into_bytes());
    let other = |nth| (format!("a-{nth:02}").into(), b"a key of a ConfigMap".to_vec());
    let files: Payload = (0..tokens).map(token).chain((0..others).map(other)).collect();
    let at = Wall::from_secs(1_800_000_000 + i64::try_from(tokens).unwrap());
    Volume::new(root, pod, volume).write(&files, at).unwrap();
}

/// What a scan reported: of each pod, the paths that were seen, left out and gone.
#[derive(Debug, Default, PartialEq)]
struct Found(BTreeMap<String, [Vec<String>; 3]>);

impl Found {
    fn of(scanner: &mut Scanner) -> Self {
        let (mut out, mut found) = (Vec::new(), Self::default());
        let _ = scanner.scan(&mut out);
        for observation in out {
            match observation {
                Observation::File(seen) => found.add(seen.key, 0),
                Observation::LeftOut(key) => found.add(key, 1),
                Observation::Gone(key) => found.add(key, 2),
                other => panic!("{other:?}"),
            }
        }
        found
    }

    fn add(&mut self, key: TokenKey, what: usize) {
        self.0.entry(key.pod_uid).or_default()[what].push(format!("{}/{}", key.volume, key.path));
    }

    /// How many of the pod were seen, left out and gone.
    fn counts(&self, pod: &str) -> [usize; 3] {
        self.0.get(pod).map(|of| of.each_ref().map(Vec::len)).unwrap_or_default()
    }
}

fn all(found: &Found, pods: &[&str]) -> Vec<[usize; 3]> {
    pods.iter().map(|pod| found.counts(pod)).collect()
}

/// A scanner with room for four files of each pod, and for twelve of all beyond that.
fn scanner(root: &Path) -> Scanner {
    Scanner::with_room(vec![root.to_owned()], 4, 12)
}

#[test]
fn whoever_has_more_than_its_share_loses_of_its_own_and_gets_it_back() {
    let root = tempfile::tempdir().unwrap();
    let (root, mut scanner) = (root.path(), scanner(root.path()));
    let pods = ["hog-a", "hog-b", "hog-c", "late", "small"];
    for hog in &pods[..3] {
        write(root, hog, "v", 20, 0);
    }
    assert_eq!(all(&Found::of(&mut scanner), &pods[..3]), [[8, 0, 0]; 3]);
    write(root, "late", "v", 10, 0);
    write(root, "small", "v", 4, 0);
    let found = Found::of(&mut scanner);
    let (hog, of_late) = ([0, 1, 0], [7, 0, 0]);
    assert_eq!(all(&found, &pods), [hog, hog, hog, of_late, [4, 0, 0]]);
    assert_eq!(found.0["hog-a"][1], ["v/f-07"], "the last one, which was followed");
    let shrunk: Vec<_> = scanner.take_shrunk().into_iter().map(|(pod, _)| pod.name).collect();
    assert_eq!(shrunk, ["hog-a", "hog-b", "hog-c"]);
    let spots = blind_spots::volumes(&scanner);
    let named: Vec<&str> = spots.iter().map(|spot| spot.pod_uid.as_str()).collect();
    assert_eq!(named, &pods[..4]);
    assert!(spots.iter().all(|spot| spot.is_partly));
    assert_eq!(Found::of(&mut scanner), Found::default(), "nothing changes any more");

    fs::remove_dir_all(root.join("pods/hog-c")).unwrap();
    let gone = Found::of(&mut scanner);
    assert_eq!(gone.counts("hog-c"), [0, 0, 7], "each that was followed is gone");
    assert_eq!(gone.counts("small"), [0, 0, 0]);
    let more = Found::of(&mut scanner);
    let since: Vec<_> = [&gone, &more].map(|one| all(one, &pods)[..4].to_vec()).concat();
    let seen: usize = since.iter().map(|[seen, ..]| seen).sum();
    assert_eq!(seen, 3, "each of the others has room for one more: {since:?}");
}

#[test]
fn a_token_stays_before_other_files_and_is_missing_where_it_should_be() {
    let root = tempfile::tempdir().unwrap();
    let (root, mut scanner) = (root.path(), scanner(root.path()));
    write(root, "hog", "v", 6, 0);
    assert_eq!(Found::of(&mut scanner).counts("hog"), [6, 0, 0]);
    write(root, "hog", "v", 5, 4); // one token is missing, and two other files are left out
    assert_eq!(Found::of(&mut scanner).counts("hog"), [6, 0, 0]);
    assert_eq!(blind_spots::volumes(&scanner).len(), 1);
    write(root, "hog", "v", 12, 0);
    assert_eq!(Found::of(&mut scanner).counts("hog"), [8, 0, 0]);
    write(root, "hog", "v", 2, 0);
    assert_eq!(Found::of(&mut scanner).counts("hog"), [8, 0, 0], "six are missing");
    assert_eq!(blind_spots::volumes(&scanner), []);
    fs::remove_dir_all(root.join("pods/hog")).unwrap();
    assert_eq!(Found::of(&mut scanner).counts("hog"), [0, 0, 8]);
}

#[test]
fn the_secret_based_tokens_of_a_pod_hide_none_of_another() {
    let root = tempfile::tempdir().unwrap();
    let payload = serde_json::json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:shop:cart",
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "cart-token-x",
        "kubernetes.io/serviceaccount/service-account.name": "cart",
        "kubernetes.io/serviceaccount/service-account.uid": "u",
    });
    let token = unsigned(&serde_json::json!({"alg": "RS256"}), &payload, "c2ln").into_bytes();
    for (pod, volume, count) in [("a-hog", "v", 700), ("a-hog", "w", 700), ("z", "v", 2)] {
        let files = (0..count).map(|nth| (format!("f-{nth:03}").into(), token.clone())).collect();
        let at = Wall::from_secs(1_800_000_000);
        Volume::new(root.path(), pod, volume).write(&files, at).unwrap();
    }
    let mut scanner = Scanner::new(vec![root.path().to_owned()]);
    let _ = scanner.scan(&mut Vec::new());
    let found = secrets::legacy(&scanner);
    let of_other = found.iter().filter(|one| one.key.pod_uid == "z");
    assert_eq!((of_other.count(), found.len()), (2, 1_000));
}

#[test]
fn a_small_volume_keeps_its_tokens_beside_a_large_one_of_its_pod() {
    for large in ["a", "z"] {
        let root = tempfile::tempdir().unwrap();
        let (root, mut scanner) = (root.path(), scanner(root.path()));
        write(root, "hog", large, 20, 0);
        assert_eq!(Found::of(&mut scanner).counts("hog"), [8, 0, 0]);
        write(root, "hog", "m", 3, 0);
        let found = Found::of(&mut scanner);
        let [seen, left_out, gone] = &found.0["hog"];
        assert!(["m/f-00", "m/f-01", "m/f-02"].iter().all(|one| seen.iter().any(|it| it == one)));
        assert_eq!((left_out.len(), gone.len()), (3, 0), "{large}: {found:?}");
    }
}
