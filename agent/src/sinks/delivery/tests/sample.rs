//! Things to send: an alert and a span, shared with the tests of the encoders, and a snapshot.

use tokenwatch_core::engine::{FindingCounts, Snapshot};
use tokenwatch_core::findings::{Code, Severity};

#[path = "../../../../otlp/src/tests/sample.rs"]
mod records;

pub(crate) use records::{alert, span};

/// Every code as a finding, at every severity.
pub(crate) fn snapshot() -> Snapshot {
    let all =
        Code::ALL.iter().flat_map(|code| Severity::ALL.map(|severity| ((*code, severity), 1)));
    let findings = FindingCounts { by_code: all.collect(), ..FindingCounts::default() };
    Snapshot { findings, ..Snapshot::default() }
}
