//! Setup: from settings to a running agent.
//!
//! [`host`] looks up what only this machine can answer (its name, kubelet roots, time servers), and
//! [`saved`] takes the state file. [`plan`] decides what the agent does with it, without any I/O.
//! [`export`] and [`api_server`] resolve the two remote ends. [`confine`] and [`start`] do what was
//! decided.

mod api_server;
mod confine;
mod export;
mod failure;
mod host;
mod plan;
mod saved;
mod signals;
mod start;

pub use api_server::{
    ApiServerError, api_server, api_server_mistake, api_server_note, api_server_urls,
    kubelet_client,
};
pub use confine::{ConfineError, confine, take_fanotify};
pub use export::{export_mistakes, own_otlp};
pub use failure::Failure;
pub use host::{kubelet_roots, named_time_servers, node_name, time_servers};
pub use plan::{copies_config, engine_config, kubelet_log_config, ntp_config};
pub use signals::stop_signal;
pub use start::{look, run, run_until};
