//! Facts to findings; one root cause suppresses its symptoms.
