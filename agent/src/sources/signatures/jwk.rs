//! A published key (JSON Web Key, RFC 7517 and RFC 7518 section 6), as far as it can verify.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;
use tokenwatch_core::world::tokens::Unsupported;

use super::es512;

/// Most bytes of a key id: what the core keeps of the id in a token.
const MAX_ID: usize = 253;
/// Sizes of an RSA key in bits: what `ring` verifies with. A smaller one has been too weak since
/// 2013 (NIST SP 800-131A).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Bytes of an RSA exponent: `ring` takes at most 33 bits. Practically every key has 65537.
const MAX_EXPONENT: usize = 5;

/// Without padding (RFC 7515, section 2). The last character may have bits that belong to nothing:
/// Go, and so the API server, accepts them.
pub(super) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The keys that an API server publishes: a JSON Web Key Set (RFC 7517, section 5).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Jwks {
    /// Each of them.
    pub keys: Vec<Jwk>,
}

/// A key as an API server publishes it. A member of the wrong type makes the key useless, and not
/// the whole set.
#[derive(Clone, Debug, Deserialize)]
pub struct Jwk {
    kid: Option<String>,
    #[serde(default)]
    kty: Value,
    #[serde(default)]
    crv: Value,
    #[serde(default)]
    n: Value,
    #[serde(default)]
    e: Value,
    #[serde(default)]
    x: Value,
    #[serde(default)]
    y: Value,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
    /// An uncompressed point of P-384.
    P384(Vec<u8>),
    /// An uncompressed point that is on P-521.
    P521(Vec<u8>),
    /// One that the agent cannot verify with.
    Unusable(Unsupported),
}

impl Jwk {
    /// Its id.
    pub fn id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What of it can verify.
    pub(super) fn public(&self) -> PublicKey {
        let unusable = PublicKey::Unusable(Unsupported::Key);
        match (self.kty.as_str(), self.crv.as_str()) {
            (Some("RSA"), _) => self.rsa().unwrap_or(unusable),
            (Some("EC"), Some("P-256")) => self.point(32).map_or(unusable, PublicKey::P256),
            (Some("EC"), Some("P-384")) => self.point(48).map_or(unusable, PublicKey::P384),
            (Some("EC"), Some("P-521")) => {
                let point = self.point(66).filter(|point| es512::is_on_curve(point));
                point.map_or(unusable, PublicKey::P521)
            }
            _ => unusable,
        }
    }

    fn rsa(&self) -> Option<PublicKey> {
        let (n, e) = (number(&self.n)?, number(&self.e)?);
        let is_sound = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !is_sound(&n) || !is_sound(&e) || e.len() > MAX_EXPONENT || e == [1] {
            return None;
        }
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        let is_usable = RSA_BITS.contains(&bits);
        let unusable = PublicKey::Unusable(Unsupported::RsaSize);
        Some(if is_usable { PublicKey::Rsa { n, e } } else { unusable })
    }

    /// The point, uncompressed (SEC 1, section 2.3.3). The coordinates have their full length (RFC
    /// 7518, section 6.2.1.2).
    fn point(&self, length: usize) -> Option<Vec<u8>> {
        let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
        (x.len() == length && y.len() == length).then(|| [&[4], &*x, &*y].concat())
    }
}

fn bytes(member: &Value) -> Option<Vec<u8>> {
    BASE64URL.decode(member.as_str()?).ok()
}

/// Without leading zeros.
fn number(member: &Value) -> Option<Vec<u8>> {
    let bytes = bytes(member)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// The part of an id that is compared.
pub(super) fn cut(id: &str) -> &str {
    id.get(..id.floor_char_boundary(MAX_ID)).unwrap_or_default()
}
