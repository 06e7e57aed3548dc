use super::parsed::MAX_NAME_LENGTH;
use super::*;
use crate::base::text::MAX_SHOWN;
use crate::base::time::Wall;
use crate::base::value::MAX_LISTED;
use crate::world::tokens::{Claims, ObjectRef};
use proptest::prelude::*;

fn jwt(payload: &str) -> Vec<u8> {
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"k1"}"#), part(payload)).into_bytes()
}

const EXTENDED: &str = r#"{
    "aud": ["https://kubernetes.default.svc"], "exp": 1749207355, "iat": 1717671355,
    "iss": "https://kubernetes.default.svc", "jti": "e51f1fbc-4733-4b85-a59f-ba80c0523874",
    "kubernetes.io": {
        "namespace": "default", "node": {"name": "n1"}, "pod": {"name": "shell", "uid": "0d8b"},
        "serviceaccount": {"name": "default", "uid": "e6a8"}, "warnafter": 1717674962,
        "webhook": {"name": "new in 1.37"}
    },
    "nbf": 1717671355, "sub": "system:serviceaccount:default:default"}"#;

fn token(payload: &str) -> Claims {
    match decode(&jwt(payload), &mut Scratch::new()) {
        Decoded::Token(parsed) => parsed.to_claims(),
        other => panic!("not a token: {other:?}"),
    }
}

#[test]
fn long_texts_and_lists_are_cut() {
    let audiences = vec!["\"a\""; 5_000].join(",");
    let long = "é".repeat(1_000);
    let claims = token(&format!(
        r#"{{"aud":[{audiences}],"exp":1749207355,"iat":1717671355,"iss":"{long}",
           "kubernetes.io":{{"namespace":"{long}",
           "serviceaccount":{{"name":"{long}","uid":"{long}"}}}}}}"#
    ));
    assert_eq!(
        (claims.audiences.len(), claims.audiences[MAX_LISTED - 1].as_str()),
        (MAX_LISTED, "… and 4985 more")
    );
    let texts = [
        &claims.issuer,
        &claims.binding.namespace,
        &claims.binding.service_account.name,
        claims.binding.service_account.uid.as_ref().unwrap(),
    ];
    assert_eq!(
        texts.map(String::len),
        [MAX_SHOWN, MAX_NAME_LENGTH - 1, MAX_NAME_LENGTH - 1, MAX_NAME_LENGTH - 1],
        "cut where a character ends"
    );
}

fn malformed(bytes: &[u8]) -> String {
    match decode(bytes, &mut Scratch::new()) {
        Decoded::Malformed(reason) => reason.to_string(),
        other => panic!("not malformed: {other:?}"),
    }
}

#[test]
fn an_extended_token_is_decoded() {
    let claims = token(EXTENDED);
    assert_eq!(claims.warn_after, Some(Wall::from_secs(1_717_674_962)));
    assert_eq!(claims.expires_at, Wall::from_secs(1_749_207_355));
    assert_eq!(
        claims.binding.pod,
        Some(ObjectRef { name: "shell".into(), uid: Some("0d8b".into()) })
    );
    assert_eq!(claims.binding.node, Some(ObjectRef { name: "n1".into(), uid: None }));
    assert_eq!(claims.key.id.as_deref(), Some("k1"));
    assert!(!claims.generation().as_str().contains("e51f1fbc"), "the jti itself is not revealed");
}

#[test]
fn tokens_without_a_jti_are_identified_by_iat() {
    let claims = token(
        r#"{"aud":"vault","exp":1700007200,"iat":1700000000,"kubernetes.io":{"namespace":"a"}}"#,
    );
    assert_eq!(claims.generation().as_str(), "iat-1700000000");
    assert_eq!(claims.audiences, ["vault"]);
    assert_eq!(claims.not_before, claims.issued_at);
    let several = token(
        r#"{"aud":["a\u0062",  "c","d"],"exp":1700007200,"iat":1700000000,
           "kubernetes.io":{"namespace":"\u0061"}}"#,
    );
    assert_eq!(
        (several.audiences, several.binding.namespace),
        (["ab", "c", "d"].map(String::from).to_vec(), "a".to_owned())
    );
}

