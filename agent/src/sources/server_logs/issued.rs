//! The audit event of a TokenRequest of a kubelet: `create serviceaccounts/token`.
//!
//! At level RequestResponse it has the token that was issued, in `responseObject.status.token`. Of
//! the request, only three fields are read, and of these nothing is kept but a UID, a number and a
//! hash.

use serde::Deserialize;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::refusals::IssuedToken;
use tokenwatch_core::world::tokens::GenerationId;

use super::json::{JTI, Line, Text};
use crate::sources::logs::name::uid;

/// HTTP status of a request that created something.
const CREATED: i64 = 201;
/// The stage in which the annotation is complete.
const STAGE: &str = "ResponseComplete";
/// How the user name of a kubelet begins. A token that somebody else requests is not written to a
/// volume.
const KUBELET: &str = "system:node:";
/// Most audiences of a request. The field of a volume has one.
const MAX_AUDIENCES: usize = 16;

/// A TokenRequest (authentication.k8s.io/v1).
#[derive(Debug, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    audiences: Option<Vec<Text<'a>>>,
    expiration_seconds: u32,
    #[serde(borrow)]
    bound_object_ref: Bound<'a>,
}

#[derive(Debug, Deserialize)]
struct Bound<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
}

/// The token that this event shows, if it is one of a kubelet for a pod and the level of the audit
/// policy shows which.
pub(super) fn issued(line: &Line<'_>) -> Option<IssuedToken> {
    let object = line.object_ref.as_ref()?;
    let is_request = line.verb.0 == "create"
        && line.stage.0 == STAGE
        && object.resource.0 == "serviceaccounts"
        && object.subresource.0 == "token"
        && line.user.as_ref()?.username.0.starts_with(KUBELET)
        && line.response_status.as_ref()?.code == CREATED;
    let raw = line.request_object.filter(|_| is_request)?;
    let Request { spec } = serde_json::from_str(raw.get()).ok()?;
    let jti = line.annotations.as_ref()?.issued.as_ref()?.0.strip_prefix(JTI)?;
    let audiences = spec.audiences.unwrap_or_default();
    let fits = spec.bound_object_ref.kind.0 == "Pod" && audiences.len() <= MAX_AUDIENCES;
    let lifetime = Delta::from_secs(spec.expiration_seconds.into());
    let names: Vec<&str> = audiences.iter().map(|audience| &*audience.0).collect();
    fits.then_some(IssuedToken {
        pod_uid: uid(&spec.bound_object_ref.uid.0)?,
        request: IssuedToken::request_of(&names, lifetime),
        lifetime,
        generation: GenerationId::of_jti(jti),
        at: line.received()?,
    })
}
