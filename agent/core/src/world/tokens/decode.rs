//! Bytes to claims. Borrowed from a buffer that is wiped: deciding whether a file holds a new
//! generation copies nothing.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

use super::claims::{Claims, ObjectRef, digest, opaque};
use crate::base::text::SHOWN;
use crate::base::time::Wall;
use crate::base::value::LISTED;

/// The largest file that is looked at: real tokens have 1 to 2 kB, etcd would not carry a megabyte
/// of audiences.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// A name, a UID, a key's id or an audience is kept up to this length: a DNS subdomain's (RFC
/// 1123).
const LONGEST_NAME: usize = 253;
/// `exp` and `iat` beyond this (year 9999) are no times; nanoseconds saturate earlier, at 2262.
const MAX_NUMERIC_DATE: f64 = 253_402_300_799.0;

/// Unpadded as RFC 7515 says, padded as some signers do.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Room for the decoded header and payload; wiped on every use and when dropped.
#[derive(Default)]
pub struct Scratch {
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl Scratch {
    /// Empty; grows to the largest token seen.
    pub fn new() -> Self {
        Self::default()
    }

    fn wipe(&mut self) {
        self.header.zeroize();
        self.payload.zeroize();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch(wiped)")
    }
}

/// What bytes turned out to be.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // lives on the stack for one look; a box would be the only allocation of the scan
pub enum Decoded<'a> {
    /// A bound service-account token.
    Token(ParsedToken<'a>),
    /// A Secret-based service-account token: no expiry, no rotation.
    Legacy(LegacyClaims),
    /// Something else: a certificate, a namespace, somebody else's JWT.
    Other,
    /// It starts like a token and is none.
    Malformed(Malformed),
}

/// A legacy token's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyClaims {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// The Secret it is from.
    pub secret: Option<String>,
}

/// What is wrong, in words that hold no byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing in the file.
    Empty,
    /// Longer than any token.
    TooLong,
    /// A JWE (RFC 7516).
    Encrypted,
    /// Not three parts.
    Parts(usize),
    /// A part is not base64url.
    Base64(&'static str),
    /// A part is not JSON of the expected shape.
    Json(&'static str, serde_json::error::Category),
    /// A claim that every bound token has is missing or senseless.
    Claim(&'static str),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::TooLong => write!(f, "longer than {MAX_TOKEN_BYTES} bytes"),
            Self::Encrypted => {
                f.write_str("this is an encrypted JWT (JWE), not a service-account token")
            }
            Self::Parts(n) => write!(f, "a JWT has 3 parts separated by dots, this has {n}"),
            Self::Base64(part) => write!(f, "its {part} is not base64url"),
            Self::Json(part, serde_json::error::Category::Eof) => {
                write!(f, "its {part} is cut off")
            }
            Self::Json(part, serde_json::error::Category::Data) => {
                write!(f, "its {part} has a claim of the wrong type, or one twice")
            }
            Self::Json(part, _) => write!(f, "its {part} is not JSON"),
            Self::Claim(claim) => write!(f, "its claim {claim} is missing or makes no sense"),
        }
    }
}

/// One generation of one token, small enough to keep for every file on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    issued_at: Wall,
    expires_at: Wall,
    /// `jti`, hashed.
    credential: Option<[u8; 16]>,
}

/// A token's claims, still in the buffer they were decoded into.
#[derive(Debug, PartialEq)]
pub struct ParsedToken<'a> {
    header: Header<'a>,
    payload: Payload<'a>,
    issued_at: Wall,
    expires_at: Wall,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Header<'a> {
    #[serde(borrow, default)]
    kid: Option<Text<'a>>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    iss: Option<Text<'a>>,
    #[serde(borrow, default)]
    sub: Option<Text<'a>>,
    #[serde(borrow, default)]
    aud: Option<Audience<'a>>,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(borrow, default)]
    jti: Option<Text<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/namespace")]
    legacy_namespace: Option<Text<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/service-account.name")]
    legacy_account: Option<Text<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/secret.name")]
    legacy_secret: Option<Text<'a>>,
}

