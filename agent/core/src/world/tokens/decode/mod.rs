//! Bytes to claims. Borrowed from a buffer that is wiped: deciding whether a file holds a new
//! generation copies nothing.

mod parsed;
mod payload;

pub use parsed::{ParsedToken, TokenIdentity};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroize;

use parsed::times;
use payload::{Header, Legacy, Payload};

/// The largest file that is looked at: real tokens have 1 to 2 kB, etcd would not carry a megabyte
/// of audiences.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

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
        Ok(payload) => classified(header, payload, &scratch.payload),
        Err(error) => Decoded::Malformed(Malformed::Json("payload", error.classify())),
    }
}

fn classified<'a>(header: Header<'a>, payload: Payload<'a>, json: &[u8]) -> Decoded<'a> {
    if let Some(legacy) = legacy(&payload, json) {
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

fn legacy(payload: &Payload<'_>, json: &[u8]) -> Option<LegacyClaims> {
    let namespace = payload.legacy_namespace.as_deref()?;
    let rest = serde_json::from_slice::<Legacy<'_>>(json).unwrap_or_default();
    Some(LegacyClaims {
        namespace: namespace.to_owned(),
        service_account: rest.account.as_deref().unwrap_or_default().to_owned(),
        secret: rest.secret.as_deref().map(ToOwned::to_owned),
    })
}

#[cfg(test)]
mod tests;
