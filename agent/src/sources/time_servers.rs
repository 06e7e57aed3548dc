//! Which time servers to ask when none is configured.
