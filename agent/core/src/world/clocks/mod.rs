//! The node's clock: from NTP samples and the kernel's report to an offset, an error bound and a
//! state.
//!
//! True time is kept relative to [`crate::base::time::Monotonic`], which nobody can set or slew.
//! When the wall clock is stepped or slewed, the offset therefore follows at once.

mod bound;
mod camps;
mod discipline;
mod drift;
mod estimate;
mod facts;
mod host;
mod intersection;
mod issued;
mod leap;
mod machine;
mod model;
mod overlap;
mod peer;
mod public;
mod served_by;
mod server;
mod types;
mod verifier;
mod votes;

pub use bound::HARDWARE_PPM;
pub use estimate::{Estimate, TimeSource};
pub use facts::ClockFacts;
pub use issued::IssuedClocks;
pub use machine::Machine;
pub use model::{ClockModel, Limits, ServerReport};
pub use server::{NotAServer, ServerName};
pub use types::{
    ClockState, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, Step, Vote,
};
pub use verifier::{DateSeen, VerifierClocks};

pub(crate) use bound::Range;
pub(crate) use camps::{Camp, camps, distance, within_a_leap_second};
pub(crate) use intersection::{Outcome, Selection};
pub(crate) use issued::IssuedClock;
pub(crate) use leap::Smear;
pub(crate) use verifier::VerifierClock;
pub(crate) use votes::Claim;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod votes_tests;
