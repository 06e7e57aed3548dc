//! A JWT that is no token of Kubernetes.

use super::parsed::{MAX_NAME_LENGTH, audiences, cut, numeric_date};
use super::payload::Payload;
use crate::base::time::Wall;

/// What is shown of somebody else's JWT: nothing about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// `iss`
    pub issuer: Option<String>,
    /// `aud`
    pub audiences: Vec<String>,
    /// `exp`
    pub expires_at: Option<Wall>,
}

impl Foreign {
    pub(super) fn of(payload: &Payload<'_>) -> Self {
        Self {
            issuer: payload.iss.as_deref().map(|issuer| cut(issuer, MAX_NAME_LENGTH)),
            audiences: audiences(payload.aud.as_ref()),
            expires_at: numeric_date(payload.exp),
        }
    }
}
