//! The closed vocabulary of what can be wrong: code, severity, subject, evidence, remedy.

mod catalogue;
mod runbook;
mod symptom;
pub mod wording;

pub use catalogue::{Code, CodeInfo};
pub use runbook::{Runbook, Step};
pub use symptom::{Affected, ClockFault, ClockSymptom, TokenFault, TokenSymptom};
pub use wording::{Resolution, resolved};

use serde::{Deserialize, Serialize};

use crate::base::ids::{TraceContext, stable_id};
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::world::cluster::PodRef;
use crate::world::tokens::TokenKey;

/// How bad, in the words alerts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nobody is woken.
    Info,
    /// Will fail if nothing changes.
    Warning,
    /// Fails now or within minutes.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Lower-case name, as in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One token file of one pod.
    Token {
        /// The pod.
        pod: PodRef,
        /// The volume's name.
        volume: String,
        /// The file in the volume.
        path: String,
    },
    /// The node: its clock, or what the agent on it cannot see or deliver.
    Node {
        /// The node's name.
        node: String,
    },
    /// A time server.
    Server {
        /// Its name as configured, with its address.
        server: String,
    },
}

impl Subject {
    /// The subject for a token.
    pub fn token(key: &TokenKey, pod: PodRef) -> Self {
        Self::Token { pod, volume: key.volume.clone(), path: key.path.clone() }
    }

    /// The subject for this node.
    pub fn node(name: &str) -> Self {
        Self::Node { node: name.to_owned() }
    }

    /// The token that it is about, if it is about one.
    pub fn token_key(&self) -> Option<TokenKey> {
        match self {
            Self::Token { pod, volume, path } => Some(TokenKey {
                pod_uid: pod.uid.clone(),
                volume: volume.clone(),
                path: path.clone(),
            }),
            Self::Node { .. } | Self::Server { .. } => None,
        }
    }

    /// The order in which people look for it: by namespace and name, the parts that are known.
    pub fn sort_key(&self) -> [&str; 5] {
        match self {
            Self::Token { pod, volume, path } => [
                pod.namespace.as_deref().unwrap_or(""),
                pod.name.as_deref().unwrap_or(""),
                &pod.uid,
                volume,
                path,
            ],
            Self::Node { node } => [node, "", "", "", ""],
            Self::Server { server } => [server, "", "", "", ""],
        }
    }

    /// What makes two subjects the same one, whatever else becomes known about them.
    fn identity(&self) -> [&str; 4] {
        match self {
            Self::Token { pod, volume, path } => ["token", &pod.uid, volume, path],
            Self::Node { .. } => ["node", "", "", ""],
            Self::Server { server } => ["server", server, "", ""],
        }
    }
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// A sentence.
    pub text: String,
    /// A command, where one exists.
    pub command: Option<String>,
}

/// Identifies one finding over time and over restarts: the same code about the same subject on the
/// same node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingId(pub String);

impl FindingId {
    /// A share of `delta` that is this finding's own: between nothing and all of it, and the same
    /// each time.
    pub fn share_of(&self, delta: Delta) -> Delta {
        let seed = self.0.get(..4).and_then(|hex| i64::from_str_radix(hex, 16).ok());
        delta.fraction(seed.unwrap_or(0), 1 << 16)
    }
}

/// One thing that is wrong, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which of the closed list.
    pub code: Code,
    /// How bad now.
    pub severity: Severity,
    /// About what.
    pub subject: Subject,
    /// A sentence that a tired person understands, with the time left at the moment it was
    /// written.
    pub summary: String,
    /// When it starts to hurt, if that is known.
    pub deadline: Option<Wall>,
    /// The facts it rests on.
    pub evidence: Attributes,
    /// What to do.
    pub remedy: Remedy,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

impl Finding {
    /// The id of this finding on `node`.
    pub fn id(&self, node: &str) -> FindingId {
        let [kind, a, b, c] = self.subject.identity();
        FindingId(stable_id("finding", &[node, self.code.as_str(), kind, a, b, c]))
    }
}
