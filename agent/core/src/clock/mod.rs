//! The node's clock against the world: exchange samples to an agreed offset and bound, and what state that makes it.

mod model;
mod types;

pub use model::{ClockFinding, ClockModel, Estimate, Limits, ServerReport};
pub use types::{Agreement, ClockState, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, ServerName, Step, Vote};
