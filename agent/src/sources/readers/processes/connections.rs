//! Which pods have connections to a verifier of tokens, and whether one is new.
//!
//! A short connection is seen for a minute after its end (TIME_WAIT). So a pod's list of sockets is
//! read only if the kernel counts a new connection in the pod's network, or the list is old, and no
//! oftener than a budget allows: on a machine with a large table of sockets, reading one list takes
//! milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::readers::Connected;

use super::verifiers::{self, Verifier};
use crate::clocks;
use crate::proc::{Connection, ConnectionState, Network, ProcFs, TcpCounters, Traffic};

/// The process that has the node's own network.
const INIT: u32 = 1;
/// The part of one processor that reading lists of sockets may take: 1/200.
const SHARE: i64 = 200;
/// The time that the first look may use the share of.
const FIRST: Delta = Delta::from_secs(30);
/// Lists that are read in a look in any case.
const MIN_READS: usize = 4;
/// Connections that are kept of a pod, to find new ones.
const MAX_KEPT: usize = 1_024;
/// How soon a pod is read again that has shown since the last rotation that it uses its tokens.
const PROVEN: Delta = Delta::from_secs(300);
/// How soon a list with a connection is read again although no counter has changed: the kernel
/// counts one that the other end has closed like an established one. 250 pods then need one reading
/// a second at most, which the budget allows.
const OLD: Delta = Delta::from_secs(300);
/// Age from which such a list comes first. With 250 pods and four lists in each look, which is what
/// the slowest machine reads, a round takes this long.
const OVERDUE: Delta = Delta::from_secs(1_800);
/// Age from which a list is no longer reported. The evidence of a lasting connection needs an hour;
/// it cannot rest on one list.
const OUTDATED: Delta = Delta::from_secs(3_600);
/// From a reading to the time at which the core takes it, at most.
const DELAY: Delta = Delta::from_secs(1);

/// Time in which a client that only watches sends a segment or two.
const WATCHING: Delta = Delta::from_secs(15);
/// Bytes for which such a client sends a segment: a request has a shorter answer, as a rule.
const WINDOW: u64 = 2_048;

/// The two ends of a connection.
type Ends = (SocketAddr, SocketAddr);

/// A pod whose connections are looked at.
#[derive(Clone, Debug)]
pub(super) struct Looked<'a> {
    pub(super) uid: &'a str,
    /// A process in its network.
    pub(super) pid: u32,
    /// When the content of its volumes last changed, as far as that can be seen.
    pub(super) written: Stamp,
}

/// Changes whenever the content of a volume does.
pub(super) type Stamp = Vec<Option<(i64, i64)>>;

/// The state of a pod.
#[derive(Debug, Default)]
struct Pod {
    written: Stamp,
    /// At the last reading; none before the first.
    read: Option<(Monotonic, TcpCounters)>,
    /// The last attempt to read it, if that failed. The list may be too long, and so in each look.
    failed: Option<Monotonic>,
    ends: BTreeSet<Ends>,
    established: u32,
    /// It was not read since its volumes were last written: what is new after that reading was
    /// opened after the rotation.
    is_first: bool,
    /// It has opened a connection since that reading.
    is_proven: bool,
    /// The counters at that reading, if the list had nothing but connections to verifiers.
    alone: Option<TcpCounters>,
    /// What it had sent and received at the last look.
    traffic: Option<(Monotonic, Traffic)>,
    /// It sent requests between the last two looks.
    requests: bool,
}

/// The connections of the node's pods.
#[derive(Debug)]
pub(super) struct Connections {
    verifiers: Vec<Verifier>,
    pods: BTreeMap<String, Pod>,
    last: Option<Monotonic>,
}

/// How urgent it is to read a pod's list: the smallest first.
type Urgency = (bool, bool, Option<Monotonic>);

impl Connections {
    pub(super) fn new(verifiers: Vec<Verifier>) -> Self {
        Self { verifiers, pods: BTreeMap::new(), last: None }
    }

