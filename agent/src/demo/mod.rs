//! A whole node in one process: a kubelet-like writer, time servers that go wrong, a collector that draws. The agent that runs against them is
//! the real one.
//!
//! The pieces stand on their own, tests use them too: [`kubelet`] writes volumes as kubelet does, [`signer`] signs tokens as an API server does,
//! [`ntp_server`] answers with a time that can be dialled, [`receiver`] takes OTLP and hands on what was in it.

pub mod kubelet;
pub mod ntp_server;
pub mod received;
pub mod receiver;
pub mod scratch;
pub mod signer;
