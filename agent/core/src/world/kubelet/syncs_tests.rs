use proptest::prelude::*;

use super::*;
use crate::world::readers::ReaderEvent;

/// A kubelet that syncs the volume `token` of each pod after 1.0 to 1.5 periods, and a source that
/// reports each sync at once, and every 30 s that there was none.
struct Simulated {
    syncs: Syncs,
    now: i64,
    reported: i64,
    /// The next sync of each pod; none if kubelet does not sync it.
    next: Vec<Option<i64>>,
    period: i64,
    policy: KubeletPolicy,
    seed: u64,
    /// Since when each pod is silent, as it was reported first.
    silent: Vec<Option<i64>>,
    node_silent: Option<i64>,
}

fn at(secs: i64) -> Monotonic {
    Monotonic::default() + Delta::from_secs(10_000 + secs)
}

fn reading(secs: i64) -> Reading {
    Reading { wall: Wall::from_secs(1_800_000_000 + secs), monotonic: at(secs) }
}

fn key(pod: usize) -> TokenKey {
    of(&format!("pod-{pod}"), "token")
}

fn of(pod: &str, volume: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: volume.into(), path: "token".into() }
}

fn sync(key: &TokenKey, secs: i64) -> VolumeSync {
    let (pod_uid, volume) = (key.pod_uid.clone(), key.volume.clone());
    VolumeSync { pod_uid, volume, at: at(secs), is_certain: true }
}

impl Simulated {
    fn new(pods: usize, period: i64, seed: u64) -> Self {
        let mut new = Self {
            syncs: Syncs::default(),
            now: 0,
            reported: 0,
            next: Vec::new(),
            period,
            policy: KubeletPolicy::default(),
            seed,
            silent: vec![None; pods],
            node_silent: None,
        };
        for pod in 0..pods {
            new.watch(&key(pod));
            let first = new.wait() - period;
            new.next.push(Some(first * 2));
        }
        new
    }

    fn watch(&mut self, key: &TokenKey) {
        let (pod_uid, volume) = (key.pod_uid.clone(), key.volume.clone());
        let (directory, complete, moment) = ("..1".into(), true, false);
        let what = ReaderEvent::Watching { directory, complete, moment };
        self.syncs.watch(&ReadersSeen { pod_uid, volume, what }, &reading(self.now));
    }

