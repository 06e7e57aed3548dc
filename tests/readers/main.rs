//! Who opens token files, from real volumes: each a tmpfs of its own, written as kubelet does.
//! Tests of such volumes run alone in their own mount namespace.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders
#![allow(unsafe_code)] // one test maps a file

#[path = "../support/alone.rs"]
mod alone;
mod bed;
mod built;
mod held;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/node.rs"]
mod node;
mod opens;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/running.rs"]
mod running;
#[allow(dead_code)]
#[path = "../support/volumes.rs"]
mod volumes;
