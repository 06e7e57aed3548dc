//! The cluster as it really is: its API servers, and when they refuse a token.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::keys::{KeySet, KeysAnswer, KeysSeen};
use tokenwatch_core::world::tokens::Claims;

use crate::node::START;
use crate::timeline::Timeline;

/// The issuer of the cluster.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
/// The leeway of the API server, in seconds (DefaultLeeway of go-jose, and the time after which
/// the tokens of a deleted pod are refused, in pkg/serviceaccount/claims.go).
const LEEWAY: i64 = 60;

/// One API server.
pub(crate) struct Server {
    /// How far its clock is ahead of true time, in seconds.
    pub ahead: Timeline<i64>,
    /// The keys that it verifies with. It signs with the first one.
    pub keys: Timeline<&'static [&'static str]>,
    /// The issuers that it accepts. It writes the first one.
    pub issuers: Timeline<&'static [&'static str]>,
    /// It starts from one second to another, and refuses every token: it does not know their
    /// objects yet. Clients try again.
    pub starts: Option<(i64, i64)>,
}

impl Server {
    pub(crate) fn good() -> Self {
        Self {
            ahead: Timeline::always(0),
            keys: Timeline::always(&["key-1"]),
            issuers: Timeline::always(&[ISSUER]),
            starts: None,
        }
    }

    /// What its clock shows, in seconds since the Unix epoch.
    pub(crate) fn shows(&self, second: i64) -> i64 {
        START + second + self.ahead.at(second)
    }

    /// Whether it refuses the token because of its times, its key or its issuer.
    fn refuses(&self, claims: &Claims, second: i64) -> bool {
        let now = self.shows(second);
        let key = claims.key.id.as_deref().unwrap_or_default();
        now > claims.expires_at.as_secs() + LEEWAY
            || now < claims.not_before.as_secs() - LEEWAY
            || !self.keys.at(second).contains(&key)
            || !self.issuers.at(second).contains(&claims.issuer.as_str())
    }

    /// The seconds at which its answer to this token may change.
    fn changes(&self, claims: &Claims) -> Vec<i64> {
        let timelines: [Vec<i64>; 2] =
            [self.keys.changes().collect(), self.issuers.changes().collect()];
        let set: Vec<i64> = self.ahead.changes().collect();
        let clocks = set.iter().copied().chain([i64::MIN]).map(|from| self.ahead.at(from));
        let times = clocks.flat_map(|ahead| {
            let at = |time: i64| time - ahead - START;
            [at(claims.expires_at.as_secs() + LEEWAY + 1), at(claims.not_before.as_secs() - LEEWAY)]
        });
        timelines.concat().into_iter().chain(times).chain(set.clone()).collect()
    }
}

/// The cluster.
pub(crate) struct Cluster {
    pub servers: Vec<Server>,
    /// The UID of the account `shop/cart`, if there is one.
    pub account: Timeline<Option<&'static str>>,
    /// When pods are deleted at the API server: `deletionTimestamp`, by UID.
    pub deleted: BTreeMap<String, i64>,
    /// When no API server answers: from and to.
    pub away: Vec<(i64, i64)>,
}

impl Cluster {
    pub(crate) fn of(servers: Vec<Server>) -> Self {
        let account = Timeline::always(Some("cart-uid"));
        Self { servers, account, deleted: BTreeMap::new(), away: Vec::new() }
    }

    /// The UID of an account; none if it does not exist.
    pub(crate) fn uid_of(&self, account: &str, second: i64) -> Option<String> {
        let changing = (account == "cart").then(|| self.account.at(second));
        changing.map_or_else(|| Some(format!("{account}-uid")), |uid| uid.map(ToOwned::to_owned))
    }

    pub(crate) fn is_away(&self, second: i64) -> bool {
        self.away.iter().any(|(from, to)| (*from..*to).contains(&second))
    }

    /// Whether an API server refuses this token.
    pub(crate) fn refuses(&self, claims: &Claims, second: i64) -> bool {
        self.servers.iter().any(|server| server.refuses(claims, second))
            || self.refuses_objects(claims, second)
    }

    /// Whether they refuse it because of its account or its pod.
    fn refuses_objects(&self, claims: &Claims, second: i64) -> bool {
        let account = &claims.binding.service_account;
        let is_other = account.uid != self.uid_of(&account.name, second);
        let pod = claims.binding.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let deleted = pod.and_then(|uid| self.deleted.get(uid));
        is_other || deleted.is_some_and(|at| second > at + LEEWAY)
    }

    /// The seconds at which the answer to this token may change.
    pub(crate) fn changes(&self, claims: &Claims) -> Vec<i64> {
        let of_servers = self.servers.iter().flat_map(|server| server.changes(claims));
        let pods = self.deleted.values().map(|at| at + LEEWAY + 1);
        of_servers.chain(self.account.changes()).chain(pods).collect()
    }

    /// The answer to the question for the account; none while no API server answers.
    pub(crate) fn account(&self, account: AccountName, second: i64) -> Option<AccountSeen> {
        let uid = self.uid_of(&account.name, second);
        (!self.is_away(second)).then_some(AccountSeen { account, uid })
    }

    /// The answers to three questions for the keys: of several servers, they take turns. A server
    /// that refuses the agent's own token shows no keys.
    pub(crate) fn keys(&self, own: Option<&Claims>, sent: Reading, second: i64) -> Vec<KeysSeen> {
        let answer = |nth: usize| {
            let server = &self.servers[nth % self.servers.len()];
            let starts = server.starts.is_some_and(|(from, to)| (from..to).contains(&second));
            let is_refused = |own: &&Claims| {
                starts || server.refuses(own, second) || self.refuses_objects(own, second)
            };
            let answer = match own.filter(is_refused) {
                Some(own) => KeysAnswer::Refused(Box::new(own.clone())),
                None => KeysAnswer::Published(server.published(second)),
            };
            KeysSeen { sent, answer }
        };
        if self.is_away(second) { Vec::new() } else { (0..3).map(answer).collect() }
    }
}

impl Server {
    fn published(&self, second: i64) -> KeySet {
        let ids = self.keys.at(second).iter().map(ToString::to_string);
        KeySet::new(Some(self.issuers.at(second)[0]), ids).expect("a server has a key")
    }
}
