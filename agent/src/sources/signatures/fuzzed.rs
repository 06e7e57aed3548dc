//! Any bytes as the keys that an API server publishes.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::keys::KeySet;
use tokenwatch_core::world::tokens::{Decoded, Scratch, SignatureResult, decode};

use super::{Jwk, Jwks, MAX_KEYS, SharedKeys, Signed};

/// A token whose key is in no seed.
const TOKEN: &[u8] = include_bytes!("testdata/rsa.token");

/// No key fits what it did not sign, and what is kept of the keys is bounded.
pub(crate) fn jwks(bytes: &[u8]) {
    let Ok(keys) = serde_json::from_slice::<Jwks>(bytes) else { return };
    let ids = keys.keys.iter().filter_map(Jwk::id).map(ToOwned::to_owned);
    if let Some(set) = KeySet::new(Some("https://kubernetes.default.svc"), ids) {
        let json = serde_json::to_vec(&set).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<KeySet>(&json).ok().as_ref(), Some(&set));
    }
    let shared = SharedKeys::default();
    shared.take(&keys, Wall::from_secs(1));
    shared.take(&keys, Wall::from_secs(2));
    let ring = shared.current();
    assert!(ring.held.len() <= MAX_KEYS.max(keys.keys.len()));
    let mut scratch = Scratch::new();
    if let Decoded::Token(token) = decode(TOKEN, &mut scratch) {
        let seen = ring.check(Signed::of(TOKEN, &token)).map(|signature| signature.result);
        assert_ne!(seen, Some(SignatureResult::Verified), "{keys:?}");
    }
}
