//! What a check of a token's signature shows. The check itself, and the bytes of the signature,
//! stay in the reader of token files.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;

/// The result of a check against the keys that API servers publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// What the check showed.
    pub result: SignatureResult,
    /// When the agent requested the last of the keys, on the node's clock.
    pub keys_at: Wall,
}

/// What a check of a signature shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureResult {
    /// It fits a published key that the token names; any published key, if it names none.
    Verified,
    /// No published key has the id that the token names; none fits, if it names none.
    NoSuchKey,
    /// It does not fit the published key that the token names, and the id of that key is a hash of
    /// the key. So no other key has this id, and no API server accepts the token.
    Damaged,
    /// It does not fit the published key that the token names. The id is not derived from the key:
    /// another API server, or a later set, may have another key of this id.
    OtherKey,
    /// The agent cannot check it.
    Unsupported(Unsupported),
}

/// Why the agent cannot check a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsupported {
    /// ES512, in recordings of versions of the agent that did not verify it.
    Es512,
    /// An RSA key of less than 2,048 or more than 8,192 bits.
    RsaSize,
    /// The published key is of another kind, or incomplete.
    Key,
    /// The token names an algorithm with which no API server signs.
    Algorithm,
}

impl SignatureResult {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NoSuchKey => "no_such_key",
            Self::Damaged => "damaged",
            Self::OtherKey => "other_key",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// What it means, for people: a sentence without its full stop.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Verified => "it fits a key that the API server publishes",
            Self::NoSuchKey => "the API server publishes no key that it could fit",
            Self::Damaged => NO_KEY_FITS,
            Self::OtherKey => ANOTHER_MAY_FIT,
            Self::Unsupported(why) => why.meaning(),
        }
    }
}

impl Unsupported {
    /// Why it was not checked, for people.
    fn meaning(self) -> &'static str {
        match self {
            Self::Es512 => NO_ES512,
            Self::RsaSize => RSA_SIZE,
            Self::Key => "not checked, because the API server publishes no usable key of this id",
            Self::Algorithm => "not checked, because no API server signs with its algorithm",
        }
    }
}

const NO_KEY_FITS: &str = "it does not fit the key that the token names, whose id is a hash of the \
                           key: the token was damaged or forged";
const ANOTHER_MAY_FIT: &str = "it does not fit the published key of this id; another key may have \
                               the same id, because the id is not derived from the key";
const NO_ES512: &str = "not checked, because the version of the agent that saw the token did not \
                        verify ES512";
const RSA_SIZE: &str = "not checked, because the RSA key has less than 2,048 or more than 8,192 \
                        bits";

/// Why a file with this signature is broken; none if nothing proves that it is.
pub(super) fn trouble(signature: Option<Signature>) -> Option<&'static str> {
    match signature?.result {
        SignatureResult::Damaged => Some(DAMAGED),
        SignatureResult::Verified
        | SignatureResult::NoSuchKey
        | SignatureResult::OtherKey
        | SignatureResult::Unsupported(_) => None,
    }
}

const DAMAGED: &str = "its signature does not fit the key that it names, which the API server \
                       publishes: it was damaged or forged after it was signed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_of_a_version_without_es512_is_read() {
        let seen: Signature =
            serde_json::from_str(r#"{"result": {"unsupported": "es512"}, "keys_at": 1}"#).unwrap();
        assert_eq!(seen.result, SignatureResult::Unsupported(Unsupported::Es512));
        assert!(seen.result.meaning().contains("the version of the agent"));
        assert_eq!(trouble(Some(seen)), None);
    }
}
