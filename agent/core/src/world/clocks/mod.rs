//! The node's clock against the world: exchange samples to an agreed offset and bound, and what
//! state that makes it.
//!
//! True time is kept relative to a clock that nobody can set or slew: when the wall clock is
//! stepped or slewed, the offset follows at once.

mod bound;
mod drift;
mod facts;
mod intersection;
mod leap;
mod model;
mod peer;
mod types;

pub use bound::HARDWARE_PPM;
pub use facts::ClockFacts;
pub use model::{ClockModel, Estimate, Limits, ServerReport, TimeSource};
pub use types::{
    Agreement, ClockState, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, ServerName,
    Step, Vote,
};

pub(crate) use bound::Range;
pub(crate) use intersection::Selection;
pub(crate) use model::Belief;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
