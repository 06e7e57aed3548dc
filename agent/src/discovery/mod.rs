//! What the agent looks for once at its start, and again where it may appear later: kubelet roots
//! and time servers.

pub mod roots;
pub mod time_servers;
