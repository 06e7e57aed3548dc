//! Who opens a token, seen by the real fanotify(7): volumes that are a tmpfs of their own,
//! containers with a mount namespace and a cgroup of their own, and processes that end at once.
//!
//! It needs root, a cgroup file system of version 2 that can be written, and Linux 5.13.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "openers/agent.rs"]
mod agent;
#[path = "openers/bed.rs"]
mod bed;
#[path = "openers/events.rs"]
mod events;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/running.rs"]
mod running;
