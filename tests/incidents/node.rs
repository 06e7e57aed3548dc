//! A node and its cluster as they really are, and what an agent on the node observes of them. All
//! times are seconds of true time since the story began.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::engine::Config;
use tokenwatch_core::world::clocks::{
    DateSeen, Exchange, ExchangeError, Leap, Round, Sample, ServerName, Step,
};
use tokenwatch_core::world::cluster::{
    ClusterSeen, Container, Convention, MountedPart, Owner, Phase, Pod, TokenMount,
};
use tokenwatch_core::world::copies::{CopiedToken, CopiesSeen, CopyKind, Mention, Plugin};
use tokenwatch_core::world::kubelet::{SyncsSeen, VolumeSync};
use tokenwatch_core::world::observation::{
    Absence, FileContent, FileSeen, Observation, SourceState,
};
use tokenwatch_core::world::readers::{
    Connected, ContainersSeen, MountKind, ReaderEvent, ReadersSeen, RunningContainer, SeenMount,
};
use tokenwatch_core::world::tokens::{Binding, Claims, ObjectRef, SigningKey, TokenKey};

use crate::cluster::{Cluster, Server};
use crate::timeline::Timeline;

/// True time at the start of a story, in seconds since the Unix epoch.
pub(crate) const START: i64 = 1_800_000_000;
/// How long the machine has run by then: long after its boot.
const UP: i64 = 10_000;
/// The name of the node.
pub(crate) const NODE: &str = "node-1";
/// The namespace of the pods.
const NAMESPACE: &str = "shop";
/// kubelet syncs a pod once a minute (`syncFrequency`).
const SYNC: i64 = 60;
/// Seconds between two looks at the processes: the longest time between those of the agent.
pub(crate) const LOOK: i64 = 60;
/// kubelet replaces a token after a day at the latest (maxTTL in token_manager.go).
const OLDEST: i64 = 86_400;
/// An end that no story reaches.
pub(crate) const FOREVER: i64 = i64::MAX / 4_000_000_000;

/// A token of a pod's spec.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub volume: &'static str,
    pub audience: &'static str,
    /// Seconds from `iat` to `exp`.
    pub life: i64,
    /// Seconds from `iat` to `warnafter`, where the API server extends the expiry.
    pub warn_after: Option<i64>,
    /// Who decides whether it is accepted.
    pub verifier: Verifier,
}

/// How clients are known to read the token of this volume.
fn convention(volume: &str) -> Option<Convention> {
    match volume {
        "aws-iam-token" => Some(Convention::AwsWebIdentity),
        "azure-identity-token" => Some(Convention::AzureFederated),
        "istio-token" => Some(Convention::IstioToken),
        "kube-api-access-x" => Some(Convention::InCluster),
        _ => None,
    }
}

/// Who verifies a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verifier {
    /// The API servers, with a leeway of 60 s.
    Api,
    /// A service outside of the cluster, by true time and without leeway.
    Outside,
    /// A program on the node, by the node's clock and without leeway.
    OnNode,
}

/// A token that somebody sends from one time to another.
pub(crate) struct Use {
    pub since: i64,
    pub until: i64,
    pub claims: Claims,
    pub verifier: Verifier,
}

struct Generation {
    since: i64,
    directory: String,
    claims: Claims,
}

/// A file of a pod, and what kubelet wrote there.
struct File {
    spec: Spec,
    /// The second of its first sync.
    phase: i64,
    generations: Vec<Generation>,
}

/// The node, its cluster, and what the agent observes.
pub(crate) struct Node {
    pub config: Config,
    /// How far the node's clock is ahead of true time, in milliseconds.
    pub ahead: Timeline<i64>,
    /// The machine stood still from this second, for so many seconds.
    pub pause: Option<(i64, i64)>,
    pub cluster: Cluster,
    /// What the agent observes, in any order.
    pub observed: Vec<(Delta, Observation)>,
    /// Who uses which token.
    pub uses: Vec<Use>,
    /// When a client fails, where no rule about tokens shows it.
    pub breaks: Option<i64>,
    pub pods: BTreeMap<&'static str, Pod>,
    pub end: i64,
    /// Seconds between two looks at the time servers and at the API server's clock.
    pub pace: i64,
    /// Whether time servers answer.
    pub has_time_servers: bool,
    /// How far one of the three time servers is ahead of true time, in seconds.
    pub false_server: i64,
    /// How long the machine had run when the story began.
    pub up: i64,
    listed: Vec<Pod>,
    files: BTreeMap<TokenKey, File>,
}

