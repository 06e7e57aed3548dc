//! The thread that scans: first what events name, then pending volumes that are due, then the next
//! pod of a running rescan.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::{Observation, Unknown};
use tokio::sync::mpsc::Sender;

use super::FilesConfig;
use super::events::{EventQueue, FileEvent};
use super::inotify::{VOLUMES_OF_POD, Watched, Watches};
use super::pending::{PendingVolumes, VolumeId};
use super::rescan::{Rescan, Step};
use super::unseen::Unseen;
use crate::clocks;
use crate::sources::health::{Health, Source};
use crate::sources::left_out::LeftOut;
use crate::sources::token_volumes::{Changes, TokenVolume, TokenVolumes};
use crate::sources::volumes::layout::{self, ChangedPath, PROJECTED, PodId, Target};
use crate::sources::volumes::scan::{Scanner, VolumeOutcome};
use crate::sources::watch_error::WatchError;
use crate::sources::watchdog::Progress;

/// Events that are taken from the queue at once.
const BATCH: usize = 256;
/// Attempts to watch the deepest directory of a pod that gets new ones meanwhile. After that, the
/// next event continues.
const MAX_ATTEMPTS: usize = 6;

/// State of the thread.
pub(super) struct Worker {
    config: FilesConfig,
    events: EventQueue,
    inbox: Receiver<FileEvent>,
    out: Outbox,
    scanner: Scanner,
    watches: Watches,
    unseen: Unseen,
    pending: PendingVolumes,
    rescan: Rescan,
    /// Why events were lost since the last rescan started.
    loss: Option<&'static str>,
    progress: Progress,
    /// What the running rescan reads everything for.
    reads: u64,
    /// The pods that have more volumes than are watched of one.
    crowded: LeftOut,
}

/// Observations of one turn of the thread, and the health of its two sources.
struct Outbox {
    observations: Sender<Observation>,
    waiting: Vec<Observation>,
    files: Health,
    watch: Health,
    followers: TokenVolumes,
    /// The volumes that they have to know of once the observations are sent.
    volumes: Changes,
}

impl Outbox {
    fn new(observations: Sender<Observation>, followers: TokenVolumes) -> Self {
        let (files, watch) = (Health::new(Source::Files), Health::new(Source::Watch));
        let (waiting, volumes) = (Vec::new(), Changes::new());
        Self { observations, waiting, files, watch, followers, volumes }
    }

    /// The volume at `path` is like this now, or holds no token.
    fn volume(&mut self, path: PathBuf, volume: Option<TokenVolume>) {
        if self.followers.are_followed() {
            self.volumes.insert(path, volume);
        }
    }

    fn files(&mut self, degraded: Option<String>) {
        self.waiting.extend(self.files.update(degraded));
    }

    fn watch(&mut self, degraded: Option<String>) {
        self.waiting.extend(self.watch.update(degraded));
    }

    /// Sends everything. False: the receiver was dropped.
    fn flush(&mut self) -> bool {
        let mut waiting = self.waiting.drain(..);
        let are_sent =
            waiting.all(|observation| self.observations.blocking_send(observation).is_ok());
        drop(waiting);
        for (path, volume) in std::mem::take(&mut self.volumes) {
            self.followers.set(path, volume);
        }
        are_sent
    }
}

fn now() -> Monotonic {
    clocks::now().monotonic
}

impl Worker {
    pub(super) fn new(
        config: FilesConfig,
        events: EventQueue,
        inbox: Receiver<FileEvent>,
        observations: Sender<Observation>,
    ) -> Self {
        Self {
            progress: config.watchdog.follow(Source::Files),
            scanner: Self::scanner(&config),
            watches: Self::watches(&config, &events),
            out: Outbox::new(observations, config.followers.clone()),
            config,
            events,
            inbox,
            unseen: Unseen::default(),
            pending: PendingVolumes::default(),
            rescan: Rescan::default(),
            loss: None,
            reads: 0,
            crowded: LeftOut::of(Unknown::Changes),
        }
    }

