//! The agent's own privileges: how far up the ladder it stands, and what cannot be seen from there.

use serde::{Deserialize, Serialize};

/// A rung of the ladder; each has what the one below has.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Rung {
    /// Token files and the clock.
    #[default]
    #[serde(rename = "files")]
    Files,
    /// The node's processes as well.
    #[serde(rename = "hostPID")]
    HostPid,
    /// Who opens which file as well.
    #[serde(rename = "fanotify")]
    Fanotify,
}

impl Rung {
    /// Every rung, lowest first.
    pub const ALL: [Self; 3] = [Self::Files, Self::HostPid, Self::Fanotify];

    /// As the chart calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::HostPid => "hostPID",
            Self::Fanotify => "fanotify",
        }
    }

    /// What cannot be seen from here, and would be from further up.
    pub fn unseen(self) -> Option<&'static str> {
        match self {
            Self::Files => Some(
                "which processes use a token, and whether a container still has an old copy of \
                 its volume mounted",
            ),
            Self::HostPid => Some("which process reads a token file, at the moment it does"),
            Self::Fanotify => None,
        }
    }
}

/// What the agent found itself allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Where it stands.
    pub rung: Rung,
    /// What it lacks even for that, each with what follows.
    pub lacking: Vec<String>,
}
