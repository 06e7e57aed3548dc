//! The pods of this node as the API server last reported them, and the age of that report.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterSeen, Pod};
use crate::base::time::{Delta, Reading};

/// Most pods that the agent keeps: 20 times kubelet's default of 110 (`maxPods`). It bounds memory
/// if a broken API server lists more.
const MAX_PODS: usize = 2_200;

/// The pods of this node.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: BTreeMap<String, Pod>,
    /// UIDs of those pods that no longer exist at the API server. kubelet may still be removing
    /// their files.
    gone: BTreeSet<String>,
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

    /// The pod no longer exists: its end is now at the latest. The pod stays known while a token of
    /// it is on the node, because kubelet does not have to replace that token.
    /// Returns whether this is new.
    fn mark_gone(&mut self, uid: &str, now: &Reading) -> bool {
        let Some(pod) = self.pods.get_mut(uid) else { return false };
        let is_new = self.gone.insert(uid.to_owned());
        if is_new {
            pod.deletion = Some(pod.deletion.map_or(now.wall, |deletion| deletion.min(now.wall)));
        }
        is_new
    }

    /// Removes the pods that no longer exist, except those with a token left on the node.
    pub fn retain_gone(&mut self, is_left: impl Fn(&str) -> bool) {
        let removed: Vec<String> = self.gone.iter().filter(|uid| !is_left(uid)).cloned().collect();
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

    /// The pod with this UID.
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.get(uid)
    }

    /// The pod with this UID, and the age of what is known of it.
    pub fn known(&self, uid: &str, now: &Reading) -> Option<Known<'_>> {
        let stale = self.unreachable.is_some();
        self.pod(uid).map(|pod| Known { pod, age: self.age(now).filter(|_| stale) })
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
        let deletion = |cluster: &Cluster, uid| cluster.pod(uid).map(|pod| pod.deletion);
        assert_eq!(
            (deletion(&cluster, "a"), deletion(&cluster, "b")),
            (Some(Some(at(10).wall)), Some(Some(at(30).wall)))
        );
        assert!(cluster.is_empty());
        cluster.retain_gone(|uid| uid == "b");
        assert_eq!(
            (deletion(&cluster, "a"), deletion(&cluster, "b")),
            (None, Some(Some(at(30).wall)))
        );
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
