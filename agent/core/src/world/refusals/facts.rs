//! Who is behind the refused requests, as far as the evidence goes.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::addresses::{PodAtAddress, PodOf};
use super::counts::Counts;
use super::users::UserOf;
use super::{Accepted, AcceptedAccount, Foresight, NAMED, RefusalReason, Suspect};
use crate::base::time::Reading;
use crate::world::World;
use crate::world::cluster::{AccountName, PodRef};
use crate::world::tokens::{GenerationId, TokenKey, Tracked};

/// The refused requests of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedFacts {
    /// Their number.
    pub requests: u64,
    /// By reason; empty without the server's log.
    pub reasons: Vec<(RefusalReason, u64)>,
    /// The pods behind them, most refusals first.
    pub pods: Vec<RefusedPod>,
    /// The service accounts behind others of them, where the pod is not known.
    pub accounts: Vec<(AccountName, u64)>,
    /// The nodes behind others of them: a process on the node's network.
    pub nodes: Vec<(String, u64)>,
    /// Those of pods that only their address names, and whose reason is not known.
    pub without_reason: u64,
    /// Those of addresses that several users share.
    pub shared: u64,
    /// Those of which nothing is known.
    pub unknown: u64,
    /// Whether an audit log was read.
    pub has_audit: bool,
}

/// A pod behind refused requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPod {
    /// The pod. Its UID is empty if it is not known.
    pub pod: PodRef,
    /// Its refused requests.
    pub count: u64,
    /// What shows that they are its.
    pub by: Match,
    /// The reasons of its requests, as far as the times in both logs show them.
    pub reasons: Vec<(RefusalReason, u64)>,
    /// Whether it has a token on this node.
    pub is_here: bool,
    /// Whether the last token that was accepted from it is one that kubelet has replaced since.
    pub was_replaced: bool,
    /// Whether a finding had named it, if that was judged.
    pub foresight: Option<Foresight>,
}

/// What shows that a refused request is a pod's, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// A line of the server's log names the pod.
    Log,
    /// The token that was last accepted from the address is one of a volume on this node.
    Credential,
    /// The audit log names the pod as the only user of the address.
    Address,
    /// The API server lists the pod as the only one with the address.
    Api,
}

impl Match {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Credential => "credential_id",
            Self::Address => "address",
            Self::Api => "api",
        }
    }
}

impl RefusedFacts {
    /// The pods with enough refusals to be named.
    pub fn named(&self) -> impl Iterator<Item = &RefusedPod> {
        self.pods.iter().filter(|pod| pod.count >= NAMED)
    }

    /// Requests of which something is known about the sender.
    fn known(&self) -> u64 {
        let pods = self.pods.iter().map(|pod| pod.count);
        let accounts = self.accounts.iter().map(|(_, count)| *count);
        let nodes = self.nodes.iter().map(|(_, count)| *count);
        pods.chain(accounts).chain(nodes).fold(self.shared, u64::saturating_add)
    }
}

impl RefusedPod {
    /// Whether more than its address shows that the requests are its: a pod whose users' tokens are
    /// refused, or one behind the address of a node, has the same address.
    pub fn is_proven(&self) -> bool {
        self.by == Match::Log || self.was_replaced
    }

    /// Its UID, if it has a token on this node.
    pub(super) fn uid_here(&self) -> Option<String> {
        self.is_here.then(|| self.pod.uid.clone())
    }

    fn add_reason(&mut self, reason: RefusalReason, count: u64) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, known)) => *known = known.saturating_add(count),
            None => self.reasons.push((reason, count)),
        }
    }

    /// Adds refusals of the same pod. Those of the log are not added to those of an address: they
    /// may be the same requests.
    fn add(&mut self, other: Self) {
        let may_be_same = self.by == Match::Log || other.by == Match::Log;
        self.count = if may_be_same {
            self.count.max(other.count)
        } else {
            self.count.saturating_add(other.count)
        };
        self.by = self.by.min(other.by);
        other.reasons.into_iter().for_each(|(reason, count)| self.add_reason(reason, count));
        self.was_replaced |= other.was_replaced;
        if self.pod.uid.is_empty() {
            (self.pod, self.is_here) = (other.pod, other.is_here);
            self.foresight = other.foresight;
        }
    }
}