    fn scanner(config: &FilesConfig) -> Scanner {
        let mut scanner = Scanner::new(config.roots.clone());
        scanner.note_opens(config.followers.own_opens());
        scanner.check_signatures(config.keys.clone());
        scanner.expect(config.expected.clone());
        scanner
    }

    fn watches(config: &FilesConfig, events: &EventQueue) -> Watches {
        let events = events.clone();
        Watches::new(config.max_watches, move |event| events.push_inotify(event))
    }

    /// Runs until it is stopped, or the receiver is dropped.
    pub(super) fn run(mut self) {
        while let Some(events) = self.wait() {
            self.follow(events);
            self.scan_pending();
            self.advance_rescan();
            self.report_watch_error();
            self.check_held_back();
            self.note_left_out();
            if !self.out.flush() {
                return;
            }
        }
    }

    /// Waits for events, or until something is due. None: the thread has to stop.
    fn wait(&self) -> Option<Vec<FileEvent>> {
        let mut events: Vec<FileEvent> = self.inbox.try_iter().take(BATCH).collect();
        let idle_for = self.idle_for();
        if events.is_empty() && !idle_for.is_zero() {
            self.progress.rest();
            match self.inbox.recv_timeout(idle_for) {
                Ok(event) => events.push(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            events.extend(self.inbox.try_iter().take(BATCH));
        }
        self.progress.step();
        (!self.events.is_stopped()).then_some(events)
    }

    fn idle_for(&self) -> Duration {
        if self.rescan.is_running() {
            return Duration::ZERO;
        }
        let others = [self.pending.next_due(), self.unseen.due()];
        let due = others.into_iter().flatten().fold(self.rescan.next(), Monotonic::min);
        (due - now()).to_std()
    }

    fn follow(&mut self, events: Vec<FileEvent>) {
        let (targets, mounts) = self.targets(events);
        let may_reveal = mounts || targets.iter().any(Target::may_reveal);
        for target in targets {
            self.scan(target);
        }
        if mounts {
            self.scan_remounted();
        }
        if may_reveal && self.unseen.has_reported() {
            self.update_unseen();
        }
        self.note_loss();
    }

    /// What the events name, each once, and whether mounts changed.
    fn targets(&mut self, events: Vec<FileEvent>) -> (Vec<Target>, bool) {
        let (mut targets, mut mounts) = (Vec::new(), false);
        for event in events {
            match event {
                FileEvent::Changed(path) => {
                    let new = self.target(&path).filter(|target| !targets.contains(target));
                    targets.extend(new);
                }
                FileEvent::Mounts => mounts = true,
                FileEvent::Expected | FileEvent::Resumed => self.rescan.schedule_early(),
                FileEvent::Lost | FileEvent::Stop => {}
            }
        }
        (targets, mounts)
    }

    /// What a changed path names. The watches below a path that was created, removed or renamed are
    /// dropped: the new directory may even have the inode number of the old one.
    fn target(&mut self, changed: &ChangedPath) -> Option<Target> {
        let target = changed.target(self.scanner.roots())?;
        if changed.is_replaced() && !matches!(target, Target::Volume(..)) {
            self.watches.drop_below(changed.path());
        }
        Some(target)
    }

    /// After lost events nothing is certain until the next rescan.
    fn note_loss(&mut self) {
        if let Some(reason) = self.events.take_loss() {
            self.loss = Some(reason);
            self.rescan.schedule_early();
        }
    }

    fn scan(&mut self, target: Target) {
        match target {
            Target::Pods => self.rescan.schedule_early(),
            Target::Pod(pod) => self.scan_pod(&pod),
            Target::NewVolume(pod, volume) => self.scan_volume(&pod, &volume, true),
            Target::Volume(pod, volume) => self.scan_volume(&pod, &volume, false),
        }
    }

    fn scan_pod(&mut self, pod: &PodId) {
        self.progress.step();
        if !self.watch_pod(pod) {
            self.remove_pod(pod);
            return;
        }
        for volume in self.volumes_of(pod) {
            self.scan_volume(pod, &volume, false);
        }
    }

    /// The pod's volumes: those that exist, and those that were known before.
    fn volumes_of(&mut self, pod: &PodId) -> Vec<OsString> {
        let mut volumes = self.scanner.list_volumes(pod);
        volumes.extend(self.scanner.volumes_of(pod).map(OsStr::to_owned));
        volumes.sort_unstable();
        volumes.dedup();
        volumes
    }

    fn remove_pod(&mut self, pod: &PodId) {
        self.watches.drop_below(&self.scanner.pod_path(pod));
        self.pending.remove_pod(pod);
        for volume in self.scanner.volumes_of(pod).map(OsStr::to_owned).collect::<Vec<_>>() {
            self.out.volume(self.volume_path(pod, &volume), None);
        }
        self.scanner.remove_pod(pod, &mut self.out.waiting);
    }

    /// Watches the deepest existing directory on the path to the pod's volumes, so that the
    /// creation of the next one is noticed. False: the pod does not exist.
    fn watch_pod(&mut self, pod: &PodId) -> bool {
        let top = self.scanner.pod_path(pod);
        let chain = [top.join(PROJECTED), top.join("volumes"), top];
        for _ in 0..MAX_ATTEMPTS {
            let Some(deepest) = chain.iter().position(|path| path.is_dir()) else { return false };
            match self.watches.ensure(&chain[deepest]) {
                Watched::Missing => {}
                // Another directory may have been created before the watch was set: check again.
                Watched::Newly => self.drop_watches(&chain[deepest + 1..]),
                Watched::Already | Watched::Failed => break,
            }
        }
        true
    }

    fn drop_watches(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.watches.drop_path(path);
        }
    }

    fn scan_volume(&mut self, pod: &PodId, volume: &OsStr, is_replaced: bool) {
        self.progress.step();
        let path = self.volume_path(pod, volume);
        let is_new = is_replaced || !self.scanner.knows(pod, volume);
        let is_newly_watched = self.watches.ensure_volume(&path) == Watched::Newly;
        let outcome = self.scanner.scan_volume(pod, volume, &mut self.out.waiting);
        if outcome == VolumeOutcome::Missing {
            self.watches.drop_path(&path);
        }
        self.note_volume(pod, volume, path);
        for (pod, volume) in self.scanner.take_shrunk() {
            self.note_volume(&pod, &volume, self.volume_path(&pod, &volume));
        }
        self.update_pending((pod.clone(), volume.to_owned()), outcome, is_new || is_newly_watched);
    }

    /// Those who follow the readers of a volume know its files.
    fn note_volume(&mut self, pod: &PodId, volume: &OsStr, path: PathBuf) {
        if self.scanner.take_news(pod, volume) || !self.scanner.knows(pod, volume) {
            let found = self.scanner.token_volume(pod, volume);
            self.out.volume(path, found);
        }
    }

    fn update_pending(&mut self, id: VolumeId, outcome: VolumeOutcome, is_new: bool) {
        match outcome {
            VolumeOutcome::Empty if is_new => self.pending.add(id, now()),
            VolumeOutcome::Empty => {}
            VolumeOutcome::Scanned | VolumeOutcome::Missing | VolumeOutcome::Unreadable(_) => {
                self.pending.remove(&id);
            }
        }
    }

    fn scan_pending(&mut self) {
        let due = self.pending.take_due(now());
        for (pod, volume) in &due {
            self.scan_volume(pod, volume, false);
        }
        if !due.is_empty() {
            self.update_unseen();
        }
    }

    /// A volume over which something was mounted is a new one, and so is a root.
    fn scan_remounted(&mut self) {
        if self.scanner.roots().iter().any(|root| self.watches.is_stale(&layout::pods(root))) {
            self.rescan.schedule_early();
        }
        let stale: Vec<VolumeId> = self
            .scanner
            .volumes()
            .filter(|(pod, volume)| self.watches.is_stale(&self.volume_path(pod, volume)))
            .map(|(pod, volume)| (pod.clone(), volume.to_owned()))
            .collect();
        for (pod, volume) in stale {
            self.scan_volume(&pod, &volume, false);
        }
    }

    fn volume_path(&self, pod: &PodId, volume: &OsStr) -> PathBuf {
        self.scanner.pod_path(pod).join(PROJECTED).join(volume)
    }

    fn advance_rescan(&mut self) {
        match self.rescan.step(now()) {
            Step::None => {}
            Step::Start => self.start_rescan(),
            Step::Pod(pod) => {
                self.scan_pod(&pod);
                self.scanner.scan_secrets(&pod);
            }
            Step::End => self.end_rescan(),
        }
    }

    fn start_rescan(&mut self) {
        self.reads = self.progress.begins_to_read();
        self.rescan.start(now());
        self.add_new_roots();
        self.reset_watches();
        for root in self.scanner.roots().to_vec() {
            self.watches.ensure(&root);
            self.watches.ensure(&layout::pods(&root));
        }
        let (pods, problems) = self.scanner.list_pods(&mut self.out.waiting);
        self.rescan.set_pods(pods, problems);
    }

    /// A kubelet may be installed after the agent.
    fn add_new_roots(&mut self) {
        let Some(search) = &self.config.search else { return };
        for root in search.new_roots(self.scanner.roots()) {
            self.scanner.add_root(root);
        }
    }

    /// Drops what the rescan is going to set again: after lost events every watch, because the end
    /// of one may be among them.
    fn reset_watches(&mut self) {
        if !self.watches.is_available() {
            self.watches = Self::watches(&self.config, &self.events);
        }
        if let Some(reason) = self.loss.take() {
            self.watches.drop_all();
            self.out.watch(Some(format!("{reason}; the agent rescans everything")));
        }
        self.watches.take_error(); // an error that persists shows again
    }

    fn end_rescan(&mut self) {
        let error = self.watches.take_error();
        let crowded = self.report_crowded();
        let is_well = error.is_none() && crowded == 0 && self.rescan.is_complete();
        let interval = if is_well { self.config.rescan } else { self.config.while_degraded() };
        self.rescan.schedule(now(), interval);
        self.report_watch(error.as_ref(), crowded);
        let mut problems = self.rescan.end();
        problems.extend(self.scanner.problems());
        let degraded = format!("the agent cannot scan everything: {}", problems.join("; "));
        self.unseen.rescanned(&self.scanner, &mut self.out.waiting);
        self.out.files((!problems.is_empty()).then_some(degraded));
        self.update_unseen();
        self.progress.has_read(self.reads);
        self.config.rescanned.notify_one();
    }

    /// Reports the pods that have more volumes than are watched of one. Returns the number of
    /// volumes that are not watched for that.
    fn report_crowded(&mut self) -> usize {
        let beyond = self.scanner.beyond(VOLUMES_OF_POD);
        let count = beyond.len();
        let changed = self.crowded.update(now(), beyond.iter().map(String::as_str));
        self.out.waiting.extend(changed);
        count
    }

    /// Reports what is not watched: why the kernel refused, or because pods have more volumes than
    /// their share.
    fn report_watch(&mut self, error: Option<&WatchError>, crowded: usize) {
        let shares = (crowded > 0).then(|| {
            let volumes = count_of(crowded, "volume");
            format!("{volumes} not watched, of pods with more than {VOLUMES_OF_POD}")
        });
        let why = error.map(WatchError::to_string).or(shares);
        let interval = Delta::from_std(self.config.while_degraded());
        self.out.watch(
            why.map(|why| {
                format!("{why}; until then the agent rescans everything every {interval}")
            }),
        );
    }

    /// Reports a watch that failed between two rescans at once.
    fn report_watch_error(&mut self) {
        if !self.rescan.is_running()
            && let Some(error) = self.watches.take_error()
        {
            self.rescan.schedule(now(), self.config.while_degraded());
            self.report_watch(Some(&error), 0);
        }
    }

    fn check_held_back(&mut self) {
        if self.unseen.due().is_some_and(|due| due <= now()) {
            self.update_unseen();
        }
    }

    /// Until the engine knows that a volume is crowded, it takes what is left out for gone.
    fn note_left_out(&mut self) {
        if self.out.waiting.iter().any(|one| matches!(one, Observation::LeftOut(_))) {
            self.update_unseen();
        }
    }

    fn update_unseen(&mut self) {
        self.unseen.update(now(), &self.scanner, &mut self.out.waiting);
    }
}
