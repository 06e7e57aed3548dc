//! Settings: flag over environment over file over default.
//!
//! `table` declares each setting once, with its name, type, default, description and flag. The
//! environment variables, the YAML keys, `--help` and the output of `tokenwatch config` all come
//! from there.

mod checks;
mod declare;
mod duration;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod kinds;
mod load;
mod log_filter;
mod mistakes;
mod nearest;
pub mod otlp;
mod percent;
pub mod proxy;
#[cfg(test)]
mod secrecy_tests;
mod show;
mod size;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub use duration::{DurationError, parse as duration};
pub use kinds::{Address, Kind, LogFormat, Secret};
pub use load::{Flag, Given, Loaded, load, read};
pub use mistakes::{Invalid, Mistake, Mistakes, Origin};
pub use nearest::nearest;
pub use show::effective;
pub use size::Size;
pub use table::{
    Alerts, Clock, Files, Http, Kubelet, Log, Otlp, Readers, SETTINGS, Setting, Settings,
};
