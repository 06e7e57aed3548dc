use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::tokens::{Decoded, Scratch, SignatureResult, Unsupported, decode};
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest, unsigned};

use super::*;

/// A key of 2,048 bits, and a token that it signed; OpenSSL made both, and the id.
const RSA: &str = include_str!("testdata/rsa.jwk.json");
const RSA_TOKEN: &str = include_str!("testdata/rsa.token");
/// A key of OpenSSL, with the id that the API server would give it.
const P384: &str = include_str!("testdata/p384.jwk.json");
/// The same of P-521, and a token that OpenSSL signed with it. `x` and r begin with zeros, which a
/// number would not have.
const P521: &str = include_str!("testdata/p521.jwk.json");
const P521_TOKEN: &str = include_str!("testdata/p521.token");

fn key(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn jwks(keys: &[Value]) -> Jwks {
    serde_json::from_value(json!({"keys": keys})).unwrap()
}

fn ring(keys: &[Value]) -> KeyRing {
    let mut ring = KeyRing::default();
    ring.take(&jwks(keys), Wall::from_secs(1));
    ring
}

fn pod() -> PodIdentity {
    PodIdentity {
        namespace: "shop".into(),
        name: "cart-0".into(),
        service_account: "cart".into(),
        node: "n1".into(),
    }
}

fn signed(signer: &Signer, lifetime: i64) -> String {
    let request = TokenRequest {
        pod: &pod(),
        audiences: &[],
        issued_at: Wall::from_secs(1_800_000_000),
        lifetime: Delta::from_secs(lifetime),
        extended: false,
    };
    signer.sign(&request).unwrap()
}

/// What the ring shows of a token; nothing if it is no token, or if there are no keys.
fn result(ring: &KeyRing, token: &str) -> Option<SignatureResult> {
    match decode(token.as_bytes(), &mut Scratch::new()) {
        Decoded::Token(parsed) => {
            ring.check(Signed::of(token.as_bytes(), &parsed)).map(|seen| seen.result)
        }
        Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_) => None,
    }
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

/// The payload of another token, with this header and signature.
fn with_payload_of(token: &str, other: &str) -> String {
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    format!("{header}.{}.{signature}", other.split('.').nth(1).unwrap())
}

fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", BASE64URL.encode(header.to_string()))
}

#[test]
fn what_the_api_server_signs_is_verified() {
    let signer = Signer::new().unwrap();
    let all = ring(&[signer.jwk(), key(RSA), key(P384), key(P521)]);
    let es256 = signed(&signer, 3_600);
    assert_eq!(result(&all, &es256), Some(SignatureResult::Verified));
    assert_eq!(result(&all, &format!(" {es256}\n")), Some(SignatureResult::Verified));
    for openssl in [RSA_TOKEN, P521_TOKEN] {
        assert_eq!(result(&all, openssl.trim()), Some(SignatureResult::Verified), "{openssl}");
    }
    let (key, token) = p384();
    assert_eq!(result(&ring(&[key]), &token), Some(SignatureResult::Verified));
    assert_eq!(result(&KeyRing::default(), &es256), None, "there are no keys yet");
}

/// A key of P-384 and a token that it signed.
fn p384() -> (Value, String) {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..49], &point[49..]].map(|part| BASE64URL.encode(part));
    let key = json!({"kty": "EC", "crv": "P-384", "kid": "k", "x": x, "y": y});
    let rsa = RSA_TOKEN.trim().rsplit_once('.').unwrap().0;
    let text = with_header(rsa, &json!({"alg": "ES384", "kid": "k"}));
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    (key, format!("{text}.{}", BASE64URL.encode(signature)))
}

#[test]
fn the_id_of_a_key_is_derived_as_the_api_server_does() {
    let signer = Signer::new().unwrap();
    for published in [key(RSA), key(P384), key(P521), signer.jwk()] {
        let of = |key: Value| Key::of(&jwks(&[key]).keys[0]);
        assert!(of(published.clone()).is_derived, "{published}");
        assert!(!of(with(published, "kid", json!("k"))).is_derived);
    }
}

