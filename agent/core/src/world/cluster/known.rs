//! The pods of this node as the API server last reported them, and the age of that report.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterSeen, Controller, Deleted, Pod, PodStage};
use crate::base::time::{Delta, Reading, Wall};
use crate::world::clocks::{IssuedClocks, VerifierClocks};
use crate::world::config::Config;
use crate::world::keys::{KeyState, Keys};
use crate::world::tokens::Tracked;

/// Most pods that the agent keeps: 20 times kubelet's default of 110 (`maxPods`). It bounds memory
/// if a broken API server lists more.
const MAX_PODS: usize = 2_200;
/// A token that was issued this long before the API server's last answer belongs to a pod that
/// existed by then. It is the default bound of a clock that no source confirms
/// (`clock.assumed_bound`).
const ISSUED_BEFORE: Delta = Delta::from_secs(300);

/// The pods of this node.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The clocks of its API servers.
    pub verifiers: VerifierClocks,
    /// The clocks of those that sign tokens.
    pub issued: IssuedClocks,
    /// The keys with which its API servers verify tokens.
    pub keys: Keys,
    /// The lease of its controller manager.
    pub controller: Controller,
    pods: BTreeMap<String, Pod>,
    /// UIDs of those pods that no longer exist at the API server, and when the agent learned it.
    /// kubelet may still be removing their files.
    gone: BTreeMap<String, Reading>,
    /// The name by which the API server is asked for this node's pods.
    node: String,
    /// Whether a token on this node confirms that name: only then the reports are about this node,
    /// and not about another one, or about none.
    is_this_node: bool,
    last_contact: Option<Reading>,
    unreachable: Option<String>,
}

/// A pod, and the age of what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The pod as last reported.
    pub pod: &'a Pod,
    /// Time since the API server last answered; nothing while it can be reached.
    pub age: Option<Delta>,
}

impl Cluster {
    /// Takes an observation. Returns the UIDs of the pods that changed with it.
    pub fn see(&mut self, seen: ClusterSeen, now: &Reading) -> Vec<String> {
        if let ClusterSeen::Unreachable { reason } = seen {
            self.unreachable = Some(reason);
            return Vec::new();
        }
        (self.last_contact, self.unreachable) = (Some(*now), None);
        match seen {
            ClusterSeen::Listed(pods) => self.listed(pods, now),
            ClusterSeen::Pod(pod) => self.put(*pod).into_iter().collect(),
            ClusterSeen::PodGone(uid) => {
                self.mark_gone(&uid, now).then_some(uid).into_iter().collect()
            }
            ClusterSeen::Unchanged | ClusterSeen::Unreachable { .. } => Vec::new(),
        }
    }

    fn listed(&mut self, pods: Vec<Pod>, now: &Reading) -> Vec<String> {
        let listed: BTreeSet<String> =
            pods.iter().take(MAX_PODS).map(|pod| pod.uid.clone()).collect();
        let mut missing: Vec<String> =
            self.pods.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        missing.retain(|uid| self.mark_gone(uid, now));
        let changed: Vec<String> =
            pods.into_iter().take(MAX_PODS).filter_map(|pod| self.put(pod)).collect();
        changed.into_iter().chain(missing).collect()
    }

    /// The pod no longer exists. It stays known while a token of it is on the node, because kubelet
    /// does not replace that token. Returns whether this is new.
    fn mark_gone(&mut self, uid: &str, now: &Reading) -> bool {
        let is_new = self.pods.contains_key(uid) && !self.gone.contains_key(uid);
        if is_new {
            self.gone.insert(uid.to_owned(), *now);
        }
        is_new
    }

    /// Removes the pods that no longer exist, except those with a token left on the node.
    pub fn retain_gone(&mut self, is_left: impl Fn(&str) -> bool) {
        let removed: Vec<String> = self.gone.keys().filter(|uid| !is_left(uid)).cloned().collect();
        for uid in removed {
            self.gone.remove(&uid);
            self.pods.remove(&uid);
        }
    }

