//! That the engine judges each token as the API server does: an oracle of its own, without the
//! saturating arithmetic of the core.

use tokenwatch_core::base::time::{Interval, Reading, Wall};
use tokenwatch_core::engine::{Engine, TokenView};
use tokenwatch_core::world::tokens::{Claims, Verdict};

/// The leeway of the API server, in nanoseconds (go-jose's `DefaultLeeway`, one minute).
const LEEWAY: i128 = 60 * 1_000_000_000;

/// Every verdict follows from the claims and from the interval that contains true time.
pub(crate) fn assert_verdicts(engine: &Engine, now: &Reading) {
    let interval = engine.clock(now).interval(now.wall);
    for TokenView { claims, verdict, .. } in engine.tokens(now) {
        assert_eq!(verdict, expected(&claims, &interval), "{claims:?} at {interval:?}");
    }
}

/// Whether the API server refuses the token at every moment of the interval, for certain.
pub(crate) fn is_refused(claims: &Claims, Interval { lo, hi }: &Interval) -> bool {
    nanos(*lo) > nanos(claims.expires_at) + LEEWAY || nanos(*hi) < nanos(claims.not_before) - LEEWAY
}

fn expected(claims: &Claims, interval: &Interval) -> Verdict {
    if is_refused(claims, interval) {
        return Verdict::Dead;
    }
    let is_live = claims.not_before <= interval.lo && interval.hi < claims.expires_at;
    if is_live { Verdict::Live } else { Verdict::Uncertain }
}

fn nanos(at: Wall) -> i128 {
    at.as_nanos().into()
}
