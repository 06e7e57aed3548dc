//! The laboratory: the surroundings of an agent, made in one process, for tests and for
//! `tokenwatch demo`.

pub mod kubelet;
pub mod ntp_server;
pub mod received;
pub mod receiver;
pub mod scratch;
pub mod signer;
