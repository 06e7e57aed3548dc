//! The agent's own privileges: its privilege level, and what it cannot see at that level.

use serde::{Deserialize, Serialize};

/// A privilege level. Each level includes the one before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// The agent sees token files and the clock (CAP_DAC_READ_SEARCH).
    #[default]
    #[serde(rename = "files")]
    Files,
    /// It also sees the node's processes, their mounts and their connections (`hostPID`).
    #[serde(rename = "hostPID")]
    HostPid,
    /// It also sees which process opens which file (fanotify(7), CAP_SYS_ADMIN).
    #[serde(rename = "fanotify")]
    Fanotify,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 3] = [Self::Files, Self::HostPid, Self::Fanotify];

    /// The name in the chart, in telemetry and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::HostPid => "hostPID",
            Self::Fanotify => "fanotify",
        }
    }

    /// What the agent cannot see at this level, and could see at a higher one.
    pub fn unseen(self) -> Option<&'static str> {
        match self {
            Self::Files => Some(
                "which containers of a pod use a token, whether one still has an old copy of its \
                 volume mounted, and whether a pod is connected to the API server",
            ),
            Self::HostPid => {
                Some("which of the containers that mount a token's volume opened its file")
            }
            Self::Fanotify => None,
        }
    }
}

/// The privileges that the agent found at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Its privilege level.
    pub rung: Level,
    /// What is missing for that level, each with its consequence, for people.
    pub lacking: Vec<String>,
}
