//! From the bytes of a file to claims. The claims borrow from a buffer that is wiped after use, so
//! that a check for a new generation copies nothing.

mod foreign;
mod parsed;
mod payload;

pub use foreign::Foreign;
pub use parsed::{ParsedToken, TokenIdentity};
pub(crate) use parsed::{kept_issuer, kept_name};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroize;

use parsed::times;
use payload::{Header, Legacy, Payload};

/// Size limit of a token file, in bytes. It bounds the agent's memory; real tokens have 1 to 2 kB.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// The issuer of every Secret-based token (LegacyIssuer in pkg/serviceaccount/legacy.go).
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// base64url without padding (RFC 7515, section 2). Padding is accepted, because some signers add
/// it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Buffers for the decoded header and payload. They are wiped before each use and when dropped.
#[derive(Default)]
pub struct Scratch {
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl Scratch {
    /// Empty buffers. They grow to the size of the largest token.
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

/// What the bytes of a file are.
#[derive(Debug, PartialEq)]
// Lives on the stack while one file is examined; a box would be the only allocation of a scan.
#[allow(clippy::large_enum_variant)]
pub enum Decoded<'a> {
    /// A bound service-account token.
    Token(ParsedToken<'a>),
    /// A Secret-based service-account token, without expiry and rotation
    /// (pkg/serviceaccount/legacy.go).
    Legacy(LegacyClaims),
    /// Not a token of Kubernetes: a certificate, a namespace, a JWT of another issuer.
    Other,
    /// It starts like a token and cannot be decoded.
    Malformed(Malformed),
}

/// The subject of a Secret-based token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct LegacyClaims {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account; empty if the claim is absent.
    pub service_account: String,
    /// Name of the Secret, if the claim is present.
    pub secret: Option<String>,
}

/// Why bytes that start like a token cannot be decoded. The text contains no byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The file is empty.
    Empty,
    /// The file is longer than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// It is an encrypted JWT (JWE, RFC 7516).
    Encrypted,
    /// It has this many parts instead of three (RFC 7515, section 3.1).
    Parts(usize),
    /// This part is not base64url.
    Base64(&'static str),
    /// This part is not JSON, or has a claim of the wrong type.
    Json(&'static str, serde_json::error::Category),
    /// This claim, which every bound token has, is missing or invalid.
    Claim(&'static str),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::TooLong => write!(f, "it is longer than {MAX_TOKEN_BYTES} bytes"),
            Self::Encrypted => {
                f.write_str("it is an encrypted JWT (JWE), not a service-account token")
            }
            Self::Parts(n) => write!(f, "a JWT has 3 parts separated by dots, this has {n}"),
            Self::Base64(part) => write!(f, "its {part} is not base64url"),
            Self::Json(part, serde_json::error::Category::Eof) => {
                write!(f, "its {part} is cut off")
            }
            Self::Json(part, serde_json::error::Category::Data) => {
                write!(f, "its {part} has a claim of the wrong type, or the same claim twice")
            }
            Self::Json(part, _) => write!(f, "its {part} is not JSON"),
            Self::Claim(claim) => write!(f, "its claim {claim} is missing or invalid"),
        }
    }
}

/// Decodes the content of a file. `scratch` is wiped first, and again by its next use or its drop.
///
/// The signature must be present. It is not decoded, kept, hashed or compared.
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

/// The claims of a JWT, whoever issued it; nothing if it is none. `scratch` is wiped as by
/// [`decode`].
pub fn foreign(bytes: &[u8], scratch: &mut Scratch) -> Option<Foreign> {
    scratch.wipe();
    let (header, payload) = split(bytes.trim_ascii()).ok()?;
    fill(header, payload, scratch).ok()?;
    serde_json::from_slice(&scratch.payload).ok().map(|payload| Foreign::of(&payload))
}

/// Whether the bytes start like a JWT: with `{"` in base64url, which is `eyJ`, or with a brace
/// followed by a space (`eyA`) or a line end (`ewo`).
fn starts_like_a_token(bytes: &[u8]) -> bool {
    bytes.starts_with(b"eyJ") || bytes.starts_with(b"eyA") || bytes.starts_with(b"ewo")
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if bytes.len() > MAX_TOKEN_BYTES {
        return Err(Malformed::TooLong);
    }
    let mut parts = parts_of(bytes);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) if !signature.is_empty() => {
            Ok((header, payload))
        }
        _ if is_encrypted(bytes) => Err(Malformed::Encrypted),
        _ => Err(Malformed::Parts(parts_of(bytes).filter(|part| !part.is_empty()).count())),
    }
}

fn parts_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    bytes.split(|byte| *byte == b'.')
}

/// Whether the bytes have the five parts of a JWE: header, key, initialization vector, ciphertext
/// and tag (RFC 7516, section 3.1). Only the key may be empty (`dir`, section 5.1).
fn is_encrypted(bytes: &[u8]) -> bool {
    let parts = parts_of(bytes);
    parts.clone().count() == 5 && parts.enumerate().all(|(n, part)| n == 1 || !part.is_empty())
}

fn fill(header: &[u8], payload: &[u8], scratch: &mut Scratch) -> Result<(), Malformed> {
    decode_part("header", header, &mut scratch.header)?;
    decode_part("payload", payload, &mut scratch.payload)
}

/// Decodes one part. It reserves memory first: a buffer that grows while it is filled leaves a copy
/// of the credential in freed memory.
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
        Ok(payload) => classified(header, payload, &scratch.payload),
        Err(error) => Decoded::Malformed(Malformed::Json("payload", error.classify())),
    }
}

fn classified<'a>(header: Header<'a>, payload: Payload<'a>, json: &[u8]) -> Decoded<'a> {
    if let Some(legacy) = legacy(&payload, json) {
        return Decoded::Legacy(legacy);
    }
    if payload.kubernetes.is_none() {
        return Decoded::Other; // a well-formed JWT of another issuer
    }
    match times(&payload) {
        Ok((issued_at, expires_at)) => {
            Decoded::Token(ParsedToken { header, payload, issued_at, expires_at })
        }
        Err(malformed) => Decoded::Malformed(malformed),
    }
}

fn legacy(payload: &Payload<'_>, json: &[u8]) -> Option<LegacyClaims> {
    let is_it = payload.iss.as_deref() == Some(LEGACY_ISSUER);
    let namespace = payload.legacy_namespace.as_deref().filter(|_| is_it)?;
    let rest = serde_json::from_slice::<Legacy<'_>>(json).unwrap_or_default();
    Some(LegacyClaims {
        namespace: kept_name(namespace),
        service_account: rest.account.as_deref().map(kept_name).unwrap_or_default(),
        secret: rest.secret.as_deref().map(kept_name),
    })
}

#[cfg(test)]
mod tests;