#[test]
fn what_is_not_what_was_signed_is_damaged() {
    let signer = Signer::new().unwrap();
    let keys = ring(&[signer.jwk(), key(RSA)]);
    let (token, other) = (signed(&signer, 3_600), signed(&signer, 600));
    let rsa = RSA_TOKEN.trim();
    let kid = key(RSA)["kid"].clone();
    let table = [
        ("another payload", with_payload_of(&token, &other)),
        ("another payload", with_payload_of(rsa, &token)),
        ("cut off", token[..token.len() - 4].to_owned()),
        ("cut off", rsa[..rsa.len() - 9].to_owned()),
        ("longer", format!("{token}AAAA")),
        ("no base64url", format!("{}!", &token[..token.len() - 1])),
        ("much longer", format!("{token}{}", "A".repeat(2_000))),
        ("another algorithm than that of the key", {
            with_header(rsa, &json!({"alg": "ES256", "kid": kid}))
        }),
        ("signed with another key", {
            let header = json!({"alg": "ES256", "kid": signer.jwk()["kid"]});
            with_header(&signed(&Signer::new().unwrap(), 3_600), &header)
        }),
    ];
    for (what, token) in table {
        assert_eq!(result(&keys, &token), Some(SignatureResult::Damaged), "{what}");
    }
}

#[test]
fn the_bits_that_belong_to_nothing_do_not_count() {
    let signer = Signer::new().unwrap();
    let token = signed(&signer, 3_600);
    // 64 bytes are 86 characters, and the last one has four bits too many. Go ignores them.
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let other = format!("{}{next}", &token[..token.len() - 1]);
    assert_eq!(result(&ring(&[signer.jwk()]), &other), Some(SignatureResult::Verified));
}

#[test]
fn only_proof_accuses() {
    let (signer, later) = (Signer::new().unwrap(), Signer::new().unwrap());
    let token = signed(&signer, 3_600);
    let id = signer.jwk()["kid"].clone();
    let reused = with(later.jwk(), "kid", id.clone());
    let named = |header: Value| with_header(&token, &header);
    let unchecked = |why| SignatureResult::Unsupported(why);
    let table = [
        ("keys of another API server", vec![key(RSA)], token.clone(), SignatureResult::NoSuchKey),
        ("an id that another signer uses again", vec![reused.clone()], token.clone(), {
            SignatureResult::OtherKey
        }),
        ("two API servers, two keys of one id", vec![reused, signer.jwk()], token.clone(), {
            SignatureResult::Verified
        }),
        ("no id, and one of the keys signed it", vec![key(RSA)], without_id(), {
            SignatureResult::Verified
        }),
        ("no id, and none of the keys fits", vec![later.jwk()], without_id(), {
            SignatureResult::NoSuchKey
        }),
        (
            "an algorithm of others",
            vec![signer.jwk()],
            named(json!({"alg": "PS256", "kid": id})),
            { unchecked(Unsupported::Algorithm) },
        ),
        ("no algorithm", vec![signer.jwk()], named(json!({"kid": id})), {
            unchecked(Unsupported::Algorithm)
        }),
        ("a small key", vec![with(key(RSA), "n", json!("-_8"))], RSA_TOKEN.trim().to_owned(), {
            unchecked(Unsupported::RsaSize)
        }),
        ("a key without material", vec![json!({"kid": id})], token.clone(), {
            unchecked(Unsupported::Key)
        }),
        ("a member of another type", vec![with(signer.jwk(), "x", json!(7))], token.clone(), {
            unchecked(Unsupported::Key)
        }),
        ("half a point", vec![with(signer.jwk(), "y", json!("AAAA"))], token.clone(), {
            unchecked(Unsupported::Key)
        }),
        ("an even modulus", vec![with(key(RSA), "n", json!("AAAC"))], RSA_TOKEN.trim().into(), {
            unchecked(Unsupported::Key)
        }),
    ];
    for (what, keys, token, expected) in table {
        assert_eq!(result(&ring(&keys), &token), Some(expected), "{what}");
    }
}

/// The same key signed it, and the header names none.
fn without_id() -> String {
    include_str!("testdata/rsa-without-kid.token").trim().to_owned()
}