    /// 1.0 to 1.5 periods.
    fn wait(&mut self) -> i64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
        self.period + i64::try_from(self.seed >> 33).unwrap() % (self.period / 2 + 1)
    }

    /// Goes on for so many seconds.
    fn run(&mut self, secs: i64) -> &mut Self {
        let end = self.now + secs;
        while self.now < end {
            let next = self.next.iter().flatten().copied().chain([self.reported + 30, end]);
            self.now = next.min().unwrap_or(end).max(self.now + 1);
            let now = self.now;
            let due: Vec<usize> = (0..self.next.len())
                .filter(|pod| self.next[*pod].is_some_and(|next| next <= now))
                .collect();
            for pod in &due {
                self.next[*pod] = Some(now + self.wait());
            }
            if !due.is_empty() || now - self.reported >= 30 {
                self.report(due.into_iter().map(|pod| sync(&key(pod), now)).collect());
            }
        }
        self
    }

    fn report(&mut self, volumes: Vec<VolumeSync>) {
        self.reported = self.now;
        let seen = SyncsSeen { until: at(self.now), volumes };
        let _ = self.syncs.see(seen, self.policy, |_| false, &reading(self.now));
        for pod in 0..self.silent.len() {
            let is_silent = self.syncs.silence(&key(pod), &reading(self.now)).is_some();
            let since = self.silent[pod].unwrap_or(self.now);
            self.silent[pod] = is_silent.then_some(since);
        }
        let is_silent = self.syncs.silent_since().is_some();
        let since = self.node_silent.unwrap_or(self.now);
        self.node_silent = is_silent.then_some(since);
    }

    /// kubelet is stopped for so long, and syncs every pod within a few seconds afterwards.
    fn stop(&mut self, secs: i64) -> &mut Self {
        let back = self.now + secs + 1;
        for (pod, next) in self.next.iter_mut().enumerate() {
            *next = next.map(|_| back + i64::try_from(pod).unwrap() % 10);
        }
        self.run(secs)
    }

    fn silent_pods(&self) -> Vec<usize> {
        (0..self.silent.len()).filter(|pod| self.silent[*pod].is_some()).collect()
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever its `syncFrequency`, and with restarts, a healthy kubelet is never silent.
    #[test]
    fn a_healthy_kubelet_is_not_silent(
        pods in 1usize..40,
        period in 10i64..600,
        seed in any::<u64>(),
        restarts in proptest::collection::vec((200i64..3_000, 1i64..50), 0..4),
        errors in 0i64..600,
    ) {
        // At first, errors make it sync each pod more often.
        let mut node = Simulated::new(pods, if errors > 0 { 10 } else { period }, seed);
        if errors > 0 {
            node.policy = KubeletPolicy::syncing(Delta::from_secs(period.max(60)));
        }
        node.run(errors);
        node.period = period;
        for (after, down) in restarts {
            for _ in 0..after / 10 {
                node.run(10);
                let silent = node.silent_pods();
                prop_assert!(silent.is_empty(), "{silent:?} of {pods}");
                prop_assert_eq!(node.node_silent, None);
            }
            node.stop(down.min(period));
        }
        node.run(period * 20);
        prop_assert!(node.silent_pods().is_empty());
        prop_assert_eq!(node.node_silent, None);
    }

    /// One that stops to sync a pod is named within three periods, and nobody else is: here with
    /// the time between two reports.
    #[test]
    fn a_silent_pod_is_named_within_three_periods(
        pods in 12usize..60,
        period in 60i64..300,
        seed in any::<u64>(),
        which in 0usize..4,
    ) {
        let mut node = Simulated::new(pods, period, seed);
        let cause = node.run(period * 15).now;
        node.next[which] = None;
        node.run(period * 3 + 120);
        prop_assert_eq!(node.silent_pods(), vec![which]);
        let named = node.silent[which].unwrap() - cause;
        prop_assert!(named <= period * 3 + 120, "{named} s at {period} s");
        let silence = node.syncs.silence(&key(which), &reading(node.now)).unwrap();
        prop_assert_eq!(silence.extent, Extent::VolumeOrPod);
        prop_assert!(silence.is_exact);
        node.next[which] = Some(node.now + 1);
        node.run(2);
        prop_assert!(node.silent_pods().is_empty());
    }
}

#[test]
fn a_stopped_kubelet_is_one_silence_and_needs_time_when_it_is_back() {
    let mut node = Simulated::new(30, 60, 7);
    let stopped = node.run(1_200).now;
    node.stop(600);
    let named = node.node_silent.expect("nothing is synced") - stopped;
    assert!((90..=180).contains(&named), "{named}");
    assert_eq!(node.silent_pods().len(), 30);
    let first = node.silent.iter().flatten().min().unwrap() - stopped;
    assert_eq!(first, named, "none was named alone before");
    let silence = node.syncs.silence(&key(3), &reading(node.now)).unwrap();
    assert_eq!(silence.extent, Extent::Node);
    node.run(20);
    assert_eq!((node.node_silent, node.silent_pods()), (None, vec![]));
    node.run(600);
    assert_eq!((node.node_silent, node.silent_pods()), (None, vec![]));
}

#[test]
fn two_pods_are_enough_for_a_silent_node_and_one_is_enough_for_itself() {
    for pods in [1, 2] {
        let mut node = Simulated::new(pods, 60, 3);
        node.run(1_200).next.fill(None);
        node.run(240);
        assert_eq!(node.silent_pods().len(), pods);
        assert_eq!(node.node_silent.is_some(), pods == 2);
    }
}

