//! Tokens: from the bytes of a file to claims and deadlines, and the token files of the node. The
//! token itself is never kept.

mod audience;
mod claims;
mod deadlines;
mod decode;
mod file;
mod left_out;
mod legacy;
mod signature;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod tracked;
mod verifiers;

pub use audience::{Exchange, is_for_api_server, telling_part};
pub use claims::{Binding, Bound, Claims, GenerationId, ObjectRef, SigningKey, USUAL_LIFE};
pub use deadlines::{CACHE, Deadlines, JITTER, KubeletPolicy, LEEWAY, State, Verdict, verdict};
pub use decode::{
    Decoded, Foreign, LegacyClaims, MAX_TOKEN_BYTES, Malformed, ParsedToken, Scratch,
    TokenIdentity, decode, foreign,
};
pub(crate) use decode::{kept_issuer, kept_name};
pub use file::{Absence, FileContent, FileSeen};
pub use left_out::LeftOut;
pub use legacy::{LegacyToken, MAX_LEGACY};
pub use signature::{Signature, SignatureResult, Unsupported};
pub use store::{MAX_TOKENS, Tokens};
pub use tracked::{Change, Generation, Replaced, Tracked, Trouble};
pub use verifiers::{KeyCache, Leeway, Verification};

use serde::{Deserialize, Serialize};

/// Begins the names of the volumes that the admission plugin adds to pods (TokenVolumeSource in
/// plugin/pkg/admission/serviceaccount). The rest is random for each pod.
pub const API_ACCESS: &str = "kube-api-access-";

/// The place of a token file on the node. It identifies the token in findings and traces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenKey {
    /// UID of the pod, from the path. The claims may name another UID.
    pub pod_uid: String,
    /// Name of the volume.
    pub volume: String,
    /// Path of the file inside the volume, as in the pod's spec: `token`, `vault/token`.
    pub path: String,
}

impl std::fmt::Display for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::base::text::shown;
        write!(f, "{}/{}/{}", shown(&self.pod_uid), shown(&self.volume), shown(&self.path))
    }
}

/// Claims for tests. `iat` is in seconds since the epoch; `lifetime` and `warn_after` are in
/// seconds after `iat`.
#[cfg(test)]
pub(crate) fn claims_for_tests(iat: i64, lifetime: i64, warn_after: Option<i64>) -> Claims {
    use crate::base::time::Wall;
    Claims {
        issuer: "https://kubernetes.default.svc".into(),
        subject: "system:serviceaccount:shop:cart".into(),
        audiences: vec!["https://kubernetes.default.svc".into()],
        issued_at: Wall::from_secs(iat),
        not_before: Wall::from_secs(iat),
        expires_at: Wall::from_secs(iat.saturating_add(lifetime)),
        warn_after: warn_after.map(|secs| Wall::from_secs(iat + secs)),
        credential: Some(format!("{iat:032x}")),
        binding: Binding {
            namespace: "shop".into(),
            service_account: ObjectRef { name: "cart".into(), uid: Some("sa-uid".into()) },
            pod: Some(ObjectRef { name: "cart-0".into(), uid: Some("pod-uid".into()) }),
            ..Binding::default()
        },
        key: SigningKey::default(),
    }
}