    fn put(&mut self, pod: Pod) -> Option<String> {
        let room = self.pods.len() < MAX_PODS || self.pods.contains_key(&pod.uid);
        let changed = room && self.pods.get(&pod.uid) != Some(&pod);
        changed.then(|| {
            let uid = pod.uid.clone();
            self.gone.remove(&uid);
            self.pods.insert(uid.clone(), pod);
            uid
        })
    }

    /// Every pod that is known.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// The pod with this UID.
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.get(uid)
    }

    /// The pod with this UID, and the age of what is known of it.
    pub fn known(&self, uid: &str, now: &Reading) -> Option<Known<'_>> {
        let stale = self.unreachable.is_some();
        self.pod(uid).map(|pod| Known { pod, age: self.age(now).filter(|_| stale) })
    }

    /// The pods of the node with the name in the settings.
    pub fn of(config: &Config) -> Self {
        Self { node: config.node.clone(), keys: Keys::new(config), ..Self::default() }
    }

    /// What the answers of the API servers show of the key of a token. They judge only what kubelet
    /// requested for the pod: a pod can have any file in a volume. A refusal of the agent's own
    /// token counts for pods that the API server has not listed, too.
    pub fn key_state(&self, tracked: &Tracked) -> KeyState {
        let Some(current) = &tracked.current else { return KeyState::NotChecked };
        let state = self.keys.state(&tracked.key, current);
        let is_by_keys = matches!(state, KeyState::Split | KeyState::Missing | KeyState::Unknown);
        match self.pod(&tracked.key.pod_uid) {
            Some(pod) if pod.needs(&tracked.key) => state,
            None if !is_by_keys => state,
            Some(_) | None => KeyState::NotChecked,
        }
    }

    /// Notes that this token is on this node. It confirms the node's name if it contains it, or if
    /// the API server reported its pod.
    pub(in crate::world) fn has_token(&mut self, token: &Tracked) {
        let claimed = token.current.as_ref().and_then(|of| of.claims.binding.node.as_ref());
        self.is_this_node |= claimed.is_some_and(|node| node.name == self.node);
        self.has_directory(&token.key.pod_uid);
    }

    /// Notes that the directory of the pod `uid` is on this node.
    pub(in crate::world) fn has_directory(&mut self, uid: &str) {
        self.is_this_node |= self.pods.contains_key(uid);
    }

    /// The stage of the pod `uid`, which has a token that was issued at `issued` and that the agent
    /// first saw at `seen`.
    pub fn stage(&self, uid: &str, token: Option<(Wall, Reading)>, now: &Reading) -> PodStage {
        match (self.pods.get(uid), self.gone.get(uid)) {
            (Some(pod), Some(gone)) => {
                let ran = !matches!(PodStage::of(pod), PodStage::Ended(_));
                let age = now.monotonic - gone.monotonic;
                PodStage::Deleted(Deleted { at: gone.wall, age, ran })
            }
            (Some(pod), None) => PodStage::of(pod),
            (None, _) => token.map_or(PodStage::Unknown, |token| self.absent(token, now)),
        }
    }

    /// The stage of a pod that the API server has never reported.
    fn absent(&self, (issued, seen): (Wall, Reading), now: &Reading) -> PodStage {
        let Some(contact) = self.last_contact else { return PodStage::Unknown };
        let existed = contact.monotonic >= seen.monotonic || contact.wall - issued > ISSUED_BEFORE;
        // Also true while the API server cannot be reached: a UID never comes back.
        let complete = self.is_this_node && self.pods.len() < MAX_PODS;
        if !(existed && complete) {
            return PodStage::Unknown;
        }
        let age = now.monotonic - contact.monotonic;
        PodStage::Deleted(Deleted { at: contact.wall, age, ran: false })
    }

    /// Number of pods that exist.
    pub fn len(&self) -> usize {
        self.pods.len() - self.gone.len()
    }

    /// Whether no pod exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Time since the API server last answered; nothing if it never did.
    pub fn age(&self, now: &Reading) -> Option<Delta> {
        self.last_contact.map(|contact| now.monotonic - contact.monotonic)
    }

    /// Why the API server cannot be reached now; nothing if it can.
    pub fn unreachable(&self) -> Option<&str> {
        self.unreachable.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Monotonic, Wall};

    fn at(secs: i64) -> Reading {
        Reading {
            wall: Wall::from_secs(1_800_000_000 + secs),
            monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
        }
    }

    fn pod(uid: &str, name: &str) -> Pod {
        Pod { uid: uid.into(), name: name.into(), ..Pod::default() }
    }

    #[test]
    fn only_changed_pods_are_returned() {
        let mut cluster = Cluster::default();
        assert_eq!(
            cluster.see(ClusterSeen::Listed(vec![pod("a", "1"), pod("b", "1")]), &at(0)),
            ["a", "b"]
        );
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("a", "1"))), &at(1)), [""; 0]);
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("a", "2"))), &at(1)), ["a"]);
        assert_eq!(
            cluster.see(ClusterSeen::Listed(vec![pod("a", "2"), pod("c", "1")]), &at(2)),
            ["c", "b"]
        );
        assert_eq!(cluster.see(ClusterSeen::PodGone("a".into()), &at(3)), ["a"]);
        assert_eq!(cluster.see(ClusterSeen::PodGone("a".into()), &at(3)), [""; 0]);
        assert_eq!(cluster.len(), 1);
    }

    #[test]
    fn a_deleted_pod_is_kept_while_a_token_of_it_is_left() {
        let mut cluster = Cluster::default();
        let terminating = |secs| Pod { deletion: Some(at(secs).wall), ..pod("b", "1") };
        let _ = cluster.see(ClusterSeen::Listed(vec![pod("a", "1"), terminating(30)]), &at(0));
        let _ = cluster.see(ClusterSeen::PodGone("a".into()), &at(10));
        let _ = cluster.see(ClusterSeen::Listed(vec![]), &at(90));
        let deleted = |cluster: &Cluster, uid| match cluster.stage(uid, None, &at(100)) {
            PodStage::Deleted(deleted) => Some((deleted.at, deleted.age.as_secs(), deleted.ran)),
            _ => None,
        };
        assert_eq!(deleted(&cluster, "a"), Some((at(10).wall, 90, true)));
        assert_eq!(deleted(&cluster, "b"), Some((at(90).wall, 10, true)));
        assert!(cluster.is_empty());
        cluster.retain_gone(|uid| uid == "b");
        assert_eq!(deleted(&cluster, "a"), None);
        assert_eq!(deleted(&cluster, "b"), Some((at(90).wall, 10, true)));
        assert_eq!(
            cluster.see(ClusterSeen::Pod(Box::new(pod("b", "1"))), &at(91)),
            ["b"],
            "it exists after all"
        );
        cluster.retain_gone(|_| false);
        assert_eq!(cluster.len(), 1);
    }

    #[test]
    fn without_the_api_server_pods_stay_known_with_their_age() {
        let mut cluster = Cluster::default();
        let _ = cluster.see(ClusterSeen::Listed(vec![pod("a", "1")]), &at(0));
        let age = |cluster: &Cluster, secs| cluster.known("a", &at(secs)).map(|known| known.age);
        assert_eq!(age(&cluster, 50), Some(None), "the watch would have reported a change");
        let _ = cluster.see(ClusterSeen::Unreachable { reason: "403".into() }, &at(60));
        assert_eq!(
            (age(&cluster, 90), cluster.unreachable()),
            (Some(Some(Delta::from_secs(90))), Some("403"))
        );
        let _ = cluster.see(ClusterSeen::Unchanged, &at(100));
        assert_eq!((age(&cluster, 110), cluster.unreachable()), (Some(None), None));
        assert_eq!(cluster.age(&at(110)), Some(Delta::from_secs(10)));
    }

    #[test]
    fn an_endless_list_does_not_fill_memory() {
        let mut cluster = Cluster::default();
        let many: Vec<Pod> = (0..3_000).map(|number| pod(&number.to_string(), "x")).collect();
        let _ = cluster.see(ClusterSeen::Listed(many), &at(0));
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("more", "x"))), &at(1)), [""; 0]);
        assert_eq!(cluster.len(), MAX_PODS);
    }
}
