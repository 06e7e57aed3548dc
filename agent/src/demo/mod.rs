//! A whole node in one process: a kubelet-like writer, time servers that go wrong, a collector that
//! draws what it receives. The agent that watches this node is the real one.
//!
//! The surroundings are pieces of [`tokenwatch_lab`]. [`script`] lists what happens and when,
//! [`stage`] and [`time_servers`] do it, [`playback`] keeps the time. [`story`] lists what must
//! arrive, [`traces`] assembles spans, [`arrivals`] keeps account of both. [`drawing`], [`axis`],
//! [`entry`] and [`paint`] turn values into text, [`screen`] writes it, [`show`] runs the demo.

mod arrivals;
mod axis;
mod closing;
mod drawing;
mod entry;
mod outcome;
mod paint;
mod plan;
mod playback;
mod screen;
mod script;
mod show;
mod stage;
mod story;
mod time_servers;
mod traces;

pub use outcome::{Error, Outcome};
pub use plan::{AgentEnd, AgentFault, AgentPlan, Collector, Options};
pub use screen::Look;
pub use show::demo;