/// A string that stays in the buffer unless it has escapes in it. (serde borrows a `Cow` only where
/// it is a field itself, not in an `Option`.)
#[derive(Debug, Default, PartialEq)]
struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// Kubernetes writes a list; RFC 7519 allows a single string. Nearly all have one, which is kept
/// without a list.
#[derive(Debug, Default, PartialEq)]
struct Audience<'a> {
    first: Option<Text<'a>>,
    more: Vec<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_borrowed_str(text).map(one)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_str(text).map(one)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience<'de>, A::Error> {
        let mut audience = Audience { first: list.next_element()?, more: Vec::new() };
        while let Some(next) = list.next_element()? {
            audience.more.push(next);
        }
        Ok(audience)
    }
}

fn one(text: Text<'_>) -> Audience<'_> {
    Audience { first: Some(text), more: Vec::new() }
}

/// The private claims; unknown ones are tolerated, Kubernetes adds some with every few releases.
#[derive(Debug, PartialEq, Deserialize)]
struct Kubernetes<'a> {
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    serviceaccount: Option<Object<'a>>,
    #[serde(borrow, default)]
    pod: Option<Object<'a>>,
    #[serde(borrow, default)]
    node: Option<Object<'a>>,
    #[serde(default)]
    warnafter: Option<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
}

/// Decodes what a file holds. `scratch` is wiped first, and again by its next use or its drop.
///
/// The signature part is only checked to be there: it is not decoded, kept, hashed or compared.
pub fn decode<'a>(bytes: &[u8], scratch: &'a mut Scratch) -> Decoded<'a> {
    scratch.wipe();
    let bytes = bytes.trim_ascii();
    if !starts_like_a_token(bytes) {
        return Decoded::Other;
    }
    match split(bytes).and_then(|(header, payload)| fill(header, payload, scratch)) {
        Ok(()) => parse(scratch),
        Err(malformed) => Decoded::Malformed(malformed),
    }
}

/// Every JWT starts with `{"` in base64url, which is `eyJ`; with a space or a line end after the
/// brace, `ey`.
fn starts_like_a_token(bytes: &[u8]) -> bool {
    bytes.starts_with(b"eyJ") || bytes.starts_with(b"eyA") || bytes.starts_with(b"ewo")
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if bytes.len() > MAX_TOKEN_BYTES {
        return Err(Malformed::TooLong);
    }
    let mut parts = bytes.split(|byte| *byte == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) if !signature.is_empty() => {
            Ok((header, payload))
        }
        _ if is_encrypted(bytes) => Err(Malformed::Encrypted),
        _ => Err(Malformed::Parts(
            bytes.split(|byte| *byte == b'.').filter(|part| !part.is_empty()).count(),
        )),
    }
}

/// RFC 7516 section 3.1: header, key, initialization vector, ciphertext and tag, of which only the
/// key may be empty (`dir`: section 5.1).
fn is_encrypted(bytes: &[u8]) -> bool {
    let parts = bytes.split(|byte| *byte == b'.');
    parts.clone().count() == 5 && parts.enumerate().all(|(n, part)| n == 1 || !part.is_empty())
}

fn fill(header: &[u8], payload: &[u8], scratch: &mut Scratch) -> Result<(), Malformed> {
    decode_part("header", header, &mut scratch.header)?;
    decode_part("payload", payload, &mut scratch.payload)
}

/// Reserves first: a buffer that grows while it is filled leaves a copy of the credential behind in
/// freed memory.
fn decode_part(name: &'static str, part: &[u8], into: &mut Vec<u8>) -> Result<(), Malformed> {
    into.reserve(base64::decoded_len_estimate(part.len()));
    BASE64URL.decode_vec(part, into).map_err(|_| Malformed::Base64(name))
}

