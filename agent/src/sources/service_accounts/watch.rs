//! An optional watch of all service accounts of the cluster, metadata only.
//!
//! What exists at its begin, the queries of the engine show. Accounts that no token on this node
//! uses are dropped while they are read. A lost event delays a finding until the account's next
//! turn, and changes none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::Source;
use crate::kubernetes::ApiClient;
use crate::sources::object_watch::{self, About, Change, Pace, Watched};

/// Most accounts that are followed: twice what the core keeps. Beyond it, the set starts again: the
/// engine queries every account within one round.
const MAX_FOLLOWED: usize = 512;

/// The accounts that the engine queries.
#[derive(Clone, Debug, Default)]
pub struct Followed(Arc<Mutex<BTreeSet<AccountName>>>);

impl Followed {
    pub(super) fn add(&self, account: &AccountName) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.len() >= MAX_FOLLOWED {
            followed.clear();
        }
        followed.insert(account.clone());
    }

    fn contains(&self, account: &AccountName) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(account)
    }
}

/// An account, or the object of a bookmark.
#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<IgnoredAny>,
}

/// Watches until the receiver is dropped.
pub(super) async fn run(
    client: Arc<ApiClient>,
    observations: Sender<Observation>,
    followed: Followed,
    pace: Pace,
) {
    object_watch::run(client, Accounts { followed, seen: Vec::new() }, observations, pace).await;
}

/// What the changes of the accounts showed.
pub(super) struct Accounts {
    pub(super) followed: Followed,
    pub(super) seen: Vec<Observation>,
}

impl Watched for Accounts {
    const ABOUT: About = About {
        source: Source::AccountWatch,
        name: "service accounts",
        path: "/api/v1/serviceaccounts",
        is_metadata: true,
        failed: "kubernetes.account_watch needs list and watch on serviceaccounts; until a retry \
                 succeeds, the agent notices a deleted service account at its next turn, within \
                 20 minutes",
    };

    fn take(&mut self, change: Change, object: &str) -> serde_json::Result<String> {
        let object: Object = serde_json::from_str(object)?;
        let Meta { name, namespace, uid, resource_version, deletion_timestamp } = object.metadata;
        let exists = match change {
            Change::Present => deletion_timestamp.is_none(),
            Change::Deleted => false,
            Change::None => return Ok(resource_version),
        };
        let account = AccountName { namespace, name };
        if self.followed.contains(&account) {
            let seen = AccountSeen::new(account, exists.then_some(uid.as_str()));
            self.seen.push(Observation::ServiceAccount(seen));
        }
        Ok(resource_version)
    }

    fn report(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.seen)
    }
}
