//! What is known of one reader at one moment.

use super::generation::Kept;
use super::{Evidence, Habit, ReaderVerdict};
use crate::base::time::Wall;
use crate::world::cluster::PodRef;
use crate::world::tokens::{Exchange, TokenKey};

/// One reader of one token, for `tokenwatch readers` and the status page.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderView {
    /// The token.
    pub key: TokenKey,
    /// Its pod.
    pub pod: PodRef,
    /// Its container and program.
    pub who: Who,
    /// The generation that it read last. None if it never read one.
    pub held: Option<HeldGeneration>,
    /// Its last reads, oldest first, on the node's clock.
    pub reads: Vec<Wall>,
    /// How it reads.
    pub habit: Habit,
    /// What the agent concludes.
    pub verdict: ReaderVerdict,
    /// On which evidence.
    pub evidence: Vec<Evidence>,
    /// When the API server starts to refuse the generation that it holds, if that is not the
    /// current one.
    pub deadline: Option<Wall>,
    /// What limits the conclusion, for people.
    pub why: Option<String>,
}

/// Who reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The name of the container. None: it is one of several, or not known.
    pub container: Option<String>,
    /// The id of the container, if it is known.
    pub container_id: Option<String>,
    /// The name of the program, if it is known.
    pub program: Option<String>,
    /// The library that reads the token, with its version, if one is recognised.
    pub library: Option<String>,
}

/// A generation that a reader holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldGeneration {
    /// The id of the generation (`jti`, or one made of its claims).
    pub id: String,
    /// When it was issued.
    pub issued_at: Wall,
    /// When the API server starts to refuse it: `exp` and the leeway.
    pub dead_at: Wall,
    /// When a cluster without expiry extension would refuse it, if that is earlier.
    pub dead_without_extension: Option<Wall>,
    /// The service that exchanges it for another credential, if its audience shows one.
    pub exchange: Option<Exchange>,
    /// Whether it is the current one.
    pub is_current: bool,
}

impl HeldGeneration {
    /// Of a generation.
    pub fn of(kept: &Kept, is_current: bool) -> Self {
        Self {
            id: kept.id.as_str().to_owned(),
            issued_at: kept.issued_at,
            dead_at: kept.dead_at,
            dead_without_extension: kept.dead_without_extension,
            exchange: kept.exchange,
            is_current,
        }
    }

    /// When the last credential that the service issues for it ends, by that service's default.
    pub fn credential_ends_by(&self) -> Option<Wall> {
        Some(self.dead_at + self.exchange?.credential_life()?)
    }
}
