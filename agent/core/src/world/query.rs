//! What the engine asks sources for.

use core::net::IpAddr;
use std::collections::BTreeSet;

use serde::Serialize;

use super::cluster::AccountName;
use super::tokens::TokenKey;

/// A query to a source. It carries no fact, and may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Request this service account: it is its turn, or a token of it is late.
    ServiceAccount(AccountName),
    /// Request the keys with which the API server verifies tokens.
    Keys,
    /// Request the pods with this address, from which requests were refused.
    PodsAtAddress(IpAddr),
    /// Request kubelet's metrics: a token is not renewed, and nothing names the cause.
    KubeletMetrics,
    /// Look what is at these paths, where pods should have tokens. It takes the place of the last
    /// one.
    Tokens(BTreeSet<TokenKey>),
}
