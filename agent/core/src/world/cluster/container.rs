//! The parts of a container that findings need, and the service-account tokens that it mounts.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its id, without the name of the runtime (`status.containerStatuses[].containerID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its image as in the pod's spec.
    pub image: String,
    /// Names of the projected volumes that it mounts.
    pub volumes: Vec<String>,
    /// When it was last started, if it runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Wall>,
    /// The tokens that it mounts, if it runs as long as the pod. Init containers end, unless they
    /// restart (KEP-753).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenMount>,
}

/// A token of the pod's spec, mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMount {
    /// Name of the volume.
    pub volume: String,
    /// Path of the token in the volume (`serviceAccountToken.path`).
    pub path: String,
    /// Where the container has the mount (`mountPath`).
    pub mount_path: String,
    /// How much of the volume is mounted there.
    pub part: MountedPart,
    /// The convention by which a client reads it there, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convention: Option<Convention>,
}

/// What shows who reads a token: a name that a kind of client is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The container's variable `AWS_WEB_IDENTITY_TOKEN_FILE` has its path: the SDKs of AWS give
    /// the token to STS.
    AwsWebIdentity,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` has it: they give it to the agent of EKS Pod
    /// Identity.
    AwsContainerAuthorization,
    /// `AZURE_FEDERATED_TOKEN_FILE` has it: the SDKs of Azure give it to Entra.
    AzureFederated,
    /// It is where clients of the API server look
    /// (`/var/run/secrets/kubernetes.io/serviceaccount/token`).
    InCluster,
    /// Its volume is `istio-token`: istio's agent gives it to istiod.
    IstioToken,
    /// Its volume is `linkerd-identity-token`: linkerd's proxy gives it to the identity service.
    LinkerdIdentity,
    /// The pod's annotation `vault.hashicorp.com/agent-inject`, and the container is Vault's agent:
    /// it gives it to Vault.
    VaultAgent,
}

impl Convention {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::AwsWebIdentity,
        Self::AwsContainerAuthorization,
        Self::AzureFederated,
        Self::InCluster,
        Self::IstioToken,
        Self::LinkerdIdentity,
        Self::VaultAgent,
    ];

    /// What shows it: a variable, the name of a volume, a directory, or an annotation.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AwsWebIdentity => "AWS_WEB_IDENTITY_TOKEN_FILE",
            Self::AwsContainerAuthorization => "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            Self::AzureFederated => "AZURE_FEDERATED_TOKEN_FILE",
            Self::InCluster => "/var/run/secrets/kubernetes.io/serviceaccount",
            Self::IstioToken => "istio-token",
            Self::LinkerdIdentity => "linkerd-identity-token",
            Self::VaultAgent => "vault.hashicorp.com/agent-inject",
        }
    }
}

/// How much of a volume a container mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountedPart {
    /// The volume. The container sees every new token.
    Whole,
    /// The token's file, by `subPath`. The container keeps the token of its start.
    File,
    /// A directory in the volume, by `subPath`. kubelet deletes the files in it with the next
    /// rotation.
    Directory,
}
