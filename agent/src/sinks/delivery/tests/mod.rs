//! Against collectors in this process: real sockets, both protocols.

mod collector;
mod delivery;
mod hostile;
mod mistakes;
pub(crate) mod sample;
mod signals;
mod spans;
mod tls;
