//! The pods of this node as last heard of, and how long ago that was.

use std::collections::BTreeMap;

use super::{ClusterSeen, Pod};
use crate::time::{Delta, Reading};

/// Pods that are kept: 20 times kubelet's default of 110 (maxPods). What a broken API server lists beyond that is not.
const MOST_PODS: usize = 2_200;

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: BTreeMap<String, Pod>,
    heard: Option<Reading>,
    unreachable: Option<String>,
}

/// A pod with how old that knowledge is.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The pod as it was.
    pub pod: &'a Pod,
    /// How long ago; nothing while the API server can be heard.
    pub age: Option<Delta>,
}

impl Cluster {
    /// Takes what was told; the UIDs of the pods about which something else is known now.
    pub fn see(&mut self, seen: ClusterSeen, now: &Reading) -> Vec<String> {
        if let ClusterSeen::Unreachable { reason } = seen {
            self.unreachable = Some(reason);
            return Vec::new();
        }
        (self.heard, self.unreachable) = (Some(*now), None);
        match seen {
            ClusterSeen::Listed(pods) => self.listed(pods),
            ClusterSeen::Pod(pod) => self.put(*pod).into_iter().collect(),
            ClusterSeen::PodGone(uid) => self.pods.remove(&uid).map(|pod| pod.uid).into_iter().collect(),
            ClusterSeen::Heard | ClusterSeen::Unreachable { .. } => Vec::new(),
        }
    }

    fn listed(&mut self, pods: Vec<Pod>) -> Vec<String> {
        let before = std::mem::take(&mut self.pods);
        self.pods = pods.into_iter().take(MOST_PODS).map(|pod| (pod.uid.clone(), pod)).collect();
        let changed = |(uid, pod): &(&String, &Pod)| before.get(*uid) != Some(*pod);
        let gone = before.keys().filter(|uid| !self.pods.contains_key(*uid));
        self.pods.iter().filter(changed).map(|(uid, _)| uid).chain(gone).cloned().collect()
    }

    fn put(&mut self, pod: Pod) -> Option<String> {
        let room = self.pods.len() < MOST_PODS || self.pods.contains_key(&pod.uid);
        let news = room && self.pods.get(&pod.uid) != Some(&pod);
        news.then(|| {
            let uid = pod.uid.clone();
            self.pods.insert(uid.clone(), pod);
            uid
        })
    }

    /// The pod with this UID.
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.get(uid)
    }

    /// The same, with how old that knowledge is.
    pub fn known(&self, uid: &str, now: &Reading) -> Option<Known<'_>> {
        let stale = self.unreachable.is_some();
        self.pod(uid).map(|pod| Known { pod, age: self.age(now).filter(|_| stale) })
    }

    /// How many pods are known.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// None is known.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Since the API server last told anything; nothing if it never did.
    pub fn age(&self, now: &Reading) -> Option<Delta> {
        self.heard.map(|heard| now.boot - heard.boot)
    }

    /// Why it cannot be asked now.
    pub fn unreachable(&self) -> Option<&str> {
        self.unreachable.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Boot, Wall};

    fn at(secs: i64) -> Reading {
        Reading { wall: Wall::from_secs(1_800_000_000 + secs), boot: Boot::from_nanos(secs * 1_000_000_000) }
    }

    fn pod(uid: &str, name: &str) -> Pod {
        Pod { uid: uid.into(), name: name.into(), ..Pod::default() }
    }

    #[test]
    fn only_what_changed_is_said_to_have_changed() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.see(ClusterSeen::Listed(vec![pod("a", "1"), pod("b", "1")]), &at(0)), ["a", "b"]);
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("a", "1"))), &at(1)), [""; 0]);
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("a", "2"))), &at(1)), ["a"]);
        assert_eq!(cluster.see(ClusterSeen::Listed(vec![pod("a", "2"), pod("c", "1")]), &at(2)), ["c", "b"]);
        assert_eq!(cluster.see(ClusterSeen::PodGone("a".into()), &at(3)), ["a"]);
        assert_eq!(cluster.see(ClusterSeen::PodGone("a".into()), &at(3)), [""; 0]);
        assert_eq!(cluster.len(), 1);
    }

    #[test]
    fn what_is_known_stays_when_nobody_tells_and_says_its_age() {
        let mut cluster = Cluster::default();
        let _ = cluster.see(ClusterSeen::Listed(vec![pod("a", "1")]), &at(0));
        let age = |cluster: &Cluster, secs| cluster.known("a", &at(secs)).map(|known| known.age);
        assert_eq!(age(&cluster, 50), Some(None), "it would have been told of a change");
        let _ = cluster.see(ClusterSeen::Unreachable { reason: "403".into() }, &at(60));
        assert_eq!((age(&cluster, 90), cluster.unreachable()), (Some(Some(Delta::from_secs(90))), Some("403")));
        let _ = cluster.see(ClusterSeen::Heard, &at(100));
        assert_eq!((age(&cluster, 110), cluster.unreachable()), (Some(None), None));
        assert_eq!(cluster.age(&at(110)), Some(Delta::from_secs(10)));
    }

    #[test]
    fn a_list_without_end_does_not_fill_memory() {
        let mut cluster = Cluster::default();
        let many: Vec<Pod> = (0..3_000).map(|number| pod(&number.to_string(), "x")).collect();
        let _ = cluster.see(ClusterSeen::Listed(many), &at(0));
        assert_eq!(cluster.see(ClusterSeen::Pod(Box::new(pod("more", "x"))), &at(1)), [""; 0]);
        assert_eq!(cluster.len(), MOST_PODS);
    }
}
