//! Tokens as a Kubernetes 1.34 API server signs them (kubernetes
//! pkg/serviceaccount/{jwt,claims}.go): ES256, one key. For tests that need claims of any kind
//! there are [`unsigned`] tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokenwatch_core::base::ids::{TraceId, hex};
use tokenwatch_core::base::time::{Delta, Wall};

use crate::Error;

/// The issuer, and the audience of tokens for the API server itself.
pub const API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";
/// What an extended token's `exp` is: a year (kubernetes pkg/serviceaccount/claims.go,
/// ExpirationExtensionSeconds).
const EXTENDED: Delta = Delta::from_secs(31_536_000);
/// DER of a SubjectPublicKeyInfo for P-256 (RFC 5480), up to the point itself. `kid` is a hash over
/// both.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The pod a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its service account.
    pub service_account: String,
    /// The node it runs on.
    pub node: String,
}

impl PodIdentity {
    /// Its UID: the same for the same names, so that two runs of the demo print the same.
    pub fn uid(&self) -> String {
        derived_uuid(&["pod", &self.namespace, &self.name, &self.node])
    }
}

/// What a token contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest<'a> {
    /// The pod it is bound to.
    pub pod: &'a PodIdentity,
    /// Its audiences. Empty: the API server.
    pub audiences: &'a [&'a str],
    /// `iat` and `nbf`.
    pub issued_at: Wall,
    /// The lifetime that kubelet requested: `exp - iat`, or `warnafter - iat` if extended.
    pub lifetime: Delta,
    /// Whether the API server extends it to a year
    /// (--service-account-extend-token-expiration).
    pub extended: bool,
}

/// A signing key.
#[derive(Debug)]
pub struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    header: String,
}

