//! What is stuck stops nothing else, and is visible: an output that nobody reads, a file that is
//! none, a file system that does not answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod agent;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/alone.rs"]
mod alone;
mod files;
mod hangs;
mod hung;
mod limits;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/node.rs"]
mod node;
mod pages;
mod stopped;
mod streams;
#[allow(dead_code)]
#[path = "../support/web.rs"]
mod web;
