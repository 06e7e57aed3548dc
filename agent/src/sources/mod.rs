//! Where observations come from: one file per thing observed.

pub mod apiserver;
pub mod files;
pub mod kernel;
pub mod ntp;
pub mod privileges;
pub mod remembered;
pub mod service_accounts;
pub mod time_servers;
