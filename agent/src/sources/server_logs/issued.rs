//! The audit event of a TokenRequest of a kubelet: `create serviceaccounts/token`.
//!
//! At level RequestResponse it has the token that was issued, in `responseObject.status.token`. Of
//! the request, only three fields are read, and of these nothing is kept but a UID, a number and a
//! hash.

use serde::Deserialize;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::refusals::IssuedToken;
use tokenwatch_core::world::tokens::GenerationId;

use super::audit::{JTI, Line, Text};
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
    let is_request = is_request(line).unwrap_or_default();
    let raw = line.request_object.filter(|_| is_request)?;
    let Request { spec } = serde_json::from_str(raw.get()).ok()?;
    let jti = line.annotations.as_ref()?.issued.as_ref()?.0.strip_prefix(JTI)?;
    Some(IssuedToken {
        pod_uid: spec.pod()?,
        lifetime: spec.lifetime(),
        request: spec.hash()?,
        generation: GenerationId::of_jti(jti),
        at: line.received()?,
    })
}

/// Whether a kubelet got a token.
fn is_request(line: &Line<'_>) -> Option<bool> {
    let object = line.object_ref.as_ref()?;
    let is_of_token = object.resource.0 == "serviceaccounts" && object.subresource.0 == "token";
    let is_by_kubelet = line.user.as_ref()?.username.0.starts_with(KUBELET);
    let is_created = line.stage.0 == STAGE && line.response_status.as_ref()?.code == CREATED;
    Some(line.verb.0 == "create" && is_of_token && is_by_kubelet && is_created)
}

impl Spec<'_> {
    fn pod(&self) -> Option<String> {
        let bound = &self.bound_object_ref;
        uid(&bound.uid.0).filter(|_| bound.kind.0 == "Pod")
    }

    fn lifetime(&self) -> Delta {
        Delta::from_secs(self.expiration_seconds.into())
    }

    fn hash(&self) -> Option<String> {
        let audiences = self.audiences.as_deref().unwrap_or_default();
        let names: Vec<&str> = audiences.iter().map(|audience| &*audience.0).collect();
        let fits = names.len() <= MAX_AUDIENCES;
        fits.then(|| IssuedToken::request_of(&names, self.lifetime()))
    }
}
