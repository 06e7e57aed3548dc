//! Against collectors in this process: real sockets, both protocols.

mod collector;
mod delivery;
mod hostile;
pub(crate) mod sample;
mod signals;
mod spans;
mod tls;
