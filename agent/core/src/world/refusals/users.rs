//! Who uses which address, by the requests that an API server accepted from it.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{Accepted, AcceptedAccount};
use crate::base::time::{Delta, Monotonic};

/// Most addresses that are kept: one for each pod of a cluster of some 100 nodes. They take some
/// 2 MB. Of more, those that were not used for longest are forgotten.
const MAX_ADDRESSES: usize = 8_192;
/// Time after which another user of an address does not count any more. A pod's address is given
/// to another pod when the first one is gone.
const SHARED: Delta = Delta::from_secs(900);

/// Time after which an accepted request does not show the user of an address any more: a client
/// that only watches sends one within 61 minutes.
const KNOWN: Delta = Delta::from_secs(3_660);

/// The users of addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    by_address: BTreeMap<IpAddr, AddressUser>,
}

/// The user of one address.
#[derive(Clone, Debug)]
struct AddressUser {
    last: Option<AcceptedAccount>,
    at: Monotonic,
    /// When the user before this one was replaced by it.
    other_at: Option<Monotonic>,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum UserOf<'a> {
    /// One service account, alone.
    One(&'a AcceptedAccount),
    /// Several users: a node's own address, or that of a proxy.
    Several,
    /// No request was accepted from it, or none of a service account.
    Unknown,
}

impl AddressUser {
    fn see(&mut self, user: Option<AcceptedAccount>, now: Monotonic) {
        if !is_same(self.last.as_ref(), user.as_ref()) {
            self.other_at = Some(now);
        }
        (self.last, self.at) = (user, now);
    }
}

impl Users {
    pub(super) fn see(&mut self, accepted: Accepted, now: Monotonic) {
        let Some(address) = accepted.address else { return };
        if let Some(known) = self.by_address.get_mut(&address) {
            return known.see(accepted.user, now);
        }
        if self.by_address.len() >= MAX_ADDRESSES {
            self.forget_half(now);
        }
        let user = AddressUser { last: accepted.user, at: now, other_at: None };
        self.by_address.insert(address, user);
    }

    /// Forgets the half that was not used for longest: so the work is done seldom.
    fn forget_half(&mut self, now: Monotonic) {
        let mut ages: Vec<Delta> = self.by_address.values().map(|user| now - user.at).collect();
        ages.sort_unstable();
        let limit = ages.get(ages.len() / 2).copied().unwrap_or(Delta::ZERO);
        self.by_address.retain(|_, user| now - user.at < limit);
    }

    pub(super) fn of(&self, address: &IpAddr, now: Monotonic) -> UserOf<'_> {
        let Some(user) = self.by_address.get(address) else { return UserOf::Unknown };
        if user.other_at.is_some_and(|at| now - at < SHARED) {
            return UserOf::Several;
        }
        if now - user.at > KNOWN {
            return UserOf::Unknown;
        }
        user.last.as_ref().map_or(UserOf::Unknown, UserOf::One)
    }

    /// Whether no accepted request is known: there is no audit log.
    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}

/// Whether two requests are of one pod, or of one account without a pod.
fn is_same(one: Option<&AcceptedAccount>, other: Option<&AcceptedAccount>) -> bool {
    let who = |of: &AcceptedAccount| (of.account.clone(), of.pod.clone());
    one.map(who) == other.map(who)
}
