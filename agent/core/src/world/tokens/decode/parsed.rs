//! A decoded token, still in the buffer, and its claims, copied out of it.

use super::Malformed;
use super::payload::{Audience, Header, Kubernetes, Object, Payload, Text};
use crate::base::text::SHOWN;
use crate::base::time::Wall;
use crate::base::value::LISTED;
use crate::world::tokens::claims::{Binding, Claims, ObjectRef, digest, opaque};

/// A name, a UID, a key's id or an audience is kept up to this length: a DNS subdomain's (RFC
/// 1123).
pub(super) const LONGEST_NAME: usize = 253;
/// `exp` and `iat` beyond this (year 9999) are no times; nanoseconds saturate earlier, at 2262.
const MAX_NUMERIC_DATE: f64 = 253_402_300_799.0;

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
        Claims {
            issuer: owned(payload.iss.as_ref()),
            subject: owned(payload.sub.as_ref()),
            audiences: audiences(payload.aud.as_ref()),
            issued_at: self.issued_at,
            not_before: numeric_date(payload.nbf).unwrap_or(self.issued_at),
            expires_at: self.expires_at,
            warn_after: self.warn_after(),
            credential: payload.jti.as_deref().map(opaque),
            binding: payload.kubernetes.as_ref().map(binding).unwrap_or_default(),
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

fn binding(kubernetes: &Kubernetes<'_>) -> Binding {
    Binding {
        namespace: kubernetes.namespace.as_deref().map(kept).unwrap_or_default(),
        service_account: object(kubernetes.serviceaccount.as_ref()).unwrap_or_default(),
        pod: object(kubernetes.pod.as_ref()),
        node: object(kubernetes.node.as_ref()),
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
