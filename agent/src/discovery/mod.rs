//! What the agent looks for at its start, and again where it may appear later: kubelet root
//! directories and time servers.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
pub(crate) mod glob;
pub(crate) mod inside;
pub mod roots;
pub mod time_servers;
