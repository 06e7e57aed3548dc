//! Sources of observations, one folder per thing observed.
//!
//! A source runs until the engine drops the channel. It reports what it observed and whether it
//! works ([`health`]); what that means is decided in the core.

pub mod api_once;
pub mod copies;
mod health;
pub mod kernel;
pub mod ntp;
pub mod pods;
pub mod privileges;
mod send;
pub mod service_accounts;
pub mod tokens;
pub mod volumes;