#[test]
fn a_client_that_looks_like_kubelet_does_not_hide_a_stopped_one() {
    let mut node = Simulated::new(10, 60, 11);
    node.run(1_200).next.fill(None);
    for _ in 0..40 {
        node.run(9);
        node.now += 1;
        node.report(vec![sync(&key(5), node.now)]);
    }
    assert!(node.node_silent.is_some());
    assert_eq!(node.silent_pods().len(), 9, "the tenth may be synced");
}

#[test]
fn a_client_that_looks_like_kubelet_makes_no_other_pod_silent() {
    let mut node = Simulated::new(10, 60, 11);
    for _ in 0..200 {
        node.run(9);
        node.now += 1;
        node.report(vec![sync(&key(5), node.now)]);
        assert!(node.silent_pods().is_empty());
    }
}

#[test]
fn what_was_not_seen_is_no_silence() {
    let missed = |node: &mut Simulated, what: &ReaderEvent| {
        for pod in 0..4 {
            let TokenKey { pod_uid, volume, path: _ } = key(pod);
            let seen = ReadersSeen { pod_uid, volume, what: what.clone() };
            node.syncs.watch(&seen, &reading(node.now));
        }
    };
    let span = Delta::from_secs(100);
    let events = [
        ReaderEvent::Missed { span, why: "an overflow".into() },
        ReaderEvent::Watching { directory: "..2".into(), complete: false, moment: false },
    ];
    for event in events {
        let mut node = Simulated::new(12, 60, 5);
        node.run(1_200).next[2] = None;
        node.run(80);
        missed(&mut node, &event);
        node.run(100);
        assert!(node.silent_pods().is_empty(), "{event:?}");
        node.run(100);
        assert_eq!(node.silent_pods(), [2]);
        let silence = node.syncs.silence(&key(2), &reading(node.now)).unwrap();
        assert!(!silence.is_exact, "it may have been synced later than was seen");
        missed(&mut node, &event);
        node.run(30);
        let after = node.syncs.silence(&key(2), &reading(node.now)).map(|silence| silence.since);
        assert_eq!(after, Some(silence.since), "only a sync ends it");
        node.next[2] = Some(node.now + 1);
        node.run(2);
        assert!(node.silent_pods().is_empty());
    }
    let mut node = Simulated::new(12, 60, 5);
    node.run(1_200).next[2] = None;
    node.run(300);
    missed(&mut node, &ReaderEvent::Unseen { why: "no watches left".into() });
    assert_eq!(node.syncs.silence(&key(2), &reading(node.now)), None);
}

#[test]
fn a_time_in_which_the_agent_or_the_machine_was_stopped_is_no_silence() {
    let mut node = Simulated::new(12, 60, 5);
    node.run(1_200);
    node.now += 3_600; // nothing was reported, and the queue has lost its order
    node.report(vec![sync(&key(1), node.now)]);
    assert_eq!((node.node_silent, node.silent_pods()), (None, vec![]));
    node.next = (0..12).map(|pod| Some(node.now + 5 * pod)).collect();
    node.run(600);
    assert_eq!((node.node_silent, node.silent_pods()), (None, vec![]));
}

#[test]
fn the_extent_is_that_of_what_is_not_synced() {
    let mut node = Simulated::new(12, 60, 5);
    let (first, second) = (of("pair", "a"), of("pair", "b"));
    node.watch(&first);
    node.watch(&second);
    for _ in 0..20 {
        node.run(69);
        node.now += 1;
        node.report(vec![sync(&first, node.now), sync(&second, node.now)]);
    }
    let mut volume = Simulated { syncs: node.syncs.clone(), next: node.next.clone(), ..node };
    for _ in 0..4 {
        volume.run(69);
        volume.now += 1;
        volume.report(vec![sync(&first, volume.now)]);
    }
    let extent = |node: &Simulated, key: &TokenKey| {
        node.syncs.silence(key, &reading(node.now)).map(|silence| silence.extent)
    };
    assert_eq!(extent(&volume, &second), Some(Extent::Volume));
    assert_eq!(extent(&volume, &first), None);
    volume.run(300);
    assert_eq!(extent(&volume, &second), Some(Extent::Pod));
    assert_eq!(extent(&volume, &first), Some(Extent::Pod));
}

