//! The node's clock against the world: exchange samples to an agreed offset and bound, and what
//! state that makes it.
//!
//! True time is kept relative to a clock that nobody can set or slew: when the wall clock is
//! stepped or slewed, the offset follows at once.

mod bound;
mod drift;
mod findings;
mod intersection;
mod leap;
mod memory;
mod model;
mod spans;
mod types;

pub use bound::HARDWARE_PPM;
pub use findings::ClockFinding;
pub use model::{ClockModel, Estimate, Limits, ServerReport, VouchedBy};
pub use types::{
    Agreement, ClockState, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, ServerName,
    Step, Vote,
};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
