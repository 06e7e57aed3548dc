//! How long a token lasts, for people.

use crate::base::time::{Delta, Wall};
use crate::world::tokens::Generation;

pub(super) fn time_left(generation: &Generation, now: Wall) -> String {
    let effective = generation.deadlines.effective;
    let left = effective - now;
    match (generation.claims.warn_after.is_some(), left > Delta::ZERO) {
        (false, false) => format!("It expired {} ago, and requests with it get 401.", -left),
        (false, true) => format!("It expires in {left}, at {}.", effective.rfc3339()),
        (true, true) => format!(
            "It goes stale in {left}, at {}. After that it works only because the API server \
             extends its expiry.",
            effective.rfc3339()
        ),
        (true, false) => format!(
            "It went stale {} ago and works only because the API server extends its expiry.",
            -left
        ),
    }
}
