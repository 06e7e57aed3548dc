//! Settings: flag over environment over file over default.
//!
//! Each setting is declared once, in `table`: its name, type, default, explanation, flag and
//! environment variable come from there, and so do the YAML keys, `--help`, and what `tokenwatch
//! config` prints.

mod duration;
mod kinds;
mod load;
mod mistakes;
mod nearest;
pub mod otlp;
mod show;
mod size;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub use kinds::{Kind, LogFormat, Secret};
pub use load::{Flag, Given, Loaded, load, read};
pub use mistakes::{Mistake, Mistakes, Origin};
pub use nearest::nearest;
pub use show::effective;
pub use size::Size;
pub use table::{Alerts, Clock, Files, Http, Kubelet, Log, Otlp, SETTINGS, Setting, Settings};
