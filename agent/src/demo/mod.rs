//! A whole node in one process: a kubelet-like writer, time servers that go wrong, a collector that
//! draws. The agent that runs against them is the real one.
//!
//! The pieces are those of [`tokenwatch_lab`]: `kubelet` writes volumes as kubelet does,
//! `signer` signs tokens as an API server does, `ntp_server` answers with a time that can be
//! dialled, `receiver` takes OTLP and hands on what was in it. [`script`] says what happens when,
//! [`stage`] does it, [`story`] knows what must be seen of it, [`drawing`] shows it, [`show`] runs
//! it all.

mod drawing;
mod paint;
mod screen;
mod script;
mod show;
mod stage;
mod story;
mod traces;

pub use screen::Look;
pub use show::{AgentPlan, Options, Outcome, demo};