#[test]
fn an_external_signer_is_verified_like_another() {
    let token = unsigned(
        &json!({"alg": "RS256", "typ": "JWT", "kid": "external-1"}),
        &json!({"iss": "i", "iat": 1, "exp": 2, "kubernetes.io": {}}),
        "c2ln",
    );
    let hidden = ring(&[key(RSA)]);
    assert_eq!(result(&hidden, &token), Some(SignatureResult::NoSuchKey), "it may be kept back");
    let shown = ring(&[with(key(RSA), "kid", json!("external-1"))]);
    assert_eq!(result(&shown, &token), Some(SignatureResult::OtherKey), "it may have another");
}

#[test]
fn the_version_changes_with_the_keys() {
    let (one, two) = (Signer::new().unwrap().jwk(), Signer::new().unwrap().jwk());
    let shared = SharedKeys::default();
    let take = |keys: &[Value]| {
        shared.take(&jwks(keys), Wall::from_secs(1));
        (shared.version(), shared.current().held.len())
    };
    assert_eq!(shared.version(), 0);
    assert_eq!(take(std::slice::from_ref(&one)), (1, 1));
    assert_eq!(take(std::slice::from_ref(&one)), (1, 1), "the same");
    // Two API servers answer in turn.
    assert_eq!(take(std::slice::from_ref(&two)), (2, 2));
    assert_eq!(take(std::slice::from_ref(&one)), (2, 2));
    for _ in 0..46 {
        assert_eq!(take(std::slice::from_ref(&one)), (2, 2));
    }
    assert_eq!(take(std::slice::from_ref(&one)), (3, 1), "nobody has it any more");
    assert_eq!(take(&[]), (3, 1), "an answer without keys");
}

#[test]
fn the_number_of_keys_is_bounded() {
    let shared = SharedKeys::default();
    for answer in 0..10 {
        let keys: Vec<_> = (0..100).map(|nth| json!({"kid": format!("{answer}-{nth}")})).collect();
        shared.take(&jwks(&keys), Wall::from_secs(1));
        assert!(shared.current().held.len() <= MAX_KEYS);
    }
    let ring = shared.current();
    assert!(ring.held.iter().any(|held| held.key.id.as_deref() == Some("9-0")), "the last ones");
    let long = "k".repeat(1 << 16);
    shared.take(&jwks(&[json!({"kid": long})]), Wall::from_secs(1));
    let longest = shared.current().held.iter().filter_map(|held| held.key.id.clone()).max();
    assert!(longest.is_some_and(|id| id.len() <= 253));
}

#[cfg(test)]
#[path = "es512_tests.rs"]
mod es512_tests;

proptest! {
    /// Whatever is published, nothing panics, and no key fits what it did not sign.
    #[test]
    fn any_published_key_is_taken(
        kind in "RSA|EC|oct|.{0,8}",
        curve in "P-256|P-384|P-521|.{0,8}",
        parts in proptest::array::uniform4("[A-Za-z0-9_=-]{0,600}|.{0,20}"),
        kid in "[A-Za-z0-9_-]{43}|.{0,300}",
    ) {
        let [n, e, x, y] = parts;
        let key = json!({"kty": kind, "crv": curve, "kid": kid, "n": n, "e": e, "x": x, "y": y});
        let token = with_header(RSA_TOKEN.trim(), &json!({"alg": "RS256", "kid": kid}));
        for token in [token.as_str(), RSA_TOKEN.trim()] {
            let result = result(&ring(std::slice::from_ref(&key)), token);
            prop_assert_ne!(result, Some(SignatureResult::Verified));
        }
    }

    /// Any bytes in place of the signature neither panic nor verify, and what is reported of them
    /// has no text.
    #[test]
    fn any_signature_is_taken(signature in "[A-Za-z0-9_-]{1,400}|[ -~]{1,40}") {
        let signed = RSA_TOKEN.trim().rsplit_once('.').unwrap().0;
        let keys = ring(&[key(RSA)]);
        let seen = result(&keys, &format!("{signed}.{signature}"));
        prop_assert!(matches!(seen, None | Some(SignatureResult::Damaged)), "{seen:?}");
    }
}
