//! What people look at, black box: the real agent, the gateway of deploy/collector in the real
//! Collector, a real Prometheus with the rules of deploy/prometheus, and every query of the
//! dashboards of deploy/grafana; and the agent's own status page in a real browser.
//!
//! Needs the test bed's collector and Debian's prometheus and chromium (`tests/cluster/build`;
//! `tests/all` sees to it), and no root.

#![allow(unreachable_pub)] // a binary of its own: its modules are each other's only readers
#![allow(dead_code)] // what it takes of the end-to-end tests is not all that those have
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what is wrong by panicking

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
#[path = "../e2e/process.rs"]
mod process;
mod prometheus;
#[path = "../e2e/recording.rs"]
mod recording;
mod rules;
#[path = "../e2e/telemetry.rs"]
mod telemetry;
#[path = "../support/time_server.rs"]
mod time_server;
mod tools;
#[path = "../e2e/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;
