//! Readers that keep a token which kubelet has replaced.

use super::{Evidence, Habit, HeldGeneration, Strength, Who};
use crate::base::time::Wall;

/// The reader of a token that keeps a replaced generation, on the strongest evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleReader {
    /// Its container and program.
    pub who: Who,
    /// Number of other readers of the token that keep one.
    pub others: usize,
    /// What it keeps.
    pub held: HeldGeneration,
    /// Its last read.
    pub since: Wall,
    /// When kubelet replaced what it keeps.
    pub rotated_at: Wall,
    /// How it reads.
    pub habit: Habit,
    /// On which evidence.
    pub evidence: Vec<Evidence>,
}

impl StaleReader {
    /// Whether the evidence shows more than a token that was not read again.
    pub fn is_confirmed(&self) -> bool {
        self.evidence.iter().any(|evidence| evidence.strength() > Strength::Hint)
    }
}

/// A container that has an old mount of a token's volume.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenMount {
    /// Its name, if it is known.
    pub container: Option<String>,
    /// Number of other containers with an old mount of the volume.
    pub others: usize,
    /// Where the container has it.
    pub mount_path: String,
    /// The last token in it, as far as the agent knows.
    pub held: HeldGeneration,
    /// Since when the agent sees it.
    pub since: Wall,
}
