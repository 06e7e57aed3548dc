//! Findings: code, severity, subject, evidence and remedy. The list of codes is closed.

mod catalogue;
mod cause;
mod key_symptom;
mod posture_symptom;
mod rejecting_symptom;
mod runbook;
mod symptom;
pub mod wording;

pub use catalogue::{Code, CodeInfo};
pub use cause::CauseId;
pub use key_symptom::{IssuerSymptom, KeySymptom, TokenGroup};
pub use posture_symptom::{PostureFault, PostureItem, PostureSymptom};
pub use rejecting_symptom::RejectingSymptom;
pub use runbook::{Runbook, Step};
pub use symptom::{
    Affected, ClockFault, ClockSymptom, CopyFault, CopySymptom, EmptyVolumes, KubeletSymptom,
    MAX_NAMED, PodEnd, ShownBy, SkewEffect, SkewSymptom, StallSign, TokenFault, TokenSymptom,
    WrongClock,
};
pub use wording::{Resolution, resolved};
pub(crate) use wording::{UNSYNCED_SINCE, WITHOUT_EXTENSION, is_unsynced};

use serde::{Deserialize, Serialize};

use crate::base::ids::{TraceContext, stable_id};
use crate::base::time::Wall;
use crate::base::value::{Attributes, Value};
use crate::world::cluster::PodRef;
use crate::world::tokens::TokenKey;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing fails. No action is needed now.
    Info,
    /// Something will fail if nothing changes.
    Warning,
    /// Something fails now, or within minutes.
    Critical,
}

impl Severity {
    /// Every severity, lowest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The lower-case name in JSON, telemetry and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The subject of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One token file of one pod.
    Token {
        /// The pod.
        pod: PodRef,
        /// The volume's name.
        volume: String,
        /// The path of the file in the volume.
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
    /// A file on the host that holds copies of tokens.
    File {
        /// The node's name.
        node: String,
        /// The path of the file on the host.
        path: String,
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

    /// The key of the token, if the subject is a token.
    pub fn token_key(&self) -> Option<TokenKey> {
        match self {
            Self::Token { pod, volume, path } => Some(TokenKey {
                pod_uid: pod.uid.clone(),
                volume: volume.clone(),
                path: path.clone(),
            }),
            Self::Node { .. } | Self::Server { .. } | Self::File { .. } => None,
        }
    }

    /// The pod, if the subject is a token.
    pub fn pod(&self) -> Option<&PodRef> {
        match self {
            Self::Token { pod, .. } => Some(pod),
            Self::Node { .. } | Self::Server { .. } | Self::File { .. } => None,
        }
    }

    /// The UID of the pod, if the subject is a token.
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod().map(|pod| pod.uid.as_str())
    }

    /// The key for sorting: namespace and name as far as they are known, then the other parts.
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
            Self::File { node, path } => [node, path, "", "", ""],
        }
    }

    /// The parts that identify the subject. Names that become known later do not change it.
    fn identity(&self) -> [&str; 4] {
        match self {
            Self::Token { pod, volume, path } => ["token", &pod.uid, volume, path],
            Self::Node { .. } => ["node", "", "", ""],
            Self::Server { server } => ["server", server, "", ""],
            Self::File { path, .. } => ["file", path, "", ""],
        }
    }
}

/// What to do about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The action, in sentences.
    pub text: String,
    /// A command to paste, if there is one.
    pub command: Option<String>,
}

/// The id of a finding, derived from the family of its code, its subject and the node. It is the
/// same over time, while the finding gets worse, and after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingId(pub String);

/// The evidence that names whose clock is wrong.
pub(crate) const WRONG: &str = "wrong";
/// The evidence that names a container of the pod.
pub(crate) const CONTAINER: &str = "container";
/// The evidence that counts the readers that a finding is about and does not name.
pub(crate) const OTHER_READERS: &str = "other_readers";

/// One thing that is wrong at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its code.
    pub code: Code,
    /// Its severity now.
    pub severity: Severity,
    /// Its subject.
    pub subject: Subject,
    /// One or more sentences for people. Times such as "expires in 8.0s" are relative to the moment
    /// of the diagnosis.
    pub summary: String,
    /// When requests start to fail, if that is known. For a token that is not valid yet, when they
    /// stop failing. For one whose expiry is extended, when it goes stale.
    pub deadline: Option<Wall>,
    /// The facts behind it.
    pub evidence: Attributes,
    /// What to do about it.
    pub remedy: Remedy,
    /// The trace of the token that it is about.
    pub trace: Option<TraceContext>,
}

impl Finding {
    /// The id of this finding on `node`.
    pub fn id(&self, node: &str) -> FindingId {
        let [kind, a, b, c] = self.subject.identity();
        FindingId(stable_id("finding", &[node, self.code.family(), kind, a, b, c]))
    }

    /// The only container that it is about. None: it is about several, or does not name one.
    pub fn only_container(&self) -> Option<&str> {
        let is_one = self.evidence.get(OTHER_READERS) == Some(&Value::Int(0));
        self.evidence.get(CONTAINER).filter(|_| is_one).and_then(Value::text)
    }
}