    /// The connections of each pod; none for a pod that has the node's network, and for all where
    /// no verifier is known.
    pub(super) fn look(
        &mut self,
        proc: &ProcFs,
        pods: &[Looked<'_>],
        now: Monotonic,
    ) -> BTreeMap<String, Connected> {
        if self.verifiers.is_empty() {
            return BTreeMap::new();
        }
        let host = proc.network(INIT);
        let own = |pod: &&Looked<'_>| is_own(proc, pod.pid, host);
        let pods: Vec<&Looked<'_>> = pods.iter().filter(own).collect();
        self.keep(&pods);
        let opened = self.read_due(proc, &pods, now);
        self.count_requests(proc, &pods, now);
        self.last = Some(now);
        let connected = |(uid, pod): (&String, &Pod)| {
            pod.read.filter(|(at, _)| now - *at < OUTDATED)?;
            let opened = opened.get(uid).copied();
            let (established, requests) = (pod.established, pod.requests);
            Some((uid.clone(), Connected { established, opened, requests }))
        };
        self.pods.iter().filter_map(connected).collect()
    }

    /// Drops the pods that no longer exist, and notes rotations.
    fn keep(&mut self, pods: &[&Looked<'_>]) {
        let mut former = std::mem::take(&mut self.pods);
        for looked in pods {
            let pod = former.remove(looked.uid);
            let mut pod = pod.unwrap_or_else(|| Pod { is_first: true, ..Pod::default() });
            if pod.written != looked.written {
                pod.written.clone_from(&looked.written);
                (pod.is_first, pod.is_proven) = (true, false);
            }
            self.pods.insert(looked.uid.to_owned(), pod);
        }
    }

    /// Reads the lists of the pods that may have a new connection, the most urgent first, as far as
    /// the budget goes. Returns the pods that have one, with the time since the reading before.
    fn read_due(
        &mut self,
        proc: &ProcFs,
        pods: &[&Looked<'_>],
        now: Monotonic,
    ) -> BTreeMap<String, Delta> {
        let mut due: Vec<(Urgency, &str, u32, TcpCounters)> = Vec::new();
        for looked in pods {
            let Some(pod) = self.pods.get(looked.uid).filter(|pod| !pod.rests(now)) else {
                continue;
            };
            let Ok(counters) = proc.tcp_counters(looked.pid) else { continue };
            let urgency = pod.urgency(counters, now);
            due.extend(urgency.map(|urgency| (urgency, looked.uid, looked.pid, counters)));
        }
        due.sort_unstable_by_key(|(urgency, uid, ..)| (*urgency, *uid));
        let (begin, budget) = (clocks::now().monotonic, self.budget(now));
        let mut opened = BTreeMap::new();
        for (reads, (_, uid, pid, counters)) in due.into_iter().enumerate() {
            if reads >= MIN_READS && clocks::now().monotonic - begin > budget {
                break;
            }
            let Some(pod) = self.pods.get_mut(uid) else { continue };
            let since = pod.read(proc, pid, &self.verifiers, (now, counters));
            opened.extend(since.map(|since| (uid.to_owned(), since)));
        }
        opened
    }

    /// Notes which pods sent requests since the last look, where the counters show that.
    fn count_requests(&mut self, proc: &ProcFs, pods: &[&Looked<'_>], now: Monotonic) {
        for looked in pods {
            if let Some(pod) = self.pods.get_mut(looked.uid) {
                pod.count_requests(proc, looked.pid, now);
            }
        }
    }

    /// The time for reading lists in this look.
    fn budget(&self, now: Monotonic) -> Delta {
        let since = self.last.map_or(FIRST, |last| now - last);
        Delta::from_nanos(since.as_nanos() / SHARE)
    }
}

/// Whether a process has another network than the node.
fn is_own(proc: &ProcFs, pid: u32, host: Option<Network>) -> bool {
    let network = proc.network(pid);
    network.is_some() && host.is_some() && network != host
}

impl Pod {
    /// Whether it need not be looked at: it uses its tokens, and they have not changed since.
    fn rests(&self, now: Monotonic) -> bool {
        self.is_proven && self.read.is_some_and(|(at, _)| now - at < PROVEN)
    }

    /// None if nothing can have changed since the last reading. A list that later ones are compared
    /// with comes first, and one that is only old or that could not be read comes last.
    fn urgency(&self, counters: TcpCounters, now: Monotonic) -> Option<Urgency> {
        let failed = self.failed.is_some();
        let Some((at, before)) = self.read else { return Some((failed, failed, None)) };
        let age = if self.established > 0 { now - at } else { Delta::ZERO };
        let may_have_ended = self.established > 0 && counters.established != before.established;
        let has_changed = counters.opened != before.opened || may_have_ended;
        let is_first = self.is_first || age >= OVERDUE;
        let is_due = is_first || has_changed || age >= OLD;
        let is_late = self.is_proven || !has_changed || failed;
        is_due.then_some((!is_first || failed, is_late, Some(at)))
    }

    /// Only where it has the connections of the last list, and had no others since.
    fn count_requests(&mut self, proc: &ProcFs, pid: u32, now: Monotonic) {
        let alone = self.alone.filter(|_| self.established > 0);
        let is_alone = alone.is_some() && proc.tcp_counters(pid).ok() == alone;
        let traffic = is_alone.then(|| proc.traffic(pid).ok()).flatten();
        let before = std::mem::replace(&mut self.traffic, traffic.map(|traffic| (now, traffic)));
        self.requests = before
            .zip(traffic)
            .is_some_and(|((then, before), after)| are_requests(now - then, before, after));
    }

    /// Reads the list. If there is a new connection, returns how long ago the reading before was.
    fn read(
        &mut self,
        proc: &ProcFs,
        pid: u32,
        verifiers: &[Verifier],
        at: (Monotonic, TcpCounters),
    ) -> Option<Delta> {
        let (mut ends, mut established, mut is_only) = (BTreeSet::new(), 0, true);
        let take = |found: Connection| {
            let is_verifier = verifiers::any(verifiers, found.remote);
            is_only &= is_verifier || found.state == ConnectionState::Closed;
            if ends.len() < MAX_KEPT && is_verifier {
                established += u32::from(found.state == ConnectionState::Open);
                ends.insert((found.local, found.remote));
            }
        };
        self.failed = proc.connections(pid, take).is_err().then_some(at.0);
        if self.failed.is_some() {
            return None;
        }
        let is_new = ends.difference(&self.ends).next().is_some();
        let before = self.read.filter(|_| is_new).map(|(before, _)| before);
        self.is_proven |= before.is_some() && !self.is_first;
        (self.read, self.is_first) = (Some(at), false);
        (self.ends, self.established) = (ends, established);
        self.alone = is_only.then_some(at.1);
        before.map(|before| clocks::now().monotonic - before + DELAY)
    }
}

/// Whether a pod that is only connected to verifiers sent requests in `span`. A client that only
/// watches sends a segment when it opens a watch, one every 30 s to test its connection, and one
/// for every few kilobytes that it receives (flow control of HTTP/2).
fn are_requests(span: Delta, before: Traffic, after: Traffic) -> bool {
    let sent = after.sent.saturating_sub(before.sent);
    let received = after.received.saturating_sub(before.received);
    let most = u64::try_from(span.as_nanos() / WATCHING.as_nanos()).unwrap_or(u64::MAX);
    sent > most.max(1).saturating_mul(2) && received / sent.max(1) < WINDOW
}

/// When the content of a volume was last replaced: kubelet renames a link in its top directory.
pub(super) fn stamp<'a>(volumes: impl Iterator<Item = &'a Path>) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let written =
        |path: &Path| std::fs::metadata(path).ok().map(|at| (at.mtime(), at.mtime_nsec()));
    volumes.map(written).collect()
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
