//! Where observations come from: one folder per thing observed.

pub mod kernel;
pub mod ntp;
pub mod pods;
pub mod privileges;
pub mod service_accounts;
pub mod tokens;
pub mod volumes;