impl Node {
    /// A node with good clocks, whose agent sees everything from second 0 to `end`.
    pub(crate) fn new(end: i64) -> Self {
        let mut config = Config {
            node: NODE.into(),
            cluster_configured: true,
            scan_expected: true,
            ..Config::default()
        };
        config.clock.servers_configured = true;
        Self {
            config,
            ahead: Timeline::always(0),
            pause: None,
            cluster: Cluster::of(vec![Server::good()]),
            observed: Vec::new(),
            uses: Vec::new(),
            breaks: None,
            pods: BTreeMap::new(),
            end,
            pace: 64, // the agent's default interval between two rounds
            has_time_servers: true,
            false_server: 0,
            up: UP,
            listed: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// The node's clocks at `at`, by true time.
    pub(crate) fn reading(&self, at: Delta) -> Reading {
        let stood = self.pause.filter(|(from, long)| at.as_secs() >= from + long);
        let runs = at - Delta::from_secs(stood.map_or(0, |(_, long)| long));
        let ahead = Delta::from_millis(self.ahead.at(at.as_secs()));
        Reading {
            wall: Wall::from_secs(START) + runs + ahead,
            monotonic: Monotonic::from_nanos(0) + Delta::from_secs(self.up) + runs,
        }
    }

    pub(crate) fn at(&self, second: i64) -> Reading {
        self.reading(Delta::from_secs(second))
    }

    /// The second of true time at which the monotonic clock reads this.
    pub(crate) fn when(&self, monotonic: Monotonic) -> Delta {
        let runs = monotonic - Monotonic::from_nanos(0) - Delta::from_secs(self.up);
        let stood = self.pause.filter(|(from, _)| runs.as_secs() >= *from);
        runs + Delta::from_secs(stood.map_or(0, |(_, long)| long))
    }

    pub(crate) fn observe(&mut self, second: i64, observation: Observation) {
        self.observed.push((Delta::from_secs(second), observation));
    }

    /// A running pod with one container, which mounts these tokens whole.
    pub(crate) fn pod(&mut self, name: &'static str, specs: &[Spec]) {
        let mount = |spec: &Spec| TokenMount {
            volume: spec.volume.into(),
            path: "token".into(),
            mount_path: format!("/var/run/{}", spec.volume),
            part: MountedPart::Whole,
            convention: convention(spec.volume),
        };
        let container = Container {
            name: "app".into(),
            id: Some(format!("id-{name}")),
            image: "registry.example/app:1".into(),
            volumes: specs.iter().map(|spec| spec.volume.into()).collect(),
            started: Some(self.at(2).wall),
            tokens: specs.iter().map(mount).collect(),
        };
        let pod = Pod {
            uid: name.into(),
            namespace: NAMESPACE.into(),
            name: name.into(),
            owner: Some(Owner { kind: "ReplicaSet".into(), name: name.into() }),
            service_account: Some(account_of(name).into()),
            containers: vec![container],
            phase: Phase::Running,
            ..Pod::default()
        };
        self.pods.insert(name, pod.clone());
        self.listed.push(pod);
    }

    /// A pod with one token, which kubelet replaces until `until`.
    pub(crate) fn runs(&mut self, name: &'static str, spec: Spec, until: i64) {
        self.pod(name, &[spec]);
        self.kubelet(name, spec, 2, until);
    }

    /// The same for a pod that starts later.
    pub(crate) fn starts_at(&mut self, second: i64, name: &'static str, spec: Spec, until: i64) {
        self.pod(name, &[spec]);
        let mut pod = self.listed.pop().expect("it was listed just now");
        pod.containers[0].started = Some(self.at(second).wall);
        self.pods.insert(name, pod);
        self.pod_changes(second, name, |_| ());
        self.kubelet(name, spec, second, until);
    }

    /// The API server reports a changed pod.
    pub(crate) fn pod_changes(&mut self, second: i64, name: &str, change: impl Fn(&mut Pod)) {
        let pod = self.pods.get_mut(name).expect("a pod of the story");
        change(pod);
        let seen = ClusterSeen::Pod(Box::new(pod.clone()));
        self.observe(second, Observation::Cluster(seen));
    }

    /// The pod is removed at the API server.
    pub(crate) fn pod_gone(&mut self, second: i64, name: &str) {
        self.cluster.deleted.insert(name.into(), second);
        let seen = ClusterSeen::PodGone(name.into());
        self.observe(second, Observation::Cluster(seen));
    }

    /// kubelet writes the token at `from` and replaces it by its rule until `until`, with one sync
    /// a minute.
    pub(crate) fn kubelet(&mut self, pod: &str, spec: Spec, from: i64, until: i64) {
        let key = key(pod, spec);
        let file = File { spec, phase: from, generations: Vec::new() };
        self.files.entry(key.clone()).or_insert(file);
        let mut due = None;
        for second in (from..=until.min(self.end)).step_by(usize::try_from(SYNC).unwrap()) {
            let is_due = due.is_none_or(|due| self.at(second).wall > due);
            if is_due && !self.stands(second) && !self.cluster.is_away(second) {
                due = Some(self.rotates(&key, second));
            }
        }
    }

    fn stands(&self, second: i64) -> bool {
        self.pause.is_some_and(|(from, long)| (from..from + long).contains(&second))
    }

    /// kubelet gets a token and writes it. Returns when that one is due.
    pub(crate) fn rotates(&mut self, key: &TokenKey, second: i64) -> Wall {
        let (spec, nth) = (self.files[key].spec, self.files[key].generations.len());
        let claims = self.issued(key, spec, second, nth);
        self.writes(key, claims.clone(), second);
        let effective = spec.warn_after.unwrap_or(spec.life);
        claims.issued_at + Delta::from_secs((effective * 4 / 5).min(OLDEST))
    }

    /// kubelet writes this token.
    pub(crate) fn writes(&mut self, key: &TokenKey, claims: Claims, second: i64) {
        let nth = self.files[key].generations.len();
        let directory = format!("..gen-{nth}");
        let content = FileContent::Token(Box::new(claims.clone()));
        self.file(second, key, Some(directory.clone()), content);
        let (complete, moment) = (true, false);
        let what = ReaderEvent::Watching { directory: directory.clone(), complete, moment };
        self.readers(second, key, what);
        let file = self.files.get_mut(key).expect("a file of the story");
        file.generations.push(Generation { since: second, directory, claims });
    }

    /// A token that the API server issues for this file: of several servers, they take turns.
    pub(crate) fn issued(&self, key: &TokenKey, spec: Spec, second: i64, nth: usize) -> Claims {
        let server = &self.cluster.servers[nth % self.cluster.servers.len()];
        let iat = server.shows(second);
        let (issuer, signer) = (server.issuers.at(second)[0], server.keys.at(second)[0]);
        let account = account_of(&key.pod_uid);
        let uid = self.cluster.uid_of(account, second);
        let pod = ObjectRef { name: key.pod_uid.clone(), uid: Some(key.pod_uid.clone()) };
        Claims {
            issuer: issuer.into(),
            subject: format!("system:serviceaccount:{NAMESPACE}:{account}"),
            audiences: vec![if spec.audience.is_empty() { issuer } else { spec.audience }.into()],
            issued_at: Wall::from_secs(iat),
            not_before: Wall::from_secs(iat),
            expires_at: Wall::from_secs(iat + spec.life),
            warn_after: spec.warn_after.map(|after| Wall::from_secs(iat + after)),
            credential: Some(format!("{}-{}-{nth}", key.pod_uid, key.volume)),
            binding: Binding {
                namespace: NAMESPACE.into(),
                service_account: ObjectRef { name: account.into(), uid },
                pod: Some(pod),
                secret: None,
                node: Some(ObjectRef { name: NODE.into(), uid: Some("node-uid".into()) }),
            },
            key: SigningKey { id: Some(signer.into()), is_external: false },
        }
    }

    fn file(
        &mut self,
        second: i64,
        key: &TokenKey,
        directory: Option<String>,
        content: FileContent,
    ) {
        let written_at = Some(self.at(second).wall);
        let seen = FileSeen { key: key.clone(), written_at, directory, content, signature: None };
        self.observe(second, Observation::File(seen));
    }

    /// The file holds something else than a token.
    pub(crate) fn holds(&mut self, second: i64, pod: &str, spec: Spec, content: FileContent) {
        self.file(second, &key(pod, spec), None, content);
    }

    /// The file is not there.
    pub(crate) fn lacks(&mut self, second: i64, pod: &str, spec: Spec, absence: Absence) {
        self.holds(second, pod, spec, FileContent::Missing(absence));
    }

    pub(crate) fn readers(&mut self, second: i64, key: &TokenKey, what: ReaderEvent) {
        let (pod_uid, volume) = (key.pod_uid.clone(), key.volume.clone());
        self.observe(second, Observation::Readers(ReadersSeen { pod_uid, volume, what }));
    }

    /// A client reads the token at these seconds, and sends what it read last.
    pub(crate) fn reads(&mut self, pod: &str, spec: Spec, seconds: &[i64]) {
        let key = key(pod, spec);
        for (nth, second) in seconds.iter().copied().enumerate() {
            let until = seconds.get(nth + 1).copied().unwrap_or(FOREVER);
            let (directory, claims) = self.in_file(&key, second);
            let (path, by, within) = ("token".into(), None, Delta::ZERO);
            self.readers(second, &key, ReaderEvent::Opened { directory, path, by, within });
            let verifier = spec.verifier;
            self.uses.push(Use { since: second, until, claims, verifier });
        }
    }

    /// When each token was written, and when it expires.
    pub(crate) fn lives(&self, pod: &str, spec: Spec) -> Vec<(i64, i64)> {
        let all = self.files[&key(pod, spec)].generations.iter();
        all.map(|one| (one.since, one.claims.expires_at.as_secs() - START)).collect()
    }

    /// The token in the file at `second`.
    pub(crate) fn token(&self, pod: &str, spec: Spec, second: i64) -> Claims {
        self.in_file(&key(pod, spec), second).1
    }

    /// The directory and the token in the file at `second`.
    pub(crate) fn in_file(&self, key: &TokenKey, second: i64) -> (String, Claims) {
        let written = self.files[key].generations.iter().rev();
        let mut by_then = written.skip_while(|one| one.since > second);
        let one = by_then.next().expect("kubelet has written the file");
        (one.directory.clone(), one.claims.clone())
    }

    /// The processes of a pod with these connections: a look a minute.
    pub(crate) fn processes(
        &mut self,
        pod: &str,
        spec: Spec,
        (from, to): (i64, i64),
        connected: Connected,
    ) {
        for second in (from..to).step_by(usize::try_from(LOOK).unwrap()) {
            self.containers(second, pod, spec, &MountKind::Current, Some(connected));
        }
    }

    /// One look at the processes of a pod.
    pub(crate) fn containers(
        &mut self,
        second: i64,
        pod: &str,
        spec: Spec,
        kind: &MountKind,
        connected: Option<Connected>,
    ) {
        let mount = SeenMount {
            volume: spec.volume.into(),
            mount_path: format!("/var/run/{}", spec.volume),
            kind: kind.clone(),
        };
        let running = RunningContainer {
            id: format!("id-{pod}"),
            started: self.at(2).wall,
            program: "app".into(),
            mounts: vec![mount],
            library: None,
        };
        let (pod_uid, containers) = (pod.into(), vec![running]);
        let seen = ContainersSeen { pod_uid, containers, partial: false, connected };
        self.observe(second, Observation::Containers(seen));
    }

    /// A file on the host holds this token from `second` on; none if the file is removed.
    pub(crate) fn copy(&mut self, second: i64, copy: HostFile, claims: Option<Claims>) {
        let token = |claims| CopiedToken { user: Some("cni".into()), ..CopiedToken::new(claims) };
        let written_at = Some(self.at(second).wall);
        let HostFile { path, plugin, mention } = copy;
        let tokens = claims.into_iter().map(token).collect();
        let path = path.into();
        let kind = CopyKind::Kubeconfig;
        let seen = CopiesSeen { path, kind, plugin, mention, written_at, tokens };
        self.observe(second, Observation::Copies(seen));
    }

    /// kubelet's syncs of all volumes, except those that it leaves out at a second.
    pub(crate) fn syncs(&mut self, leaves_out: impl Fn(&TokenKey, i64) -> bool) {
        for second in 3..self.end {
            let is_synced = |(key, file): &(&TokenKey, &File)| {
                let is_turn = second > file.phase && (second - file.phase) % SYNC == 0;
                is_turn && !leaves_out(key, second)
            };
            let until = self.at(second).monotonic;
            let sync = |key: &TokenKey| VolumeSync {
                pod_uid: key.pod_uid.clone(),
                volume: key.volume.clone(),
                at: until,
                is_certain: true,
            };
            let synced = self.files.iter().filter(is_synced);
            let volumes: Vec<VolumeSync> = synced.map(|(key, _)| sync(key)).collect();
            // The source reports at least every 30 s that there was none.
            if !volumes.is_empty() || second % 30 == 0 {
                self.observe(second, Observation::Syncs(SyncsSeen { until, volumes }));
            }
        }
    }

    /// The node's clock is set: from `second` on it is so many milliseconds ahead of true time.
    pub(crate) fn clock_set(&mut self, second: i64, ahead: i64) {
        let size = Delta::from_millis(ahead - self.ahead.at(second - 1));
        self.ahead.change(second, ahead);
        let step = Step { size, after: self.at(second) };
        self.observe(second, Observation::ClockStep(step));
    }

    /// What a source reports when it is ready.
    fn ready(&mut self, source: &str) {
        let state = SourceState { source: source.into(), degraded: None };
        self.observe(1, Observation::Source(state));
    }

    /// Adds what every agent observes: the list of pods, time servers, and the API server's clock.
    pub(crate) fn finish(mut self) -> Self {
        let listed = ClusterSeen::Listed(std::mem::take(&mut self.listed));
        self.observed.insert(0, (Delta::from_secs(1), Observation::Cluster(listed)));
        for second in (1..self.end).step_by(usize::try_from(self.pace).unwrap()) {
            if !self.stands(second) {
                self.looks(second);
            }
        }
        for source in ["copies", "files"] {
            self.ready(source);
        }
        self.observed.sort_by_key(|(at, _)| *at);
        self
    }

    /// The agent starts at `second`. It finds what is there, and has not seen who read it.
    pub(crate) fn agent_starts(mut self, second: i64) -> Self {
        let start = Delta::from_secs(second);
        let is_found = |one: &Observation| {
            matches!(one, Observation::File(_) | Observation::Cluster(_) | Observation::Source(_))
        };
        self.observed.retain(|(at, one)| *at >= start || is_found(one));
        for (at, _) in &mut self.observed {
            *at = start.max(*at);
        }
        let keys: Vec<TokenKey> = self.files.keys().cloned().collect();
        for key in keys {
            let (directory, _) = self.in_file(&key, second);
            let (complete, moment) = (false, false);
            self.readers(second, &key, ReaderEvent::Watching { directory, complete, moment });
        }
        self.observed.sort_by_key(|(at, _)| *at);
        self
    }

    fn looks(&mut self, second: i64) {
        let round = self.round(Delta::from_secs(second));
        self.observe(second, Observation::NtpRound(round));
        let away = self.cluster.is_away(second);
        let nth = usize::try_from(second / self.pace).unwrap();
        if away {
            let reason = "connection refused".to_owned();
            let seen = ClusterSeen::Unreachable { reason };
            self.observe(second + 1, Observation::Cluster(seen));
        } else {
            self.observe(second + 1, Observation::Cluster(ClusterSeen::Unchanged));
            let sent = Delta::from_secs(second);
            let received = sent + Delta::from_millis(8);
            let seen = self.date(sent, received, nth);
            self.observed.push((received, Observation::ApiServerDate(seen)));
        }
    }

    /// An answer of the nth API server, with its clock.
    pub(crate) fn date(&self, sent: Delta, received: Delta, nth: usize) -> DateSeen {
        let server = &self.cluster.servers[nth % self.cluster.servers.len()];
        DateSeen {
            date: Wall::from_secs(server.shows(sent.as_secs())),
            sent: self.reading(sent),
            received: self.reading(received),
            names: Vec::new(),
        }
    }

    /// Three time servers that have true time, or do not answer.
    fn round(&self, at: Delta) -> Round {
        let (started, ended) = (self.reading(at - Delta::from_millis(10)), self.reading(at));
        let bound = Delta::from_millis(5);
        let sample = Sample {
            offset: Wall::from_secs(START) + at - ended.wall,
            delay: bound,
            root_distance: bound,
            stratum: 2,
            leap: Leap::None,
            reference_id: "GPS".into(),
            taken: ended,
        };
        let answers = self.has_time_servers;
        let of = |host: &str| {
            let wrong = if host == "c" { self.false_server } else { 0 };
            Sample { offset: sample.offset + Delta::from_secs(wrong), ..sample.clone() }
        };
        let exchange = |host: &str| Exchange {
            server: ServerName { host: host.into(), port: 123, address: None, pool: None },
            started,
            ended,
            result: if answers { Ok(of(host)) } else { Err(ExchangeError::Timeout) },
        };
        let exchanges = ["a", "b", "c"].map(exchange).into();
        Round { started, ended, exchanges, voters: Vec::new() }
    }
}

/// The service account of a pod: `cart` of `cart-0`.
fn account_of(pod: &str) -> &str {
    pod.split_once('-').map_or(pod, |(account, _)| account)
}

/// A file on the host for copies.
#[derive(Clone, Copy)]
pub(crate) struct HostFile {
    pub path: &'static str,
    pub plugin: Option<Plugin>,
    pub mention: Mention,
}

pub(crate) fn key(pod: &str, spec: Spec) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: spec.volume.into(), path: "token".into() }
}
