//! The claims of a bound service-account token: RFC 7519, and Kubernetes' private claims
//! (pkg/serviceaccount/claims.go, KEP-1205 and KEP-4193).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::time::{Delta, Wall};

/// A Kubernetes object that a token names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its name.
    pub name: String,
    /// Its UID. A node reference has none if the Node object was missing when the token was issued.
    pub uid: Option<String>,
}

/// The objects that a token is bound to: the private claim `kubernetes.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `kubernetes.io.namespace`
    pub namespace: String,
    /// `kubernetes.io.serviceaccount`
    pub service_account: ObjectRef,
    /// `kubernetes.io.pod`. Absent from a token that is not bound to a pod.
    pub pod: Option<ObjectRef>,
    /// `kubernetes.io.secret`. No recording has it where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectRef>,
    /// `kubernetes.io.node`, from Kubernetes 1.30 on (KEP-4193). Beside a pod it is for information
    /// only: the API server does not check it.
    pub node: Option<ObjectRef>,
}

/// The claims of one generation of a bound service-account token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`: `system:serviceaccount:<namespace>:<name>`
    pub subject: String,
    /// `aud`, as a list also where the claim is a single string.
    pub audiences: Vec<String>,
    /// `iat`
    pub issued_at: Wall,
    /// `nbf`, or `iat` where it is absent. The API server signs both with the same time.
    pub not_before: Wall,
    /// `exp`. An extended token has it one year after `iat`; kubelet uses
    /// [`super::Deadlines::effective`] instead.
    pub expires_at: Wall,
    /// `kubernetes.io.warnafter`. Present only where the API server extended the expiry.
    pub warn_after: Option<Wall>,
    /// The hash of `jti`: it identifies the generation without revealing the credential's id.
    /// Absent before Kubernetes 1.30 (KEP-4193).
    pub credential: Option<String>,
    /// The objects that the token is bound to.
    pub binding: Binding,
    /// The key that signed the token, by the header.
    #[serde(flatten)]
    pub key: SigningKey,
}

/// The key that signed a token, as the token's header has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// `kid`
    #[serde(rename = "key_id")]
    pub id: Option<String>,
    /// Whether `typ` is there. The API server itself signs without it, and a signer outside of the
    /// API server must set it (KEP-740).
    #[serde(default, rename = "key_is_external", skip_serializing_if = "std::ops::Not::not")]
    pub is_external: bool,
}

/// The object whose deletion ends a token early. The API server checks one of them (KEP-1205,
/// KEP-4193).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<'a> {
    /// A pod, as every token in a projected volume.
    Pod(&'a ObjectRef),
    /// A Secret.
    Secret(&'a ObjectRef),
    /// A Node.
    Node(&'a ObjectRef),
    /// No object, as from `kubectl create token` without `--bound-object-kind`.
    Nothing,
}

impl Bound<'_> {
    /// The kind of the object, for scripts.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::Pod(_) => Some("pod"),
            Self::Secret(_) => Some("secret"),
            Self::Node(_) => Some("node"),
            Self::Nothing => None,
        }
    }
}

impl Binding {
    /// What the token is bound to.
    pub fn bound(&self) -> Bound<'_> {
        match (&self.pod, &self.secret, &self.node) {
            (Some(pod), _, _) => Bound::Pod(pod),
            (None, Some(secret), _) => Bound::Secret(secret),
            (None, None, Some(node)) => Bound::Node(node),
            (None, None, None) => Bound::Nothing,
        }
    }

    /// Whether kubelet may have requested the token, and so replaces it: it binds each to a pod.
    /// Every other token is replaced by whoever put it into the volume, as a Secret.
    pub fn is_of_kubelet(&self) -> bool {
        match self.bound() {
            Bound::Pod(_) => true,
            Bound::Secret(_) | Bound::Node(_) | Bound::Nothing => false,
        }
    }
}

/// The longest life that is usual: cloud services ask for a day, and kubelet replaces a token
/// after a day at the latest, so that a longer life serves nobody who reads it again.
pub const USUAL_LIFE: Delta = Delta::from_secs(172_800);

impl ObjectRef {
    fn bytes(&self) -> usize {
        self.name.len() + length(self.uid.as_ref())
    }
}

fn length(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

impl Claims {
    /// The memory of its texts, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let Binding { namespace, service_account, pod, secret, node } = &self.binding;
        let objects = [Some(service_account), pod.as_ref(), secret.as_ref(), node.as_ref()];
        let objects: usize = objects.into_iter().flatten().map(ObjectRef::bytes).sum();
        let audiences: usize =
            self.audiences.iter().map(|audience| size_of::<String>() + audience.len()).sum();
        let ids = length(self.credential.as_ref()) + length(self.key.id.as_ref());
        self.issuer.len() + self.subject.len() + namespace.len() + objects + audiences + ids
    }

    /// How long somebody asked the token to live. An extension of its expiry is the API server's.
    pub fn requested_life(&self) -> Delta {
        self.warn_after.unwrap_or(self.expires_at) - self.issued_at
    }

    /// The generation of the token. A rotation is a change of this id; the file's mtime does not
    /// count.
    pub fn generation(&self) -> GenerationId {
        GenerationId::of(self.credential.as_deref(), self.issued_at)
    }
}

/// The id of one generation of one token. It is the same after a restart of the agent, and contains
/// no part of the token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationId(String);

impl GenerationId {
    fn of(credential: Option<&str>, issued_at: Wall) -> Self {
        match credential {
            Some(hash) => Self(hash.to_owned()),
            None => Self(format!("iat-{}", issued_at.as_secs())),
        }
    }

    /// Of the token with this `jti`: as an audit log has it.
    pub fn of_jti(jti: &str) -> Self {
        Self(hashed(jti))
    }

    /// With another name in place of the hash, for a recording without names.
    pub(crate) fn renamed(&self, name: impl FnOnce(&str) -> String) -> Self {
        Self(name(&self.0))
    }

    /// As text, for telemetry.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The hash of a `jti`, in hex.
pub(super) fn hashed(jti: &str) -> String {
    crate::base::ids::hex(&digest(jti))
}

/// The first 16 bytes of SHA-256 over a fixed prefix and `jti`: irreversible, and the same on every
/// node.
pub(super) fn digest(jti: &str) -> [u8; 16] {
    let whole = Sha256::new().chain_update(b"tokenwatch/jti/1\0").chain_update(jti).finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}