#[test]
fn two_volumes_of_a_pod_that_is_held_up_end_together() {
    let mut node = Simulated::new(12, 60, 5);
    let pair = [of("pair", "a"), of("pair", "b")];
    for key in &pair {
        node.watch(key);
    }
    for nth in 0..20 {
        node.run(69);
        node.now += 1;
        let seen = if nth == 15 { &pair[..1] } else { &pair[..] }; // one has a longer rhythm
        node.report(seen.iter().map(|key| sync(key, node.now)).collect());
    }
    for _ in 0..40 {
        node.run(10);
        for key in &pair {
            let silence = node.syncs.silence(key, &reading(node.now));
            assert!(silence.is_none_or(|silence| silence.extent == Extent::Pod), "{silence:?}");
        }
    }
    assert!(pair.iter().all(|key| node.syncs.silence(key, &reading(node.now)).is_some()));
}

#[test]
fn most_pods_are_one_silence() {
    let mut node = Simulated::new(20, 60, 9);
    let stopped = node.run(1_200).now;
    node.next[3..].fill(None);
    let mut alone = 0;
    for _ in 0..400 {
        node.run(1);
        let silent = node.silent_pods().len();
        alone = alone.max(if node.node_silent.is_none() { silent } else { 0 });
    }
    assert_eq!((node.syncs.silent_pods(), node.silent_pods().len()), ((17, 20), 17));
    let named = node.node_silent.unwrap() - stopped;
    assert!(named <= 240 && alone <= 1, "{named} s, {alone} were named alone before");
    for pod in 3..20 {
        node.next[pod] = Some(node.now + 5);
    }
    node.run(60);
    assert_eq!((node.node_silent, node.silent_pods()), (None, vec![]));
}

#[test]
fn a_pod_whose_images_are_pulled_has_no_rhythm() {
    let mut node = Simulated::new(12, 60, 5);
    node.run(1_200);
    node.watch(&of("new", "token"));
    node.report(vec![sync(&of("new", "token"), node.now)]);
    node.run(1_200);
    assert_eq!(node.syncs.silence(&of("new", "token"), &reading(node.now)), None);
}

#[test]
fn a_report_about_a_volume_that_is_gone_is_of_nothing() {
    let mut node = Simulated::new(4, 60, 5);
    node.run(600);
    node.syncs.gone(&key(1));
    node.run(600);
    assert_eq!(node.syncs.volumes.len(), 3);
    assert!(node.silent_pods().is_empty());
}

#[test]
fn a_setting_of_kubelet_that_is_known_counts() {
    for (period, expected) in [(10, 60), (60, 190), (300, 900)] {
        let mut node = Simulated::new(20, period, 3);
        node.policy = KubeletPolicy::syncing(Delta::from_secs(period));
        let stopped = node.run(period * 30 + 300).now;
        node.next[2] = None;
        node.run(period * 4 + 60);
        let named = node.silent[2].unwrap() - stopped;
        assert!(named <= expected, "{named} s at {period} s");
    }
}

#[test]
fn a_pod_that_held_up_kubelet_once_does_not_change_its_rhythm() {
    let mut rhythm = Rhythm::new(at(0));
    let mut last = 0;
    for spacing in [66, 60, 80, 900, 70, 75, 85, 62, 81] {
        last += spacing;
        rhythm.synced(at(last));
    }
    assert_eq!(rhythm.longest(), Some(Delta::from_secs(86)));
    assert_eq!(rhythm.syncs_since(at(last - 160)), 3);
    rhythm.interrupted(at(last + 50));
    assert_eq!(rhythm.syncs_since(at(0)), 0, "nothing is known of the time before");
    rhythm.synced(at(last + 40));
    assert_eq!(rhythm.last(), at(last + 50), "a late report");
    rhythm.synced(at(last + 55));
    assert_eq!(rhythm.longest(), Some(Delta::from_secs(86)), "5 s is no rhythm");
    rhythm.synced(at(last + 115));
    assert_eq!(rhythm.syncs_since(at(0)), 2);
}
