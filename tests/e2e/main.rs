//! End to end, black box, on the release binary: real kubelets, real clocks, a real collector.
//!
//! Needs root and the test bed (`tests/cluster/build`); `tests/all` sees to both.

#![allow(unreachable_pub)] // a binary of its own: its modules are each other's only readers
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what is wrong by panicking

mod api;
mod bed;
mod clocks;
mod collector_trouble;
mod deployed;
mod deployment;
mod eyes;
mod faulty;
mod gateway;
mod healthy;
mod in_the_guest;
mod incidents;
mod operator;
mod process;
#[path = "../observability/prometheus.rs"]
#[allow(dead_code)] // more is asked of it there
mod prometheus;
mod recording;
mod steps;
mod telemetry;
#[path = "../support/time_server.rs"]
mod time_server;
#[path = "../observability/tools.rs"]
#[allow(dead_code)]
mod tools;
mod tree;
mod wait;
mod watches;
