//! Tokens whose audience does not fit the client that reads them.

use crate::findings::{Severity, TokenFault, TokenSymptom};
use crate::world::{Facts, MisfitKind};

/// The symptom. What a verifier was configured with does not show: an audience that somebody may
/// have chosen is no more than a hint.
pub(super) fn symptom(facts: &Facts<'_>) -> Option<TokenSymptom> {
    let misfit = facts.verifier.misfit.filter(|_| !facts.stage.is_ending())?;
    let severity = match misfit.kind {
        MisfitKind::Chosen => Severity::Info,
        MisfitKind::Misspelt | MisfitKind::Refused => Severity::Warning,
    };
    Some(TokenSymptom { fault: TokenFault::Audience(misfit), severity })
}