fn parse(scratch: &Scratch) -> Decoded<'_> {
    let header = match serde_json::from_slice::<Header<'_>>(&scratch.header) {
        Ok(header) => header,
        Err(error) => return Decoded::Malformed(Malformed::Json("header", error.classify())),
    };
    match serde_json::from_slice::<Payload<'_>>(&scratch.payload) {
        Ok(payload) => judge(header, payload),
        Err(error) => Decoded::Malformed(Malformed::Json("payload", error.classify())),
    }
}

fn judge<'a>(header: Header<'a>, payload: Payload<'a>) -> Decoded<'a> {
    if let Some(legacy) = legacy(&payload) {
        return Decoded::Legacy(legacy);
    }
    if payload.kubernetes.is_none() {
        return Decoded::Other; // a well-formed JWT of somebody else
    }
    match times(&payload) {
        Ok((issued_at, expires_at)) => {
            Decoded::Token(ParsedToken { header, payload, issued_at, expires_at })
        }
        Err(malformed) => Decoded::Malformed(malformed),
    }
}

fn legacy(payload: &Payload<'_>) -> Option<LegacyClaims> {
    let namespace = payload.legacy_namespace.as_deref()?;
    Some(LegacyClaims {
        namespace: namespace.to_owned(),
        service_account: payload.legacy_account.as_deref().unwrap_or_default().to_owned(),
        secret: payload.legacy_secret.as_deref().map(ToOwned::to_owned),
    })
}

fn times(payload: &Payload<'_>) -> Result<(Wall, Wall), Malformed> {
    let issued_at = numeric_date(payload.iat).ok_or(Malformed::Claim("iat"))?;
    let expires_at =
        numeric_date(payload.exp).filter(|at| *at > issued_at).ok_or(Malformed::Claim("exp"))?;
    Ok((issued_at, expires_at))
}

/// RFC 7519 NumericDate: a JSON number, whole or not, of seconds since the epoch.
#[allow(clippy::cast_possible_truncation)] // the range is checked just before
fn numeric_date(seconds: Option<f64>) -> Option<Wall> {
    seconds.filter(|s| (0.0..=MAX_NUMERIC_DATE).contains(s)).map(|s| Wall::from_secs(s as i64))
}

impl ParsedToken<'_> {
    /// What tells this generation from every other, without a heap allocation: what a scan of
    /// thousands of files compares.
    pub fn identity(&self) -> TokenIdentity {
        let credential = self.payload.jti.as_deref().map(digest);
        TokenIdentity { issued_at: self.issued_at, expires_at: self.expires_at, credential }
    }

    /// Whether these are claims already known: compared in place, nothing is copied.
    pub fn is(&self, known: &Claims) -> bool {
        self.issued_at == known.issued_at
            && self.expires_at == known.expires_at
            && self.payload.jti.as_deref().map(opaque) == known.credential
    }

    /// The claims, copied out of the buffer.
    pub fn to_claims(&self) -> Claims {
        let payload = &self.payload;
        let kubernetes = payload.kubernetes.as_ref();
        Claims {
            issuer: owned(payload.iss.as_ref()),
            subject: owned(payload.sub.as_ref()),
            audiences: audiences(payload.aud.as_ref()),
            issued_at: self.issued_at,
            not_before: numeric_date(payload.nbf).unwrap_or(self.issued_at),
            expires_at: self.expires_at,
            warn_after: self.warn_after(),
            credential: payload.jti.as_deref().map(opaque),
            namespace: kubernetes
                .and_then(|k| k.namespace.as_ref())
                .map(|text| kept(text))
                .unwrap_or_default(),
            service_account: kubernetes
                .and_then(|k| object(k.serviceaccount.as_ref()))
                .unwrap_or(ObjectRef { name: String::new(), uid: None }),
            pod: kubernetes.and_then(|k| object(k.pod.as_ref())),
            node: kubernetes.and_then(|k| object(k.node.as_ref())),
            key_id: self.header.kid.as_deref().map(kept),
        }
    }

    /// A `warnafter` outside (iat, exp] would turn every deadline to nonsense: it is ignored.
    fn warn_after(&self) -> Option<Wall> {
        let warn_after =
            self.payload.kubernetes.as_ref().and_then(|k| numeric_date(k.warnafter))?;
        (warn_after > self.issued_at && warn_after <= self.expires_at).then_some(warn_after)
    }
}

