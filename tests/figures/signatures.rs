//! The time to check every signature of a full node after a new set of keys, compared with the
//! first scan of the same tokens, which checks none. API servers sign with RSA by default, and some
//! with P-256.

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use tokenwatch::clocks;
use tokenwatch::sources::signatures::{Jwks, SharedKeys};
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::base::time::{Delta, Reading, Wall};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::SignatureResult;
use tokenwatch_lab::kubelet::Payload;
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use crate::table::{Figure, median};

/// The pods of a full node.
const TOKENS: usize = 250;
/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;
/// A key of RSA with 2,048 bits, and a token that it signed.
const RSA: &str = include_str!("../../agent/src/sources/signatures/testdata/rsa.jwk.json");
const RSA_TOKEN: &str = include_str!("../../agent/src/sources/signatures/testdata/rsa.token");

pub fn figures() -> Result<Vec<Figure>, Box<dyn Error>> {
    let signer = Signer::new()?;
    let es256 = signed(&signer)?;
    Ok(vec![
        figure("RS256", RSA_TOKEN.trim(), &serde_json::from_str(RSA)?)?,
        figure("ES256", &es256, &signer.jwk())?,
    ])
}

fn signed(signer: &Signer) -> Result<String, Box<dyn Error>> {
    let pod = PodIdentity {
        namespace: "shop".to_owned(),
        name: "cart-0".to_owned(),
        service_account: "cart".to_owned(),
        node: "worker-1".to_owned(),
    };
    Ok(signer.sign(&TokenRequest {
        pod: &pod,
        audiences: &[],
        issued_at: Wall::from_secs(1_800_000_000),
        lifetime: Delta::from_secs(3_607),
        extended: true,
    })?)
}

fn figure(name: &str, token: &str, key: &Value) -> Result<Figure, Box<dyn Error>> {
    let root = Root::temporary(&std::env::temp_dir(), "")?;
    for pod in 0..TOKENS {
        let payload = Payload::from([("token".into(), token.as_bytes().to_vec())]);
        root.volume(&format!("pod-{pod}"), "token").write(&payload, clocks::now().wall)?;
    }
    let jwks: Jwks = serde_json::from_value(json!({"keys": [key]}))?;
    round(&root, &jwks)?; // warms the caches
    let rounds = (0..ROUNDS).map(|_| round(&root, &jwks)).collect::<Result<Vec<_>, _>>()?;
    let first = median(rounds.iter().map(|(first, _)| *first).collect());
    let checked = median(rounds.iter().map(|(_, checked)| *checked).collect());
    let ratio = median(rounds.iter().map(|(first, checked)| checked / first).collect());
    Ok(Figure::new(
        format!("Check of {TOKENS} signatures ({name}) after a new set of keys"),
        format!("{ratio:.2}x ({checked:.1} ms against {first:.1} ms for the first scan)"),
    ))
}

/// Milliseconds of the first scan, and of the one that checks every signature.
fn round(root: &Root, jwks: &Jwks) -> Result<(f64, f64), Box<dyn Error>> {
    let keys = SharedKeys::default();
    let mut scanner = Scanner::with_clocks(vec![root.path().to_owned()], later);
    scanner.check_signatures(keys.clone());
    let (first, _) = timed(&mut scanner);
    keys.take(jwks, Wall::from_secs(1));
    let (checked, verified) = timed(&mut scanner);
    let is_whole = verified == TOKENS;
    is_whole.then_some((first, checked)).ok_or_else(|| format!("{verified} were verified").into())
}

fn timed(scanner: &mut Scanner) -> (f64, usize) {
    let mut seen = Vec::new();
    let start = Instant::now();
    let _ = scanner.scan(&mut seen);
    let took = start.elapsed().as_secs_f64() * 1e3;
    (took, seen.iter().filter(|seen| is_verified(seen)).count())
}

fn is_verified(seen: &Observation) -> bool {
    let Observation::File(file) = seen else { return false };
    file.signature.is_some_and(|signature| signature.result == SignatureResult::Verified)
}

/// An hour ahead, so that all files are old.
fn later() -> Reading {
    let (now, hour) = (clocks::now(), Delta::from_secs(3_600));
    Reading { wall: now.wall + hour, monotonic: now.monotonic + hour }
}