#[test]
fn other_files_are_not_tokens() {
    let foreign = jwt(r#"{"iss":"https://example.com","exp":1700007200}"#);
    for bytes in [
        &b"-----BEGIN CERTIFICATE-----"[..],
        b"default",
        b"",
        b"\x00\xff",
        b"eye of newt",
        &foreign,
    ] {
        assert_eq!(decode(bytes, &mut Scratch::new()), Decoded::Other);
    }
}

#[test]
fn legacy_tokens_are_recognised() {
    let payload = r#"{"iss":"kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace":"ns",
        "kubernetes.io/serviceaccount/service-account.name":"x"}"#;
    let mut scratch = Scratch::new();
    let Decoded::Legacy(legacy) = decode(&jwt(payload), &mut scratch) else {
        panic!("not a legacy token")
    };
    assert_eq!(legacy.namespace, "ns");
}

#[test]
fn the_reason_contains_no_byte_of_the_token() {
    let good = jwt(EXTENDED);
    assert_eq!(
        malformed(b"eyJhbGciOiJSUzI1NiJ9"),
        "a JWT has 3 parts separated by dots, this has 1"
    );
    assert_eq!(
        malformed(&good[..good.len() - 5]),
        "a JWT has 3 parts separated by dots, this has 2"
    );
    for encrypted in [b"eyJh.YQ.YQ.YQ.YQ".as_slice(), b"eyJh..YQ.YQ.YQ"] {
        assert_eq!(
            malformed(encrypted),
            "it is an encrypted JWT (JWE), not a service-account token"
        );
    }
    assert_eq!(malformed(b"eyJh.YQ..."), "a JWT has 3 parts separated by dots, this has 2");
    assert_eq!(malformed(b"eyJh!.e30.c2ln"), "its header is not base64url");
    assert_eq!(malformed(&jwt("{\"exp\":1")), "its payload is cut off");
    assert_eq!(
        malformed(&jwt(r#"{"exp":"soon"}"#)),
        "its payload has a claim of the wrong type, or the same claim twice"
    );
    assert_eq!(
        malformed(&jwt(r#"{"aud":[1]}"#)),
        "its payload has a claim of the wrong type, or the same claim twice"
    );
    assert_eq!(
        malformed(&jwt(r#"{"jti":{}}"#)),
        "its payload has a claim of the wrong type, or the same claim twice"
    );
    assert_eq!(
        malformed(&jwt(r#"{"kubernetes.io":{},"exp":1700007200}"#)),
        "its claim iat is missing or invalid"
    );
    assert_eq!(
        malformed(&jwt(r#"{"kubernetes.io":{},"iat":1700007200,"exp":1e300}"#)),
        "its claim exp is missing or invalid"
    );
    assert_eq!(
        malformed(&[b"eyJ".to_vec(), vec![b'a'; MAX_TOKEN_BYTES]].concat()),
        "it is longer than 65536 bytes"
    );
}

#[test]
fn an_invalid_warnafter_is_ignored() {
    let claims = token(r#"{"exp":1700007200,"iat":1700000000,"kubernetes.io":{"warnafter":1}}"#);
    assert_eq!(claims.warn_after, None);
}

#[test]
fn a_known_generation_is_recognised_without_a_copy() {
    let known = token(EXTENDED);
    let (mut scratch, bytes) = (Scratch::new(), jwt(EXTENDED));
    assert!(matches!(decode(&bytes, &mut scratch), Decoded::Token(parsed) if parsed.is(&known)));
    let other = jwt(&EXTENDED.replace("e51f1fbc", "00000000"));
    assert!(matches!(decode(&other, &mut scratch), Decoded::Token(parsed) if !parsed.is(&known)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&[b"eyJ".as_slice(), &bytes].concat(), &mut Scratch::new());
    }

    #[test]
    fn arbitrary_payloads_never_panic(exp in any::<f64>(), iat in any::<i64>(), text in ".{0,40}") {
        let payload = serde_json::json!({
            "exp": exp, "iat": iat, "aud": [text], "jti": text,
            "kubernetes.io": {"namespace": text, "warnafter": exp},
        });
        let _ = decode(&jwt(&payload.to_string()), &mut Scratch::new());
    }
}