fn owned(text: Option<&Text<'_>>) -> String {
    text.map(|text| cut(text, SHOWN)).unwrap_or_default()
}

fn object(object: Option<&Object<'_>>) -> Option<ObjectRef> {
    object.map(|o| ObjectRef { name: kept(&o.name), uid: o.uid.as_deref().map(kept) })
}

/// No more of them than are shown: a file of 64 KiB has room for 16,000 empty ones, which would
/// take six times as much memory as the file.
fn audiences(audience: Option<&Audience<'_>>) -> Vec<String> {
    let Some(audience) = audience else { return Vec::new() };
    let (all, count) = (
        audience.first.iter().chain(&audience.more),
        audience.more.len() + usize::from(audience.first.is_some()),
    );
    if count <= LISTED {
        return all.map(|text| kept(text)).collect();
    }
    let more = format!("… and {} more", count - (LISTED - 1));
    all.take(LISTED - 1).map(|text| kept(text)).chain([more]).collect()
}

/// What is kept of a text. No name in Kubernetes is longer.
fn kept(text: &str) -> String {
    cut(text, LONGEST_NAME)
}

fn cut(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jwt(payload: &str) -> Vec<u8> {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"k1"}"#), part(payload)).into_bytes()
    }

    const EXTENDED: &str = r#"{"aud":["https://kubernetes.default.svc"],"exp":1749207355,"iat":1717671355,"iss":"https://kubernetes.default.svc",
        "jti":"e51f1fbc-4733-4b85-a59f-ba80c0523874","kubernetes.io":{"namespace":"default","node":{"name":"n1"},"pod":{"name":"shell","uid":"0d8b"},
        "serviceaccount":{"name":"default","uid":"e6a8"},"warnafter":1717674962,"webhook":{"name":"new in 1.37"}},"nbf":1717671355,"sub":"system:serviceaccount:default:default"}"#;

    fn token(payload: &str) -> Claims {
        match decode(&jwt(payload), &mut Scratch::new()) {
            Decoded::Token(parsed) => parsed.to_claims(),
            other => panic!("not a token: {other:?}"),
        }
    }

    #[test]
    fn no_more_is_kept_than_is_shown() {
        let audiences = vec!["\"a\""; 5_000].join(",");
        let long = "é".repeat(1_000);
        let claims = token(&format!(
            r#"{{"aud":[{audiences}],"exp":1749207355,"iat":1717671355,"iss":"{long}","kubernetes.io":{{"namespace":"{long}",
               "serviceaccount":{{"name":"{long}","uid":"{long}"}}}}}}"#
        ));
        assert_eq!(
            (claims.audiences.len(), claims.audiences[LISTED - 1].as_str()),
            (LISTED, "… and 4985 more")
        );
        let texts = [
            &claims.issuer,
            &claims.namespace,
            &claims.service_account.name,
            claims.service_account.uid.as_ref().unwrap(),
        ];
        assert_eq!(
            texts.map(String::len),
            [SHOWN, LONGEST_NAME - 1, LONGEST_NAME - 1, LONGEST_NAME - 1],
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
    fn a_real_extended_token_is_understood() {
        let claims = token(EXTENDED);
        assert_eq!(claims.warn_after, Some(Wall::from_secs(1_717_674_962)));
        assert_eq!(claims.expires_at, Wall::from_secs(1_749_207_355));
        assert_eq!(claims.pod, Some(ObjectRef { name: "shell".into(), uid: Some("0d8b".into()) }));
        assert_eq!(claims.node, Some(ObjectRef { name: "n1".into(), uid: None }));
        assert_eq!(claims.key_id.as_deref(), Some("k1"));
        assert!(
            !claims.generation().as_str().contains("e51f1fbc"),
            "the jti itself does not leave"
        );
    }

    #[test]
    fn tokens_before_1_30_have_no_jti_and_are_told_apart_by_iat() {
        let claims = token(
            r#"{"aud":"vault","exp":1700007200,"iat":1700000000,"kubernetes.io":{"namespace":"a"}}"#,
        );
        assert_eq!(claims.generation().as_str(), "iat-1700000000");
        assert_eq!(claims.audiences, ["vault"]);
        assert_eq!(claims.not_before, claims.issued_at);
        let several = token(
            r#"{"aud":["a\u0062",  "c","d"],"exp":1700007200,"iat":1700000000,"kubernetes.io":{"namespace":"\u0061"}}"#,
        );
        assert_eq!(
            (several.audiences, several.namespace),
            (["ab", "c", "d"].map(String::from).to_vec(), "a".to_owned())
        );
    }

    #[test]
    fn other_files_are_no_tokens_and_no_findings() {
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
    fn legacy_tokens_are_told_apart() {
        let payload = r#"{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"ns","kubernetes.io/serviceaccount/service-account.name":"x"}"#;
        assert!(
            matches!(decode(&jwt(payload), &mut Scratch::new()), Decoded::Legacy(legacy) if legacy.namespace == "ns")
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_a_byte_of_it() {
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
                "this is an encrypted JWT (JWE), not a service-account token"
            );
        }
        assert_eq!(malformed(b"eyJh.YQ..."), "a JWT has 3 parts separated by dots, this has 2");
        assert_eq!(malformed(b"eyJh!.e30.c2ln"), "its header is not base64url");
        assert_eq!(malformed(&jwt("{\"exp\":1")), "its payload is cut off");
        assert_eq!(
            malformed(&jwt(r#"{"exp":"soon"}"#)),
            "its payload has a claim of the wrong type, or one twice"
        );
        assert_eq!(
            malformed(&jwt(r#"{"aud":[1]}"#)),
            "its payload has a claim of the wrong type, or one twice"
        );
        assert_eq!(
            malformed(&jwt(r#"{"jti":{}}"#)),
            "its payload has a claim of the wrong type, or one twice"
        );
        assert_eq!(
            malformed(&jwt(r#"{"kubernetes.io":{},"exp":1700007200}"#)),
            "its claim iat is missing or makes no sense"
        );
        assert_eq!(
            malformed(&jwt(r#"{"kubernetes.io":{},"iat":1700007200,"exp":1e300}"#)),
            "its claim exp is missing or makes no sense"
        );
        assert_eq!(
            malformed(&[b"eyJ".to_vec(), vec![b'a'; MAX_TOKEN_BYTES]].concat()),
            "longer than 65536 bytes"
        );
    }

    #[test]
    fn a_senseless_warnafter_is_ignored() {
        let claims =
            token(r#"{"exp":1700007200,"iat":1700000000,"kubernetes.io":{"warnafter":1}}"#);
        assert_eq!(claims.warn_after, None);
    }

    #[test]
    fn a_known_generation_is_recognised_in_place() {
        let known = token(EXTENDED);
        let (mut scratch, bytes) = (Scratch::new(), jwt(EXTENDED));
        assert!(
            matches!(decode(&bytes, &mut scratch), Decoded::Token(parsed) if parsed.is(&known))
        );
        let other = jwt(&EXTENDED.replace("e51f1fbc", "00000000"));
        assert!(
            matches!(decode(&other, &mut scratch), Decoded::Token(parsed) if !parsed.is(&known))
        );
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&[b"eyJ".as_slice(), &bytes].concat(), &mut Scratch::new());
        }

        #[test]
        fn hostile_payloads_never_panic(exp in any::<f64>(), iat in any::<i64>(), text in ".{0,40}") {
            let payload = serde_json::json!({"exp": exp, "iat": iat, "aud": [text], "jti": text, "kubernetes.io": {"namespace": text, "warnafter": exp}});
            let _ = decode(&jwt(&payload.to_string()), &mut Scratch::new());
        }
    }
}
