//! A decoded token that borrows from the buffer, and its claims as an owned copy.

use super::Malformed;
use super::payload::{Audience, Header, Kubernetes, Object, Payload, Text};
use crate::base::text::MAX_SHOWN;
use crate::base::time::Wall;
use crate::base::value::MAX_LISTED;
use crate::world::tokens::claims::{Binding, Claims, ObjectRef, SigningKey, digest, hashed};

/// Most bytes that are kept of a name, a UID, a key id or an audience: the length of a DNS
/// subdomain (RFC 1123), the longest name in Kubernetes.
pub(super) const MAX_NAME_LENGTH: usize = 253;
/// Upper limit of a NumericDate in seconds: the end of the year 9999. Times in nanoseconds saturate
/// earlier, in 2262.
const MAX_NUMERIC_DATE: f64 = 253_402_300_799.0;

/// The identity of one generation, small enough to keep for every file of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    issued_at: Wall,
    expires_at: Wall,
    /// `jti`, hashed.
    credential: Option<[u8; 16]>,
}

/// A decoded token. Its claims borrow from the buffer.
#[derive(Debug, PartialEq)]
pub struct ParsedToken<'a> {
    pub(super) header: Header<'a>,
    pub(super) payload: Payload<'a>,
    pub(super) issued_at: Wall,
    pub(super) expires_at: Wall,
}

pub(super) fn times(payload: &Payload<'_>) -> Result<(Wall, Wall), Malformed> {
    let issued_at = numeric_date(payload.iat).ok_or(Malformed::Claim("iat"))?;
    let expires_at =
        numeric_date(payload.exp).filter(|at| *at > issued_at).ok_or(Malformed::Claim("exp"))?;
    Ok((issued_at, expires_at))
}

/// A NumericDate: seconds since the epoch as a JSON number, with or without a fraction (RFC 7519,
/// section 2). The fraction is cut off.
#[allow(clippy::cast_possible_truncation)] // the range is checked just before
pub(super) fn numeric_date(seconds: Option<f64>) -> Option<Wall> {
    seconds.filter(|s| (0.0..=MAX_NUMERIC_DATE).contains(s)).map(|s| Wall::from_secs(s as i64))
}

impl ParsedToken<'_> {
    /// The identity of this generation, computed without a heap allocation: a scan compares it for
    /// thousands of files.
    pub fn identity(&self) -> TokenIdentity {
        let credential = self.payload.jti.as_deref().map(digest);
        TokenIdentity { issued_at: self.issued_at, expires_at: self.expires_at, credential }
    }

    /// The id of the key that signed it, as the header has it (`kid`).
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The algorithm of the signature, as the header has it (`alg`).
    pub fn algorithm(&self) -> Option<&str> {
        self.header.alg.as_deref()
    }

    /// Whether this token is the same generation as `known`. Nothing is copied.
    pub fn is(&self, known: &Claims) -> bool {
        self.issued_at == known.issued_at
            && self.expires_at == known.expires_at
            && self.payload.jti.as_deref().map(hashed) == known.credential
    }

    /// An owned copy of the claims, with long texts and lists cut.
    pub fn to_claims(&self) -> Claims {
        let payload = &self.payload;
        Claims {
            issuer: owned(payload.iss.as_ref()),
            subject: owned(payload.sub.as_ref()),
            audiences: audiences(payload.aud.as_ref()),
            issued_at: self.issued_at,
            not_before: numeric_date(payload.nbf).unwrap_or(self.issued_at),
            expires_at: self.expires_at,
            warn_after: self.warn_after(),
            credential: payload.jti.as_deref().map(hashed),
            binding: payload.kubernetes.as_ref().map(binding).unwrap_or_default(),
            key: SigningKey {
                id: self.header.kid.as_deref().map(kept_name),
                is_external: self.header.typ.is_some(),
            },
        }
    }

    /// `warnafter`, if it is in (iat, exp]. Outside of that it would make every deadline invalid.
    fn warn_after(&self) -> Option<Wall> {
        let warn_after =
            self.payload.kubernetes.as_ref().and_then(|k| numeric_date(k.warnafter))?;
        (warn_after > self.issued_at && warn_after <= self.expires_at).then_some(warn_after)
    }
}

fn binding(kubernetes: &Kubernetes<'_>) -> Binding {
    Binding {
        namespace: kubernetes.namespace.as_deref().map(kept_name).unwrap_or_default(),
        service_account: object(kubernetes.serviceaccount.as_ref()).unwrap_or_default(),
        pod: object(kubernetes.pod.as_ref()),
        secret: object(kubernetes.secret.as_ref()),
        node: object(kubernetes.node.as_ref()),
    }
}

fn owned(text: Option<&Text<'_>>) -> String {
    text.map(|text| kept_issuer(text)).unwrap_or_default()
}

fn object(object: Option<&Object<'_>>) -> Option<ObjectRef> {
    object.map(|o| ObjectRef { name: kept_name(&o.name), uid: o.uid.as_deref().map(kept_name) })
}

/// At most [`MAX_LISTED`] audiences: a file of 64 KiB has room for 16,000 empty ones, which would
/// take six times the memory of the file.
pub(super) fn audiences(audience: Option<&Audience<'_>>) -> Vec<String> {
    let Some(audience) = audience else { return Vec::new() };
    let (all, count) = (
        audience.first.iter().chain(&audience.more),
        audience.more.len() + usize::from(audience.first.is_some()),
    );
    if count <= MAX_LISTED {
        return all.map(|text| kept_name(text)).collect();
    }
    let more = format!("… and {} more", count - (MAX_LISTED - 1));
    all.take(MAX_LISTED - 1).map(|text| kept_name(text)).chain([more]).collect()
}

/// The text, cut to [`MAX_NAME_LENGTH`].
pub(crate) fn kept_name(text: &str) -> String {
    cut(text, MAX_NAME_LENGTH)
}

/// The issuer as claims keep it.
pub(crate) fn kept_issuer(text: &str) -> String {
    cut(text, MAX_SHOWN)
}

pub(super) fn cut(text: &str, max_bytes: usize) -> String {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default().to_owned()
}