/// The number of refused requests from one address, and the reasons that are known of them.
type Refused = (u64, Vec<(RefusalReason, u64)>);

/// Who is behind one suspect.
enum Behind {
    Pod(Box<RefusedPod>),
    Account(AccountName),
    Node(String),
    Several,
    Nobody,
}

impl World {
    /// The refused requests of the last minutes, and who is behind them.
    pub fn refused(&self, now: &Reading) -> RefusedFacts {
        let recent = self.readers.refusals.recent(now);
        let mut facts = RefusedFacts {
            requests: recent.requests(),
            reasons: recent.reasons().collect(),
            has_audit: !self.readers.refusals.users.is_empty(),
            ..RefusedFacts::default()
        };
        self.attribute(&recent, &mut facts, now);
        let name = |pod: &RefusedPod| pod.pod.full_name();
        facts.pods.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| name(a).cmp(&name(b))));
        facts
    }

    fn attribute(&self, recent: &Counts, facts: &mut RefusedFacts, now: &Reading) {
        let mut pods: BTreeMap<String, RefusedPod> = BTreeMap::new();
        let mut accounts: BTreeMap<AccountName, u64> = BTreeMap::new();
        let mut nodes: BTreeMap<String, u64> = BTreeMap::new();
        for (suspect, count) in recent.suspects() {
            match self.behind(suspect, (count, recent), now) {
                Behind::Pod(pod) => {
                    facts.without_reason += unexplained(&pod);
                    add(&mut pods, *pod);
                }
                Behind::Node(node) => *nodes.entry(node).or_default() += count,
                Behind::Account(account) => *accounts.entry(account).or_default() += count,
                Behind::Several => facts.shared = facts.shared.saturating_add(count),
                Behind::Nobody => {}
            }
        }
        facts.pods = pods.into_values().collect();
        facts.accounts = accounts.into_iter().collect();
        facts.nodes = nodes.into_iter().collect();
        facts.unknown = facts.requests.saturating_sub(facts.known());
    }

    fn behind(&self, suspect: &Suspect, of: (u64, &Counts), now: &Reading) -> Behind {
        let (count, recent) = of;
        match suspect {
            Suspect::Address(address) => {
                self.behind_address(address, (count, recent.joined(address).collect()), now)
            }
            Suspect::Pod { namespace, name } => {
                Behind::Pod(Box::new(self.logged(namespace, name, count)))
            }
            Suspect::Account(account) => Behind::Account(account.clone()),
        }
    }

    fn behind_address(&self, address: &IpAddr, of: Refused, now: &Reading) -> Behind {
        match self.readers.refusals.users.of(address, now.monotonic) {
            UserOf::One(user) => self.user(user, of),
            UserOf::Several => Behind::Several,
            UserOf::Unknown => self.listed(address, of, now),
        }
    }

    /// Who has an address by the API server.
    fn listed(&self, address: &IpAddr, of: Refused, now: &Reading) -> Behind {
        let refusals = &self.readers.refusals;
        let since = refusals.refused_since(address, now);
        match refusals.addresses.of(address, since, now.monotonic) {
            PodOf::One(pod) => self.with_address(pod, of),
            PodOf::Node(node) => Behind::Node(node.to_owned()),
            PodOf::Several => Behind::Several,
            PodOf::Unknown => Behind::Nobody,
        }
    }

    fn with_address(&self, pod: &PodAtAddress, (count, reasons): Refused) -> Behind {
        Behind::Pod(Box::new(RefusedPod {
            count,
            by: Match::Api,
            reasons,
            is_here: self.tokens.has_pod(&pod.uid),
            was_replaced: false,
            foresight: self.readers.refusals.foresight(&pod.uid),
            pod: named(&pod.namespace, &pod.name, &pod.uid),
        }))
    }

    /// The only user of an address.
    fn user(&self, user: &AcceptedAccount, (count, reasons): Refused) -> Behind {
        let Some(of) = &user.pod else { return Behind::Account(user.account.clone()) };
        let held = self.token_with(user);
        Behind::Pod(Box::new(RefusedPod {
            count,
            by: if held.is_some() { Match::Credential } else { Match::Address },
            reasons,
            is_here: self.tokens.has_pod(&of.uid),
            was_replaced: held.is_some_and(|tracked| is_replaced(tracked, user)),
            foresight: self.readers.refusals.foresight(&of.uid),
            pod: named(&user.account.namespace, &of.name, &of.uid),
        }))
    }

    /// The token of which this is, or was, a generation.
    fn token_with(&self, user: &AcceptedAccount) -> Option<&Tracked> {
        let (generation, pod) = (user.generation.as_ref()?, user.pod.as_ref()?);
        let mut of_pod = self.tokens.iter().filter(|tracked| tracked.key.pod_uid == pod.uid);
        of_pod.find(|tracked| tracked.had(generation))
    }

    /// A pod that the server's log names, without its UID.
    fn logged(&self, namespace: &str, name: &str, count: u64) -> RefusedPod {
        let uid = self.uid_of(namespace, name).unwrap_or_default();
        RefusedPod {
            count,
            by: Match::Log,
            reasons: Vec::new(),
            is_here: !uid.is_empty(),
            was_replaced: false,
            foresight: self.readers.refusals.foresight(uid),
            pod: named(namespace, name, uid),
        }
    }

    /// The UID of the pod with this name and a token on this node.
    fn uid_of(&self, namespace: &str, name: &str) -> Option<&str> {
        let is_it = |tracked: &&Tracked| {
            let pod = PodRef::of(tracked, self.cluster.pod(&tracked.key.pod_uid));
            pod.namespace.as_deref() == Some(namespace) && pod.name.as_deref() == Some(name)
        };
        self.tokens.iter().find(is_it).map(|tracked| tracked.key.pod_uid.as_str())
    }

    /// Notes the requests with a generation that kubelet has replaced. Returns their tokens.
    pub(super) fn used_again(&mut self, accepted: &[Accepted], now: &Reading) -> Vec<TokenKey> {
        let users = accepted.iter().filter_map(|accepted| accepted.user.as_ref());
        let used = users.filter_map(|user| {
            let tracked = self.token_with(user)?;
            let generation = user.generation.clone().filter(|_| is_replaced(tracked, user))?;
            Some((tracked.key.clone(), generation))
        });
        let used: Vec<(TokenKey, GenerationId)> = used.collect();
        let known = used.into_iter().filter(|(key, of)| self.readers.used(key, of, now));
        known.map(|(key, _)| key).collect()
    }
}

fn named(namespace: &str, name: &str, uid: &str) -> PodRef {
    let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
    PodRef { namespace, name, uid: uid.to_owned(), ..PodRef::default() }
}

/// Its requests of which nothing shows the reason. The log names a pod together with the reason.
fn unexplained(pod: &RefusedPod) -> u64 {
    let known = pod.reasons.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    if pod.by == Match::Log { 0 } else { pod.count.saturating_sub(known) }
}

/// Whether kubelet has replaced the generation that this user had.
fn is_replaced(tracked: &Tracked, user: &AcceptedAccount) -> bool {
    let current = tracked.current.as_ref().map(|current| current.claims.generation());
    user.generation.is_some() && current != user.generation
}

/// A pod may have several addresses, and lines in both logs.
fn add(pods: &mut BTreeMap<String, RefusedPod>, new: RefusedPod) {
    let name = new.pod.full_name();
    match pods.get_mut(&name) {
        Some(known) => known.add(new),
        None => drop(pods.insert(name, new)),
    }
}
