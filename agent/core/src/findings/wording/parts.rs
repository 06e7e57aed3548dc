//! What a finding about a token is made of.

use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::Remedy;

/// What a finding says, apart from its code, severity and subject.
pub(super) struct Parts {
    pub(super) summary: String,
    pub(super) deadline: Option<Wall>,
    pub(super) evidence: Attributes,
    pub(super) remedy: Remedy,
}
