//! `tokenwatch config`: the effective configuration, or every mistake in it.

use crate::config::{Loaded, effective};
use crate::environment::Environment;

use super::output;

/// Shows it. That it could be loaded at all means there is no mistake.
pub(super) fn report(loaded: &Loaded, environment: &Environment) -> u8 {
    output::say(&effective(loaded, environment));
    0
}
