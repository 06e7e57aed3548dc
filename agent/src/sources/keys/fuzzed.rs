//! Any bytes as the keys and the discovery document of an API server.

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::keys::{KeysAnswer, KeysSeen};
use tokenwatch_core::world::observation::Observation;

use super::published::parsed;
use crate::sources::fuzzed::taken;

/// A key, for which the discovery document is any bytes.
const KEYS: &[u8] = br#"{"keys": [{"kid": "key-1"}]}"#;
/// The most ids of one answer (`KeySet`), and the longest.
const MAX_IDS: usize = 128;
const MAX_TEXT: usize = 512;

/// Keys without a discovery document, and a discovery document with a key.
pub(in crate::sources) fn published(input: &[u8], body: &[u8]) {
    for (keys, discovery) in [(body, &b""[..]), (KEYS, body)] {
        let set = parsed(keys, discovery).map(|(set, _)| set);
        if let Ok(set) = &set {
            assert!((1..=MAX_IDS).contains(&set.ids.len()), "{set:?}");
            let texts = set.ids.iter().chain(&set.issuer);
            texts.for_each(|text| assert!(text.len() <= MAX_TEXT, "{set:?}"));
        }
        let answer =
            |set| KeysSeen { sent: Reading::default(), answer: KeysAnswer::Published(set) };
        taken(input, set.map(answer).map(Observation::Keys));
    }
}
