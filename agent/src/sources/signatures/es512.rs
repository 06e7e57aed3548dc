//! ES512 (RFC 7518, section 3.4): ECDSA with the curve P-521, which `ring` does not have.

use ecdsa::hazmat::verify_prehashed;
use p521::PublicKey;
use p521::ecdsa::Signature;
use ring::digest::{SHA512, digest};

/// Whether an uncompressed point (SEC 1, section 2.3.3) is on the curve.
pub(super) fn is_on_curve(point: &[u8]) -> bool {
    PublicKey::from_sec1_bytes(point).is_ok()
}

/// Whether a signature of this text fits the key: r and s, each of 66 bytes.
pub(super) fn verify(point: &[u8], text: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = PublicKey::from_sec1_bytes(point) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    verify_prehashed(&key.to_projective(), digest(&SHA512, text).as_ref(), &signature).is_ok()
}
