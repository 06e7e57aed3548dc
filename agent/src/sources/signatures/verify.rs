//! One signature and one key.

use base64::Engine as _;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED as P256, ECDSA_P384_SHA384_FIXED as P384, EcdsaVerificationAlgorithm,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use tokenwatch_core::world::tokens::Unsupported;
use zeroize::Zeroize as _;

use super::jwk::{BASE64URL, PublicKey};
use super::{Signed, es512};

/// The longest signature: that of an RSA key of 8,192 bits, and what the decoder may take more.
const MAX_SIGNATURE: usize = 1_024 + 3;

/// Whether a signature fits a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    Yes,
    No,
    /// The agent cannot tell.
    Unknown(Unsupported),
}

/// The algorithms of API servers (signerFromRSAPrivateKey and signerFromECDSAPrivateKey in
/// pkg/serviceaccount/jwt.go).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
    Es384,
    Es512,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "ES512" => Some(Self::Es512),
            _ => None,
        }
    }
}

impl PublicKey {
    /// Whether the signature fits this key. A key of another kind than that of the algorithm fits
    /// nothing.
    pub(super) fn fits(&self, signed: Signed<'_>) -> Fits {
        let Some(algorithm) = Algorithm::named(signed.algorithm) else {
            return Fits::Unknown(Unsupported::Algorithm);
        };
        match (self, algorithm) {
            (Self::Unusable(why), _) => Fits::Unknown(*why),
            (Self::Rsa { n, e }, Algorithm::Rs256) => rsa(n, e, signed.token),
            (Self::P256(point), Algorithm::Es256) => ecdsa(&P256, point, signed.token),
            (Self::P384(point), Algorithm::Es384) => ecdsa(&P384, point, signed.token),
            (Self::P521(point), Algorithm::Es512) => es512(point, signed.token),
            (Self::Rsa { .. } | Self::P256(_) | Self::P384(_) | Self::P521(_), _) => Fits::No,
        }
    }
}

fn rsa(n: &[u8], e: &[u8], token: &[u8]) -> Fits {
    let key = RsaPublicKeyComponents { n, e };
    verified(token, |text, signature| {
        key.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature).is_ok()
    })
}

fn ecdsa(algorithm: &'static EcdsaVerificationAlgorithm, point: &[u8], token: &[u8]) -> Fits {
    let key = UnparsedPublicKey::new(algorithm, point);
    verified(token, |text, signature| key.verify(text, signature).is_ok())
}

fn es512(point: &[u8], token: &[u8]) -> Fits {
    verified(token, |text, signature| es512::verify(point, text, signature))
}

/// Decodes the signature into a buffer that is wiped.
fn verified(token: &[u8], verify: impl FnOnce(&[u8], &[u8]) -> bool) -> Fits {
    let Some(dot) = token.iter().rposition(|byte| *byte == b'.') else { return Fits::No };
    let mut buffer = [0; MAX_SIGNATURE];
    let decoded = BASE64URL.decode_slice(&token[dot + 1..], &mut buffer);
    let fits = decoded.is_ok_and(|length| verify(&token[..dot], &buffer[..length]));
    buffer.zeroize();
    if fits { Fits::Yes } else { Fits::No }
}
