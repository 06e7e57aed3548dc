//! The evidence for a statement about a reader, and what follows from it.

use serde::{Deserialize, Serialize};

/// How much a piece of evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// It fits, and much else would fit, too.
    Hint,
    /// Little else explains it.
    Likely,
    /// It was seen.
    Certain,
}

impl Strength {
    /// The name in JSON and in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// Evidence that a reader keeps a token which kubelet has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// It read an earlier generation, and not the current one.
    NotReadAgain,
    /// It was not seen to read the current one, of which the agent missed the first moment.
    NotSeenAgain,
    /// Somebody holds an earlier generation: by an open descriptor or a mapping.
    Holds,
    /// It read an earlier generation after kubelet had replaced it.
    ReadsOld,
    /// The API server accepted a request with an earlier generation, long after kubelet had
    /// replaced it (audit log).
    Audit,
    /// It has been connected to the API server for longer than a client that only watches needs
    /// to read the token again.
    Connected,
    /// It opened a connection to the API server, and had not read the token for longer than a
    /// client keeps it.
    NewConnection,
    /// It sends requests to the API server, and had not read the token for longer than a client
    /// keeps it.
    Requests,
    /// In earlier generations it kept its token, too.
    LearnedHabit,
}

impl Evidence {
    /// The name in JSON and in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotReadAgain => "not_read_again",
            Self::NotSeenAgain => "not_seen_again",
            Self::Holds => "holds_old_generation",
            Self::ReadsOld => "reads_old_generation",
            Self::Audit => "audit",
            Self::Connected => "connected",
            Self::NewConnection => "new_connection",
            Self::Requests => "sends_requests",
            Self::LearnedHabit => "learned_habit",
        }
    }

    /// How much it proves.
    pub fn strength(self) -> Strength {
        match self {
            Self::NotReadAgain | Self::NotSeenAgain | Self::Holds => Strength::Hint,
            Self::Connected | Self::NewConnection | Self::Requests | Self::LearnedHabit => {
                Strength::Likely
            }
            Self::ReadsOld | Self::Audit => Strength::Certain,
        }
    }
}

/// What the agent concludes about a reader.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ReaderVerdict {
    /// It has read the current generation.
    Current,
    /// It has never read the token.
    NeverRead,
    /// It has not read the current generation yet, and still has time.
    Waiting,
    /// It has not read the current generation, and does not use the old one.
    Idle,
    /// It keeps a generation that kubelet has replaced.
    Stale,
    /// The agent cannot tell.
    #[default]
    Unknown,
}

impl ReaderVerdict {
    /// Every verdict.
    pub const ALL: [Self; 6] =
        [Self::Current, Self::NeverRead, Self::Waiting, Self::Idle, Self::Stale, Self::Unknown];

    /// The name in JSON, telemetry and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::NeverRead => "never_read",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}
