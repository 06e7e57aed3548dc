//! End-to-end tests of the release binary, as a black box: real kubelets, real clocks, a real
//! collector.
//!
//! Needs root and the test bed. `tests/all` checks for root, and builds the test bed
//! (`tests/cluster/build`).

#![allow(unreachable_pub)] // a separate binary: only its own modules use them
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod a_long_time;
mod access;
mod api;
mod bed;
mod causes;
mod clocks;
mod collector_trouble;
mod controller;
mod deployed;
mod deployment;
mod gateway;
mod in_the_guest;
mod installed;
mod machine;
mod operator;
mod ports;
mod process;
#[path = "../observability/prometheus.rs"]
#[allow(dead_code)] // tests/observability uses the rest
mod prometheus;
mod readers;
mod recording;
mod requests;
mod run_folder;
mod steps;
mod telemetry;
#[path = "../observability/tools.rs"]
#[allow(dead_code)]
mod tools;
mod tree;
mod wait;
mod watches;
