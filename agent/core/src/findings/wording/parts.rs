//! Parts that several findings about tokens have.

use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::Remedy;
use crate::findings::cause::SERVICE_ACCOUNT;
use crate::world::Facts;
use crate::world::tokens::Generation;

/// The evidence that names the generation.
pub(crate) const GENERATION: &str = "generation";

/// The texts and facts of a finding, apart from its code, severity and subject.
pub(super) struct Parts {
    pub(super) summary: String,
    pub(super) deadline: Option<Wall>,
    pub(super) evidence: Attributes,
    pub(super) remedy: Remedy,
}

/// Whose token is in the file, and which one.
pub(super) fn identity(facts: &Facts<'_>) -> Attributes {
    facts.generation().map(identity_of).unwrap_or_default()
}

pub(super) fn identity_of(generation: &Generation) -> Attributes {
    let claims = &generation.claims;
    Attributes::new()
        .with(SERVICE_ACCOUNT, &claims.binding.service_account.name)
        .with("audiences", claims.audiences.as_slice())
        .with(GENERATION, claims.generation().as_str())
        .with("issued_at", claims.issued_at)
}
