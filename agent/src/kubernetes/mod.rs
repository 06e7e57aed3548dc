//! Client of the Kubernetes API, for the sources that read pods and service accounts and for the
//! sink that writes Events.
//!
//! The caller decides what to request and how long that may take. The crate `kube` supplies
//! connections and TLS. Token and certificate authorities are read again each minute.

mod access;
mod backoff;
mod body;
mod client;
mod connector;
mod credentials;
mod error;
#[cfg(test)]
pub(crate) mod fake_server;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod kubeconfig;
mod kubelet;
mod lines;
mod server_url;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use backoff::Backoff;
pub use body::read_body;
pub use client::{ApiClient, ApiRequest, Dates, percent_encoded};
pub use error::{
    ConfigError, ConnectionError, Error, ErrorKind, InvalidResponse, is_status, without_login,
};
pub use kubelet::{KubeletClient, KubeletError, MetricsBody, Trust, TrustError};
pub use lines::{LineTooLong, Lines, next_chunk};
