//! The id that the API server derives from a key: SHA-256 over the DER of its
//! SubjectPublicKeyInfo, in base64url (keyIDFromPublicKey in pkg/serviceaccount/jwt.go).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::jwk::PublicKey;

/// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// AlgorithmIdentifier of an RSA key (RFC 3279, section 2.3.1).
const RSA: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// AlgorithmIdentifier of a key of P-256 (RFC 5480, section 2.1.1).
const P256: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// AlgorithmIdentifier of a key of P-384.
const P384: [u8; 18] = [
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
/// AlgorithmIdentifier of a key of P-521.
const P521: [u8; 18] = [
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x23,
];

/// The id that the API server gives to this key.
pub(super) fn key_id(key: &PublicKey) -> Option<String> {
    let der = match key {
        PublicKey::Rsa { n, e } => {
            let key = element(SEQUENCE, &[integer(n), integer(e)].concat());
            info(&RSA, &key)
        }
        PublicKey::P256(point) => info(&P256, point),
        PublicKey::P384(point) => info(&P384, point),
        PublicKey::P521(point) => info(&P521, point),
        PublicKey::Unusable(_) => return None,
    };
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(der)))
}

fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], key].concat()); // no unused bits
    element(SEQUENCE, &[algorithm, &bits].concat())
}

/// A positive number: with a zero in front where the first bit would make it negative.
fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, number].concat())
}

/// Tag, length and content. No key is longer than 65,535 bytes.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let length: &[u8] = match (high, low) {
        (0, 0..0x80) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, content].concat()
}
