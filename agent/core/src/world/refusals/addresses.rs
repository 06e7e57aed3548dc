//! Which pods have the addresses of refused requests, by the API server: for those of other nodes,
//! from which no accepted request is known.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::users::UserOf;
use super::{NAMED, Refusals, Suspect};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::{Changed, World};

/// Requests within [`SPAN`]: 0.2 a minute, so that the agent stays below one a minute with all its
/// other requests.
const MAX_ASKED: usize = 4;
/// The time in which they count.
const SPAN: Delta = Delta::from_secs(1_200);
/// Age of an answer up to which it counts. A later refusal may be of another pod with the address.
const LASTS: Delta = Delta::from_secs(1_800);

/// An answer of the API server to the question which pods have an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodsAtAddress {
    /// The address.
    pub address: IpAddr,
    /// The pods, or the first of them.
    pub pods: Vec<PodAtAddress>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A pod with an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodAtAddress {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its node.
    pub node: Option<String>,
    /// Whether it is on the network of its node, and has the node's address.
    pub on_host_network: bool,
    /// When kubelet accepted it, by the clock of its node.
    pub started: Option<Wall>,
    /// Whether it has ended: its address may be another pod's.
    pub has_ended: bool,
}

/// The answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    answers: BTreeMap<IpAddr, (PodsAtAddress, Monotonic)>,
    /// What was asked for within [`SPAN`], and when. Oldest first.
    asked: VecDeque<(IpAddr, Monotonic)>,
}

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodOf<'a> {
    /// One pod, and it had started before the refused requests.
    One(&'a PodAtAddress),
    /// The node with this name: any process on its network may be behind the requests.
    Node(&'a str),
    /// Several pods.
    Several,
    /// Nobody that is known.
    Unknown,
}

impl PodsAtAddress {
    fn pod(&self, since: Wall) -> PodOf<'_> {
        let mut pods = self.pods.iter().filter(|pod| !pod.has_ended);
        let on_host = pods.clone().find(|pod| pod.on_host_network);
        if let Some(node) = on_host.and_then(|pod| pod.node.as_deref()) {
            return PodOf::Node(node);
        }
        match (pods.next(), pods.next()) {
            (Some(pod), None) if !self.has_more => pod.if_started(since),
            (Some(_), _) => PodOf::Several,
            (None, _) => PodOf::Unknown,
        }
    }
}

impl PodAtAddress {
    fn if_started(&self, since: Wall) -> PodOf<'_> {
        let had_started = self.started.is_some_and(|started| started <= since);
        if had_started { PodOf::One(self) } else { PodOf::Unknown }
    }
}

impl Addresses {
    fn see(&mut self, seen: PodsAtAddress, now: Monotonic) {
        self.answers.retain(|_, (_, at)| now - *at < LASTS);
        // Answers come to questions alone, so their number is bounded; but a recording may lie.
        if self.answers.len() < MAX_ASKED * 4 {
            self.answers.insert(seen.address, (seen, now));
        }
    }

    /// Who has this address, from which requests were refused since `since`.
    pub(super) fn of(&self, address: &IpAddr, since: Wall, now: Monotonic) -> PodOf<'_> {
        let answer = self.answers.get(address).filter(|(_, at)| now - *at < LASTS);
        answer.map_or(PodOf::Unknown, |(answer, _)| answer.pod(since))
    }

    /// The first of these that is to be asked for now, if one is.
    fn take(&mut self, mut all: impl Iterator<Item = IpAddr>, now: Monotonic) -> Option<IpAddr> {
        while self.asked.front().is_some_and(|(_, at)| now - *at >= SPAN) {
            self.asked.pop_front();
        }
        if self.asked.len() >= MAX_ASKED {
            return None;
        }
        let address = all.find(|address| !self.is_known(address, now))?;
        self.asked.push_back((address, now));
        Some(address)
    }

    /// Whether there is an answer, or one may come.
    fn is_known(&self, address: &IpAddr, now: Monotonic) -> bool {
        let answer = self.answers.get(address);
        answer.is_some_and(|(_, at)| now - *at < LASTS)
            || self.asked.iter().any(|(asked, _)| asked == address)
    }
}

impl Refusals {
    /// When the first request that still counts was refused from this address, at the latest.
    pub(super) fn refused_since(&self, address: &IpAddr, now: &Reading) -> Wall {
        let suspect = Suspect::Address(*address);
        let mut steps = self.steps.iter();
        let first = steps.find(|(_, counts)| counts.suspects().any(|(of, _)| *of == suspect));
        now.wall_at(first.map_or(now.monotonic, |(since, _)| *since))
    }
}

impl World {
    /// Takes the API server's answer about an address.
    pub(in crate::world) fn pods_at(&mut self, now: &Reading, seen: PodsAtAddress) -> Changed {
        self.readers.refusals.addresses.see(seen, now.monotonic);
        Changed::node()
    }

    /// An address to ask the API server for: one with enough refused requests to be named, and from
    /// which no accepted request is known.
    pub(crate) fn take_address(&mut self, now: &Reading) -> Option<IpAddr> {
        let refusals = &mut self.readers.refusals;
        let recent = refusals.recent(now);
        let Refusals { users, addresses, .. } = refusals;
        let is_unknown = |of: &IpAddr| matches!(users.of(of, now.monotonic), UserOf::Unknown);
        let unknown = recent.addresses().filter(|(of, count)| *count >= NAMED && is_unknown(of));
        addresses.take(unknown.map(|(of, _)| of), now.monotonic)
    }
}
