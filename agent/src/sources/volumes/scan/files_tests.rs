//! A volume with more files than are listed.

use std::fs;
use std::path::Path;

use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::unsigned;

use super::*;

/// A token of an hour.
pub(super) fn bound_token() -> String {
    unsigned(
        &serde_json::json!({"alg": "RS256", "kid": "k"}),
        &serde_json::json!({
            "aud": ["a"], "exp": 1_800_003_600, "iat": 1_800_000_000, "jti": "one",
            "sub": "system:serviceaccount:shop:cart", "kubernetes.io": {"namespace": "shop"},
        }),
        "c2ln",
    )
}

/// Makes `tokens` tokens and so many other files the content of the volume.
fn write(root: &Path, tokens: usize, others: usize) {
    let token = bound_token();
    let token = |nth| (format!("0-{nth:02}").into(), token.clone().into_bytes());
    let other = |nth| (format!("z-{nth:04}").into(), b"a key of a ConfigMap".to_vec());
    let files: Payload = (0..tokens).map(token).chain((0..others).map(other)).collect();
    let at = Wall::from_secs(1_800_000_000 + i64::try_from(others).unwrap());
    Volume::new(root, "pod", "vol").write(&files, at).unwrap();
}

fn scan(scanner: &mut Scanner) -> Vec<Observation> {
    let mut out = Vec::new();
    let _ = scanner.scan(&mut out);
    out
}

#[test]
fn a_token_among_too_many_files_to_list_is_not_gone() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap(); // which lists the newest files first
    let mut scanner = Scanner::new(vec![root.path().to_owned()]);
    write(root.path(), 20, 10);
    let seen = scan(&mut scanner);
    let is_file = |one: &Observation| matches!(one, Observation::File(_));
    assert_eq!(seen.iter().filter(|one| is_file(one)).count(), 20);
    write(root.path(), 20, 1_500);
    let seen = scan(&mut scanner);
    let is_gone = |one: &Observation| matches!(one, Observation::Gone(_));
    assert!(!seen.iter().any(is_gone), "{:?}", seen.iter().find(|one| is_gone(one)));
    // One that is really gone is reported as that.
    write(root.path(), 19, 1_501);
    let seen = scan(&mut scanner);
    assert_eq!(seen.iter().filter(|one| is_gone(one)).count(), 1);
    let pod = root.path().join("pods/pod");
    fs::remove_dir_all(pod).unwrap();
    assert_eq!(scan(&mut scanner).iter().filter(|one| is_gone(one)).count(), 19);
}
