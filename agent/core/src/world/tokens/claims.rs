//! What a service-account token says about itself (kubernetes pkg/serviceaccount/claims.go).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::time::Wall;

/// A Kubernetes object named in a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its name.
    pub name: String,
    /// Its UID; a node reference may lack one.
    pub uid: Option<String>,
}

/// What a token is bound to: the private claims `kubernetes.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `kubernetes.io.namespace`
    pub namespace: String,
    /// `kubernetes.io.serviceaccount`
    pub service_account: ObjectRef,
    /// `kubernetes.io.pod`: missing in a token that is not bound to a pod.
    pub pod: Option<ObjectRef>,
    /// `kubernetes.io.node`
    pub node: Option<ObjectRef>,
}

/// The claims of one generation of a bound service-account token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`: `system:serviceaccount:<namespace>:<name>`
    pub subject: String,
    /// `aud`, always a list here.
    pub audiences: Vec<String>,
    /// `iat`
    pub issued_at: Wall,
    /// `nbf`; equals `iat` in what the API server signs, and is taken from there when it is
    /// missing.
    pub not_before: Wall,
    /// `exp`: a year away for an extended token. What kubelet thinks in is
    /// [`super::Deadlines::effective`].
    pub expires_at: Wall,
    /// `kubernetes.io.warnafter`: present only when the expiry was extended.
    pub warn_after: Option<Wall>,
    /// `jti` hashed, or nothing before Kubernetes 1.30: names the generation without naming the
    /// credential.
    pub credential: Option<String>,
    /// What it is bound to.
    pub binding: Binding,
    /// `kid` of the header: which key signed.
    pub key_id: Option<String>,
}

impl Claims {
    /// Which generation of its volume's token this is. Rotation is a change of this, never of an
    /// mtime.
    pub fn generation(&self) -> GenerationId {
        GenerationId::of(self.credential.as_deref(), self.issued_at)
    }
}

/// One generation of one token: opaque, stable over restarts of the agent, and nothing of the token
/// in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationId(String);

impl GenerationId {
    fn of(credential: Option<&str>, issued_at: Wall) -> Self {
        match credential {
            Some(hashed) => Self(hashed.to_owned()),
            None => Self(format!("iat-{}", issued_at.as_secs())),
        }
    }

    /// As text, for telemetry.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The opaque form of a `jti`, in hex.
pub(super) fn opaque(jti: &str) -> String {
    crate::base::ids::hex(&digest(jti))
}

/// The first 16 bytes of SHA-256 under a fixed prefix. One way, and the same on every node.
pub(super) fn digest(jti: &str) -> [u8; 16] {
    let whole = Sha256::new().chain_update(b"tokenwatch/jti/1\0").chain_update(jti).finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}
