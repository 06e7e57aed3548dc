//! What users look at, tested as a black box: the real agent, the gateway of deploy/collector in
//! the real Collector, a real Prometheus with the rules of deploy/prometheus, every query of the
//! dashboards of deploy/grafana, and the agent's own status page in a real browser.
//!
//! Needs the test bed's collector and Debian's prometheus and chromium (`tests/all` installs them
//! with `tests/cluster/build`), and no root.

#![allow(unreachable_pub)] // a separate binary: only its own modules use them
#![allow(dead_code)] // it uses only a part of the end-to-end tests' modules
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod api_server;
#[path = "../e2e/bed.rs"]
mod bed;
mod browser;
mod dashboards;
mod delivery;
mod fleet;
mod gateway;
#[path = "../support/node.rs"]
mod node;
mod page;
#[path = "../e2e/ports.rs"]
mod ports;
#[path = "../e2e/process.rs"]
mod process;
mod prometheus;
#[path = "../e2e/recording.rs"]
mod recording;
mod rules;
#[path = "../e2e/run_folder.rs"]
mod run_folder;
#[path = "../e2e/telemetry.rs"]
mod telemetry;
mod tools;
#[path = "../e2e/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;
