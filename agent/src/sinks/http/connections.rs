//! The open connections, and which of them a further one replaces.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections at once over all addresses that ask for more than a probe: two Prometheus servers,
/// and a few browsers with six connections each. A further one closes the oldest of them.
const MOST: usize = 32;
/// Those from one peer, so that a faulty client closes only its own.
const MOST_FROM_PEER: usize = 8;
/// Connections that have asked for nothing yet, or for a probe alone: kubelet restarts the agent if
/// its probes are refused. So they have places of their own, and from one peer as many as others
/// can have in all: a probe has its answer before as many new ones take its place.
const MOST_NEW: usize = 64;
/// Those from one peer.
const MOST_NEW_FROM_PEER: usize = 32;

/// The open connections of all addresses.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// In the order of their age.
    open: BTreeMap<u64, Open>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    peer: IpAddr,
    /// Whether it has asked for nothing but a probe.
    is_new: bool,
    /// Notified when another connection takes the place.
    evicted: Arc<Notify>,
}

impl Slots {
    /// The connection that one of this kind from `peer` replaces, if it is to have a place.
    fn superfluous(&self, peer: IpAddr, is_new: bool) -> Option<u64> {
        let (most, from_peer) =
            if is_new { (MOST_NEW, MOST_NEW_FROM_PEER) } else { (MOST, MOST_FROM_PEER) };
        let of_kind = || self.open.iter().filter(|(_, open)| open.is_new == is_new);
        let own = || of_kind().filter(|(_, open)| open.peer == peer);
        let oldest = if own().count() >= from_peer {
            own().next()
        } else {
            of_kind().next().filter(|_| of_kind().count() >= most)
        };
        oldest.map(|(number, _)| *number)
    }

    /// Makes a place for one of this kind from `peer`.
    fn make_room(&mut self, peer: IpAddr, is_new: bool) {
        if let Some(open) = self.superfluous(peer, is_new).and_then(|of| self.open.remove(&of)) {
            open.evicted.notify_one();
        }
    }
}

impl Connections {
    /// A slot for a connection from `peer`. Closes the oldest new connection of the same peer if
    /// that has too many, or the oldest new one of all if there are too many.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Slot {
        let mut slots = self.slots();
        slots.make_room(peer, true);
        let (number, evicted) = (slots.next, Arc::new(Notify::new()));
        slots.next += 1;
        slots.open.insert(number, Open { peer, is_new: true, evicted: Arc::clone(&evicted) });
        Slot { connections: Arc::clone(self), number, evicted }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    number: u64,
    evicted: Arc<Notify>,
}

impl Slot {
    /// The connection asks for more than a probe, and takes a place among those that do.
    pub(super) fn asks_for_more(&self) {
        let mut slots = self.connections.slots();
        let own = slots.open.remove(&self.number).filter(|open| open.is_new);
        let Some(own) = own else { return };
        slots.make_room(own.peer, false);
        slots.open.insert(self.number, Open { is_new: false, ..own });
    }

    /// Returns when another connection takes the place.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.slots().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    async fn is_evicted(slot: &Slot) -> bool {
        tokio::time::timeout(Duration::ZERO, slot.evicted()).await.is_ok()
    }

    fn page(connections: &Arc<Connections>, last: u8) -> Slot {
        let slot = connections.open(peer(last));
        slot.asks_for_more();
        slot
    }

    #[tokio::test]
    async fn a_peer_with_too_many_connections_loses_its_own_oldest() {
        let connections = Arc::new(Connections::default());
        let other = page(&connections, 2);
        let probe = connections.open(peer(1));
        let slots: Vec<_> = (0..20).map(|_| page(&connections, 1)).collect();
        assert_eq!(connections.slots().open.len(), MOST_FROM_PEER + 2);
        assert!(!is_evicted(&other).await && !is_evicted(&probe).await);
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, number < 20 - MOST_FROM_PEER, "{number}");
        }
        drop((slots, other, probe));
        assert!(connections.slots().open.is_empty());
    }

    #[tokio::test]
    async fn a_connection_too_many_closes_the_oldest_of_all() {
        let connections = Arc::new(Connections::default());
        let slots: Vec<_> = (0..40).map(|number| page(&connections, number / 8)).collect();
        assert_eq!(
            connections.slots().open.len(),
            MOST,
            "five peers with eight each: the first has lost its connections"
        );
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, number < 8, "{number}");
        }
        let probe = connections.open(peer(200));
        assert!(!is_evicted(&slots[8]).await, "a probe takes no place from them");
        slots[9].asks_for_more();
        assert!(!is_evicted(&slots[8]).await, "it has its place");
        drop((slots, probe));
        assert!(connections.slots().open.is_empty());
    }

    #[tokio::test]
    async fn who_asks_for_nothing_loses_its_place_to_new_connections() {
        let connections = Arc::new(Connections::default());
        let other = connections.open(peer(2));
        let silent: Vec<_> = (0..40).map(|_| connections.open(peer(1))).collect();
        for (number, slot) in silent.iter().enumerate() {
            assert_eq!(is_evicted(slot).await, number < 40 - MOST_NEW_FROM_PEER, "{number}");
        }
        assert!(!is_evicted(&other).await);
        silent[0].asks_for_more(); // it is closed by now, and takes no place
        assert_eq!(connections.slots().open.len(), MOST_NEW_FROM_PEER + 1);
    }
}
