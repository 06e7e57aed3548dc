//! Counted refusals, in bounded memory.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{RefusalReason, Suspect};

/// Most senders that are counted apart. 20 steps of them take some 200 kB.
const MAX_SUSPECTS: usize = 64;

/// Refused requests, by reason and by sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    reasons: BTreeMap<RefusalReason, u64>,
    suspects: BTreeMap<Suspect, u64>,
    /// Of senders beyond the limit.
    others: u64,
    /// Of those from an address, the ones whose reason is known by the times in both logs.
    joined: BTreeMap<(IpAddr, RefusalReason), u64>,
}

impl Counts {
    pub(super) fn of(
        reasons: Vec<(RefusalReason, u64)>,
        refused: Vec<(Suspect, u64)>,
        others: u64,
    ) -> Self {
        let mut counts = Self { others, ..Self::default() };
        counts.add_all(reasons, refused);
        counts
    }

    pub(super) fn add(&mut self, other: Self) {
        self.add_all(other.reasons, other.suspects);
        for ((address, reason), count) in other.joined {
            let known = self.joined.entry((address, reason)).or_default();
            *known = known.saturating_add(count);
        }
        self.others = self.others.saturating_add(other.others);
    }

    fn add_all(
        &mut self,
        reasons: impl IntoIterator<Item = (RefusalReason, u64)>,
        suspects: impl IntoIterator<Item = (Suspect, u64)>,
    ) {
        for (reason, count) in reasons {
            self.reason(reason, count);
        }
        for (suspect, count) in suspects {
            self.suspect(suspect, count);
        }
    }

    fn reason(&mut self, reason: RefusalReason, count: u64) {
        let known = self.reasons.entry(reason).or_default();
        *known = known.saturating_add(count);
    }

    fn suspect(&mut self, suspect: Suspect, count: u64) {
        let has_room = self.suspects.len() < MAX_SUSPECTS || self.suspects.contains_key(&suspect);
        let known =
            if has_room { self.suspects.entry(suspect).or_default() } else { &mut self.others };
        *known = known.saturating_add(count);
    }

    /// The reason of a request from this address is known. Only of addresses that are counted
    /// apart, so that their number is bounded.
    pub(super) fn join(&mut self, address: IpAddr, reason: RefusalReason) {
        if self.suspects.contains_key(&Suspect::Address(address)) {
            *self.joined.entry((address, reason)).or_default() += 1;
        }
    }

    /// The reasons of requests from this address, as far as they are known.
    pub(super) fn joined(&self, address: &IpAddr) -> impl Iterator<Item = (RefusalReason, u64)> {
        let of = self.joined.iter().filter(move |((from, _), _)| from == address);
        of.map(|((_, reason), count)| (*reason, *count))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests() == 0 && self.suspects.is_empty()
    }

    pub(super) fn reasons(&self) -> impl Iterator<Item = (RefusalReason, u64)> {
        self.reasons.iter().map(|(reason, count)| (*reason, *count))
    }

    pub(super) fn suspects(&self) -> impl Iterator<Item = (&Suspect, u64)> {
        self.suspects.iter().map(|(suspect, count)| (suspect, *count))
    }

    /// Number of requests. Both logs have each request, so the larger number counts. A line that
    /// names a pod or an account comes beside the line with the reason.
    pub(super) fn requests(&self) -> u64 {
        let sum = |all: &mut dyn Iterator<Item = u64>| all.fold(0, u64::saturating_add);
        let logged = sum(&mut self.reasons.values().copied());
        let addresses = self.addresses().map(|(_, count)| count);
        logged.max(sum(&mut addresses.chain([self.others])))
    }

    /// The addresses that requests came from, and how many from each.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.suspects.iter().filter_map(|(suspect, count)| match suspect {
            Suspect::Address(address) => Some((*address, *count)),
            Suspect::Pod { .. } | Suspect::Account(_) => None,
        })
    }
}
