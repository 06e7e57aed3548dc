//! An optional watch of all service accounts of the cluster, metadata only.
//!
//! Nothing is listed but one object, whose list gives the version to start from: what exists at
//! that moment, the queries of the engine show. So a node reads each change once, and holds none.
//! Accounts that no token on this node uses are dropped while they are read. A lost event delays a
//! finding until the account's next turn, and changes none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::{Health, Meaning, Source, send_all};
use crate::kubernetes::{
    ApiClient, ApiRequest, Backoff, Error, Lines, next_chunk, percent_encoded, read_body,
};

const ACCOUNTS: &str = "/api/v1/serviceaccounts";
/// Most accounts that are followed: twice what the core keeps. Beyond it, the set starts again: the
/// engine queries every account within one round.
const MAX_FOLLOWED: usize = 512;
/// Bytes of the list with one object.
const MAX_LIST: usize = 2 << 20;
/// Characters of a resource version; real ones are numbers of up to 20 digits.
const MAX_VERSION: usize = 64;

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

/// Timeouts and intervals, as for pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Timeout of a response's head, and of the body of the list.
    pub(super) head: Duration,
    /// A watch that sends nothing for this long is dead. Bookmarks come every minute.
    pub(super) silence: Duration,
    /// Requested duration of a watch. Proxies cut connections after 5 min.
    pub(super) watch: Duration,
    /// Wait before a watch that ended is started again. A random part of it keeps nodes apart.
    pub(super) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { head: secs(30), silence: secs(150), watch: secs(290), pause: secs(3) }
    }
}

/// A list, of which only the version matters.
#[derive(Debug, Deserialize)]
struct List {
    metadata: ListMeta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// An event of a watch.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
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

/// How a watch ended.
enum End {
    /// As watches do.
    Ended,
    Failed(Error),
    ReceiverDropped,
}

/// Watches until the receiver is dropped.
pub(super) async fn run(
    client: Arc<ApiClient>,
    observations: Sender<Observation>,
    followed: Followed,
    pace: Pace,
) {
    let mut watch = Watch { client, observations, followed, pace, version: None };
    let (mut health, mut backoff) = (Health::new(Source::AccountWatch), Backoff::default());
    loop {
        let end = watch.follow(&mut health).await;
        let wait = match end {
            End::ReceiverDropped => return,
            End::Ended => {
                backoff.reset();
                pace.pause.mul_f64(rand::rng().random_range(0.3..=1.0))
            }
            End::Failed(error) => {
                let text = degraded(&watch.client, &error);
                let degraded = health.degraded(Meaning::Api(error.kind()), text);
                if !send_all(&watch.observations, degraded).await {
                    return;
                }
                backoff.after(&error)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; kubernetes.account_watch needs list and watch on \
         serviceaccounts; until a retry succeeds, the agent notices a deleted service account at \
         its next turn, within 20 minutes",
        client.address()
    )
}

struct Watch {
    client: Arc<ApiClient>,
    observations: Sender<Observation>,
    followed: Followed,
    pace: Pace,
    /// Where the next watch starts.
    version: Option<String>,
}

impl Watch {
    /// Follows all accounts until that ends. An expired version is expected: the API server keeps
    /// history for five minutes, and none over a restart.
    async fn follow(&mut self, health: &mut Health) -> End {
        match self.watch(health).await {
            Ok(end) => end,
            Err(error) if error.is_expired() && self.version.is_some() => {
                self.version = None;
                End::Ended
            }
            Err(error) => End::Failed(error),
        }
    }

    async fn watch(&mut self, health: &mut Health) -> Result<End, Error> {
        let version = match &self.version {
            Some(version) => version.clone(),
            None => self.latest().await?,
        };
        let request = ApiRequest::get_metadata(self.path(&version));
        let response = self.client.send(request, self.pace.head).await?;
        self.version = Some(version);
        if !send_all(&self.observations, health.update(None)).await {
            return Ok(End::ReceiverDropped);
        }
        let (mut body, mut lines) = (response.into_body(), Lines::default());
        while let Some(chunk) = next_chunk(&mut body, self.pace.silence).await {
            let complete = lines.push(&chunk).map_err(|error| invalid(&error))?;
            let seen = complete.iter().map(|line| self.event(line));
            let seen = seen.collect::<Result<Vec<_>, _>>()?;
            if !send_all(&self.observations, seen.into_iter().flatten()).await {
                return Ok(End::ReceiverDropped);
            }
        }
        Ok(End::Ended)
    }

    /// The version of the cluster's accounts now, from a list with one of them.
    async fn latest(&self) -> Result<String, Error> {
        let request = ApiRequest::list_metadata(format!("{ACCOUNTS}?limit=1"));
        let response = self.client.send(request, self.pace.head).await?;
        let body = read_body(response, MAX_LIST, self.pace.head).await?;
        let list: List = serde_json::from_slice(&body).map_err(|error| invalid(&error))?;
        checked(list.metadata.resource_version)
    }

    /// The duration is jittered: watches of a fleet that start together do not end together.
    fn path(&self, version: &str) -> String {
        let seconds = self.pace.watch.mul_f64(rand::rng().random_range(0.9..=1.0)).as_secs().max(1);
        format!(
            "{ACCOUNTS}?watch=true&allowWatchBookmarks=true&resourceVersion={}&\
             timeoutSeconds={seconds}",
            percent_encoded(version)
        )
    }

    /// What an event reports about an account that is followed.
    fn event(&mut self, line: &[u8]) -> Result<Option<Observation>, Error> {
        let event: Event<'_> = serde_json::from_slice(line).map_err(|error| invalid(&error))?;
        if event.kind == "ERROR" {
            return Err(Error::in_watch(event.object.get().as_bytes()));
        }
        let object: Object =
            serde_json::from_str(event.object.get()).map_err(|error| invalid(&error))?;
        let Meta { name, namespace, uid, resource_version, deletion_timestamp } = object.metadata;
        self.version = Some(checked(resource_version)?);
        let exists = match event.kind {
            "ADDED" | "MODIFIED" => deletion_timestamp.is_none(),
            "DELETED" => false,
            _ => return Ok(None), // a bookmark
        };
        let account = AccountName { namespace, name };
        let uid = exists.then_some(uid);
        let is_followed = self.followed.contains(&account);
        Ok(is_followed.then_some(Observation::ServiceAccount(AccountSeen { account, uid })))
    }
}

fn invalid(reason: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("not a watch of service accounts: {reason}"))
}

fn checked(version: String) -> Result<String, Error> {
    let fits = !version.is_empty() && version.len() <= MAX_VERSION;
    if fits { Ok(version) } else { Err(invalid(&"it has no resourceVersion")) }
}
