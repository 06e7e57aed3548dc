//! Findings in words: what is raised, what is resolved, what to do.

mod agent;
mod clock;
mod names;
mod remedy;
mod resolved;
mod token;

pub(crate) use agent::{blind, delivery};
pub(crate) use clock::clock;
pub use resolved::{Resolution, resolved};
pub(crate) use token::token;
