//! The symptom of refused requests.

use super::Severity;
use crate::world::refusals::RefusedFacts;

/// The API servers on this node refuse requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectingSymptom {
    /// What is known of the requests, and of who sent them.
    pub facts: RefusedFacts,
    /// Its severity now.
    pub severity: Severity,
}
