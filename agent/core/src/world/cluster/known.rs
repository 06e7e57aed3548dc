//! The pods of this node as last heard of, and how long ago that was.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterSeen, Pod};
use crate::base::time::{Delta, Reading};

/// Pods that are kept: 20 times kubelet's default of 110 (maxPods). What a broken API server lists
/// beyond that is not.
const MOST_PODS: usize = 2_200;

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: BTreeMap<String, Pod>,
    /// Of them, those that the API server does not know any more. kubelet may still be at work on
    /// what is left of them.
    gone: BTreeSet<String>,
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
            ClusterSeen::Listed(pods) => self.listed(pods, now),
            ClusterSeen::Pod(pod) => self.put(*pod).into_iter().collect(),
            ClusterSeen::PodGone(uid) => {
                self.let_go(&uid, now).then_some(uid).into_iter().collect()
            }
            ClusterSeen::Heard | ClusterSeen::Unreachable { .. } => Vec::new(),
        }
    }

    fn listed(&mut self, pods: Vec<Pod>, now: &Reading) -> Vec<String> {
        let listed: BTreeSet<String> =
            pods.iter().take(MOST_PODS).map(|pod| pod.uid.clone()).collect();
        let mut missing: Vec<String> =
            self.pods.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        missing.retain(|uid| self.let_go(uid, now));
        let changed: Vec<String> =
            pods.into_iter().take(MOST_PODS).filter_map(|pod| self.put(pod)).collect();
        changed.into_iter().chain(missing).collect()
    }

    /// It is over with this pod, at the latest now. What is known of it stays for as long as
    /// something of it is on the node: a token that is not replaced any more is no fault of
    /// kubelet's.
    fn let_go(&mut self, uid: &str, now: &Reading) -> bool {
        let Some(pod) = self.pods.get_mut(uid) else { return false };
        let news = self.gone.insert(uid.to_owned());
        if news {
            pod.deletion = Some(pod.deletion.map_or(now.wall, |deletion| deletion.min(now.wall)));
        }
        news
    }

    /// Of pods that are gone only those are kept of which something is left.
    pub fn keep(&mut self, is_left: impl Fn(&str) -> bool) {
        let over: Vec<String> = self.gone.iter().filter(|uid| !is_left(uid)).cloned().collect();
        for uid in over {
            self.gone.remove(&uid);
            self.pods.remove(&uid);
        }
    }

    fn put(&mut self, pod: Pod) -> Option<String> {
        let room = self.pods.len() < MOST_PODS || self.pods.contains_key(&pod.uid);
        let news = room && self.pods.get(&pod.uid) != Some(&pod);
        news.then(|| {
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

    /// The same, with how old that knowledge is.
    pub fn known(&self, uid: &str, now: &Reading) -> Option<Known<'_>> {
        let stale = self.unreachable.is_some();
        self.pod(uid).map(|pod| Known { pod, age: self.age(now).filter(|_| stale) })
    }

    /// How many pods there are.
    pub fn len(&self) -> usize {
        self.pods.len() - self.gone.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since the API server last told anything; nothing if it never did.
    pub fn age(&self, now: &Reading) -> Option<Delta> {
        self.heard.map(|heard| now.monotonic - heard.monotonic)
    }

    /// Why it cannot be asked now.
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
    fn only_what_changed_is_said_to_have_changed() {
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
    fn of_a_pod_that_is_gone_is_known_that_it_is_as_long_as_something_is_left_of_it() {
        let mut cluster = Cluster::default();
        let going = |secs| Pod { deletion: Some(at(secs).wall), ..pod("b", "1") };
        let _ = cluster.see(ClusterSeen::Listed(vec![pod("a", "1"), going(30)]), &at(0));
        let _ = cluster.see(ClusterSeen::PodGone("a".into()), &at(10));
        let _ = cluster.see(ClusterSeen::Listed(vec![]), &at(90));
        let deletion = |cluster: &Cluster, uid| cluster.pod(uid).map(|pod| pod.deletion);
        assert_eq!(
            (deletion(&cluster, "a"), deletion(&cluster, "b")),
            (Some(Some(at(10).wall)), Some(Some(at(30).wall)))
        );
        assert!(cluster.is_empty());
        cluster.keep(|uid| uid == "b");
        assert_eq!(
            (deletion(&cluster, "a"), deletion(&cluster, "b")),
            (None, Some(Some(at(30).wall)))
        );
        assert_eq!(
            cluster.see(ClusterSeen::Pod(Box::new(pod("b", "1"))), &at(91)),
            ["b"],
            "it was not over"
        );
        cluster.keep(|_| false);
        assert_eq!(cluster.len(), 1);
    }

    #[test]
    fn what_is_known_stays_when_nobody_tells_and_says_its_age() {
        let mut cluster = Cluster::default();
        let _ = cluster.see(ClusterSeen::Listed(vec![pod("a", "1")]), &at(0));
        let age = |cluster: &Cluster, secs| cluster.known("a", &at(secs)).map(|known| known.age);
        assert_eq!(age(&cluster, 50), Some(None), "it would have been told of a change");
        let _ = cluster.see(ClusterSeen::Unreachable { reason: "403".into() }, &at(60));
        assert_eq!(
            (age(&cluster, 90), cluster.unreachable()),
            (Some(Some(Delta::from_secs(90))), Some("403"))
        );
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
