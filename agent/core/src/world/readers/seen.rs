//! Observations of who reads tokens: opens of their files, and the processes of a pod.

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Wall};

/// A report about who reads the tokens of one volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadersSeen {
    /// UID of the pod, from the path.
    pub pod_uid: String,
    /// Name of the volume.
    pub volume: String,
    /// What was seen.
    pub what: ReaderEvent,
}

/// What was seen of the readers of one volume. A directory is the one of a generation: the name
/// that `..data` leads to (`..2026_11_28_…`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderEvent {
    /// From now on every open in this directory is seen.
    Watching {
        /// The directory.
        directory: String,
        /// Whether every earlier open is seen, too: nobody could open a file in it before.
        complete: bool,
        /// If not: whether only a moment was missed. Nobody but a client that waits for the
        /// rotation reads in it, or one by coincidence.
        #[serde(default)]
        moment: bool,
    },
    /// A process that is neither kubelet nor the agent opened a file.
    Opened {
        /// The directory.
        directory: String,
        /// The path of the file in the volume, as in the pod's spec.
        path: String,
        /// The process, where it can be seen.
        by: Option<Opener>,
        /// How long ago it happened at most: a busy or stopped agent takes an event late. Zero in
        /// recordings of earlier agents.
        #[serde(default, skip_serializing_if = "Delta::is_zero")]
        within: Delta,
    },
    /// A process read a replaced generation through a descriptor that it had kept.
    ReadAgain {
        /// The directory, which kubelet has removed.
        directory: String,
        /// The path of the file in the volume, if it is known.
        path: Option<String>,
        /// The process, where it can be seen.
        by: Option<Opener>,
        /// How long ago it happened at most, as in `Opened`.
        #[serde(default, skip_serializing_if = "Delta::is_zero")]
        within: Delta,
    },
    /// How many replaced generations somebody still holds: by an open descriptor, a mapping, or a
    /// `subPath` mount. Zero: none.
    Held {
        /// Their number.
        generations: u32,
    },
    /// Opens may have been missed.
    Missed {
        /// For how long, until now.
        span: Delta,
        /// Why, for people.
        why: String,
    },
    /// Opens cannot be seen at all.
    Unseen {
        /// Why, for people.
        why: String,
    },
}

impl ReaderEvent {
    /// Notes how long ago an open or a read happened at most. Other events have no such time.
    pub fn set_within(&mut self, at_most: Delta) {
        match self {
            Self::Opened { within, .. } | Self::ReadAgain { within, .. } => *within = at_most,
            Self::Watching { .. }
            | Self::Held { .. }
            | Self::Missed { .. }
            | Self::Unseen { .. } => {}
        }
    }
}

/// A process that opened a token file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opener {
    /// The id of its container: 64 hexadecimal digits. None if it is in no container of a pod, or
    /// if it ended before the agent could look.
    pub container_id: Option<String>,
    /// Its process id, in the node's PID namespace.
    pub pid: u32,
    /// The name of its program, without arguments.
    pub program: Option<String>,
    /// Whether somebody started it in the container from outside: `kubectl exec`, or a probe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session: bool,
}

/// The processes of one pod. Each observation has the whole list, as far as the agent can know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainersSeen {
    /// UID of the pod, from the name of its cgroup.
    pub pod_uid: String,
    /// The containers that have a process. Empty: the pod has none that the agent can see.
    pub containers: Vec<RunningContainer>,
    /// Whether there may be others: the node has more processes, or the pod more containers, than
    /// the agent looks at. One that was listed before, and no longer is, has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Connections of the pod to the API server. None if the agent cannot know.
    pub connected: Option<Connected>,
}

/// A container that has a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningContainer {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// When its oldest process started, on the node's clock.
    pub started: Wall,
    /// The name of its oldest process.
    pub program: String,
    /// The token volumes that it mounts.
    pub mounts: Vec<SeenMount>,
    /// The library that reads the token, with its version, if one is recognised. A hint.
    pub library: Option<String>,
}

/// A token volume in a container, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMount {
    /// Name of the volume.
    pub volume: String,
    /// Where the container has the mount.
    pub mount_path: String,
    /// What is mounted there.
    pub kind: MountKind,
}

/// What a container has mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// The volume as the node has it now.
    Current,
    /// An older file system than the one that the node has now at the volume's path: kubelet
    /// mounted the volume again, and the container never sees another token.
    Frozen,
    /// One generation, by `subPath`.
    Subpath {
        /// Its directory.
        directory: String,
        /// The path of the file or directory in it. Empty: all of it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        path: String,
        /// Whether kubelet has removed it since.
        deleted: bool,
    },
}

/// The connections of a pod to the API server, or to another verifier of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// How many are established.
    pub established: u32,
    /// Set if one was opened since the last look, which was this long ago.
    pub opened: Option<Delta>,
    /// Whether the pod sent requests between the last two looks: it sent more data than a client
    /// that only watches, and it has no other connections.
    #[serde(default)]
    pub requests: bool,
}