impl Signer {
    /// A signer with a new key.
    pub fn new() -> Result<Self, Error> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| Error::Key)?;
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .map_err(|_| Error::Key)?;
        let header = part(&json!({"alg": "ES256", "kid": key_id(key.public_key().as_ref())}));
        Ok(Self { key, random, header })
    }

    /// The public key, an uncompressed point of P-256.
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The public key as an API server publishes it (RFC 7517).
    pub fn jwk(&self) -> Value {
        let point = self.public_key();
        let coordinate = |range| point.get(range).map(|part| BASE64URL.encode(part));
        json!({
            "use": "sig", "kty": "EC", "alg": "ES256", "crv": "P-256", "kid": key_id(point),
            "x": coordinate(1..33), "y": coordinate(33..65),
        })
    }

    /// Signs a token.
    pub fn sign(&self, request: &TokenRequest<'_>) -> Result<String, Error> {
        let signed = format!("{}.{}", self.header, part(&claims(request)));
        let signature =
            self.key.sign(&self.random, signed.as_bytes()).map_err(|_| Error::Signature)?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

/// A token with these parts, whose signature nobody can verify.
pub fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// `kid` as the API server computes it: SHA-256 over the DER of the public key.
fn key_id(point: &[u8]) -> String {
    BASE64URL.encode(Sha256::new().chain_update(P256_SPKI_PREFIX).chain_update(point).finalize())
}

fn part(json: &Value) -> String {
    BASE64URL.encode(json.to_string())
}

fn claims(request: &TokenRequest<'_>) -> Value {
    let PodIdentity { namespace, service_account, .. } = request.pod;
    let issued = request.issued_at.as_secs();
    json!({
        "aud": if request.audiences.is_empty() { &[API_SERVER] } else { request.audiences },
        "exp": expiry(request).as_secs(),
        "iat": issued,
        "iss": API_SERVER,
        "jti": token_id(request),
        "kubernetes.io": bound_to(request),
        "nbf": issued,
        "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
    })
}

fn expiry(request: &TokenRequest<'_>) -> Wall {
    request.issued_at + if request.extended { EXTENDED } else { request.lifetime }
}

/// The claims that are Kubernetes' own: the objects that the token is bound to.
fn bound_to(request: &TokenRequest<'_>) -> Value {
    let PodIdentity { namespace, name, service_account, node } = request.pod;
    let account = derived_uuid(&["serviceaccount", namespace, service_account]);
    let mut bound = json!({
        "namespace": namespace,
        "node": {"name": node, "uid": derived_uuid(&["node", node])},
        "pod": {"name": name, "uid": request.pod.uid()},
        "serviceaccount": {"name": service_account, "uid": account},
    });
    if request.extended {
        bound["warnafter"] = (request.issued_at + request.lifetime).as_secs().into();
    }
    bound
}

/// `jti`: the same for the same pod, audiences and time of issue.
fn token_id(request: &TokenRequest<'_>) -> String {
    let issued_at = request.issued_at.as_secs().to_string();
    derived_uuid(&["jti", &request.pod.uid(), &request.audiences.join(" "), &issued_at])
}

/// A UUID (version 8, RFC 9562: "custom") derived from `parts`.
fn derived_uuid(parts: &[&str]) -> String {
    let hex = hex(&TraceId::derived(parts).0);
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use tokenwatch_core::world::tokens::{Claims, Decoded, Scratch, decode};

    fn pod() -> PodIdentity {
        PodIdentity {
            namespace: "shop".into(),
            name: "cart-0".into(),
            service_account: "cart".into(),
            node: "demo-node".into(),
        }
    }

    fn request(pod: &PodIdentity, extended: bool) -> TokenRequest<'_> {
        TokenRequest {
            pod,
            audiences: &[],
            issued_at: Wall::from_secs(1_800_000_000),
            lifetime: Delta::from_secs(3_607),
            extended,
        }
    }

    fn read(token: &str) -> Claims {
        match decode(token.as_bytes(), &mut Scratch::new()) {
            Decoded::Token(parsed) => parsed.to_claims(),
            other => panic!("not a token: {other:?}"),
        }
    }

    fn verifies(signer: &Signer, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.public_key());
        key.verify(signed.as_bytes(), &BASE64URL.decode(signature).unwrap()).is_ok()
    }

    #[test]
    fn signatures_verify_and_tampering_is_detected() {
        let (signer, pod) = (Signer::new().unwrap(), pod());
        let token = signer.sign(&request(&pod, false)).unwrap();
        assert!(verifies(&signer, &token));
        assert!(!verifies(&Signer::new().unwrap(), &token), "another key");
        let later = signer
            .sign(&TokenRequest { lifetime: Delta::from_secs(7_200), ..request(&pod, false) })
            .unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{}.{signature}", later.rsplit_once('.').unwrap().0);
        assert!(!verifies(&signer, &forged), "another payload");
    }

    #[test]
    fn the_core_reads_what_is_signed() {
        let (signer, pod) = (Signer::new().unwrap(), pod());
        let claims = read(&signer.sign(&request(&pod, true)).unwrap());
        assert_eq!(claims.subject, "system:serviceaccount:shop:cart");
        assert_eq!(claims.audiences, [API_SERVER]);
        assert_eq!(claims.warn_after, Some(Wall::from_secs(1_800_003_607)));
        assert_eq!(claims.expires_at, Wall::from_secs(1_831_536_000));
        assert_eq!(claims.binding.pod.unwrap().uid, Some(pod.uid()));
        assert_eq!(claims.key.id.unwrap().len(), 43, "SHA-256 in base64url");
        let plain = read(&signer.sign(&request(&pod, false)).unwrap());
        assert_eq!((plain.warn_after, plain.expires_at), (None, Wall::from_secs(1_800_003_607)));
    }

    #[test]
    fn a_generation_is_known_by_its_issue_time() {
        let (signer, pod) = (Signer::new().unwrap(), pod());
        let first = read(&signer.sign(&request(&pod, false)).unwrap());
        let again = read(&signer.sign(&request(&pod, false)).unwrap());
        let next = read(
            &signer
                .sign(&TokenRequest {
                    issued_at: Wall::from_secs(1_800_000_480),
                    ..request(&pod, false)
                })
                .unwrap(),
        );
        assert_eq!(first.generation(), again.generation());
        assert_ne!(first.generation(), next.generation());
    }

    #[test]
    fn uids_look_like_uids() {
        let uid = pod().uid();
        let lengths: Vec<_> = uid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uid}");
    }
}
