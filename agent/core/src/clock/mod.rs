//! The node's clock against the world: exchange samples to an agreed offset and bound, and what state that makes it.
//!
//! True time is kept relative to the boot clock, which nobody can set: when the wall clock is stepped, the offset follows at once.

mod bound;
mod drift;
mod findings;
mod intersection;
mod memory;
mod model;
mod spans;
mod types;

pub use bound::{DISCIPLINED_PPM, FREE_RUNNING_PPM};
pub use findings::ClockFinding;
pub use model::{ClockModel, Estimate, Limits, ServerReport, VouchedBy};
pub use types::{Agreement, ClockState, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, ServerName, Step, Vote};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
