//! The thread that reads: hints first, then what is due, then the next pod of a pass over
//! everything.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::mpsc::Sender;

use super::blind::{self, BlindTracker};
use super::hints::{Hint, Place, Target};
use super::scan::{PodId, Scanner, VolumeLook};
use super::watch::{FilesConfig, Hints};
use super::watches::{Watched, Watches};
use crate::clocks;
use crate::discovery::roots::PROJECTED;

/// A volume that has just come has no token yet; looked for again after this, then after twice
/// that, …
const FIRST_WAIT: Delta = Delta::from_millis(50);
/// … and no more seldom than this, so that a token is known within a second even if every event
/// about it is lost.
const LAST_WAIT: Delta = Delta::from_millis(1_000);
/// kubelet gives up a SetUp after two minutes and tries again; the pass over everything finds what
/// comes later.
const YOUNG: Delta = Delta::from_secs(120);
/// A pass that is asked for does not begin sooner than this after the last one began: a pass over
/// hundreds of pods takes some milliseconds, so whoever asks without end costs a few percent of a
/// core and no more.
const PAUSE: Delta = Delta::from_millis(500);
/// Hints taken at once before the next look.
const BATCH: usize = 256;
/// A pod that grows while watches are set on it is followed this often before the next event must
/// do.
const MAX_STEPS: usize = 6;

/// While a pass runs the next one has no time yet, unless something asks for it.
const NEVER: Monotonic = Monotonic::from_nanos(i64::MAX);

/// A volume without content.
#[derive(Debug)]
struct Young {
    due: Monotonic,
    wait: Delta,
    until: Monotonic,
}

type VolumeId = (PodId, OsString);

/// Everything the thread knows.
pub(super) struct Worker {
    config: FilesConfig,
    hints: Hints,
    inbox: Receiver<Hint>,
    observations: Sender<Observation>,
    scanner: Scanner,
    watches: Watches,
    blind: BlindTracker,
    young: BTreeMap<VolumeId, Young>,
    /// What the running pass has still to look at.
    pending: VecDeque<PodId>,
    is_passing: bool,
    /// When the last pass began.
    begun: Monotonic,
    next_pass: Monotonic,
    /// What the running pass could not list.
    root_problems: Vec<String>,
    /// Why events were lost since the last pass began.
    lost: Option<&'static str>,
    told: BTreeMap<&'static str, Option<String>>,
    out: Vec<Observation>,
}

impl Worker {
    pub(super) fn new(
        config: FilesConfig,
        hints: Hints,
        inbox: Receiver<Hint>,
        observations: Sender<Observation>,
    ) -> Self {
        let watches = Self::watches(&config, &hints);
        Self {
            scanner: Scanner::new(config.roots.clone()),
            watches,
            config,
            hints,
            inbox,
            observations,
            blind: BlindTracker::default(),
            young: BTreeMap::new(),
            pending: VecDeque::new(),
            is_passing: false,
            begun: Monotonic::default(),
            next_pass: Monotonic::default(),
            root_problems: Vec::new(),
            lost: None,
            told: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    fn watches(config: &FilesConfig, hints: &Hints) -> Watches {
        let hints = hints.clone();
        Watches::new(config.max_watches, move |event| hints.take(event))
    }

    /// Until told to stop, or nobody listens.
    pub(super) fn run(mut self) {
        while let Some(hints) = self.wait() {
            self.follow(hints);
            self.look_at_young();
            self.pass();
            self.own_up();
            self.look_for_blindness();
            if !self.flush() {
                return;
            }
        }
    }

    /// The hints there are, or none when something is due. None: the end.
    fn wait(&self) -> Option<Vec<Hint>> {
        let mut hints = match self.inbox.recv_timeout(self.idle_for()) {
            Ok(hint) => vec![hint],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        hints.extend(self.inbox.try_iter().take(BATCH));
        (!self.hints.is_stopped()).then_some(hints)
    }

    fn idle_for(&self) -> Duration {
        if self.is_passing {
            return Duration::ZERO;
        }
        let due = self
            .young
            .values()
            .map(|young| young.due)
            .chain(self.blind.due())
            .fold(self.next_pass, Monotonic::min);
        (due - clocks::now().monotonic).to_std()
    }

    fn follow(&mut self, hints: Vec<Hint>) {
        let mut targets: Vec<Target> = Vec::new();
        let mut mounts = false;
        for hint in hints {
            match hint {
                Hint::Place(place) => {
                    targets.extend(self.target(&place).filter(|target| !targets.contains(target)))
                }
                Hint::Mounts => mounts = true,
                Hint::Lost | Hint::Stop => {}
            }
        }
        let is_revealing =
            mounts || targets.iter().any(|target| !matches!(target, Target::Volume(..)));
        for target in targets {
            self.look_at(target);
        }
        if mounts {
            self.look_at_mounts();
        }
        if is_revealing && self.blind.has_told() {
            self.update_blind();
        }
        self.notice_loss();
    }

    /// Where to look. What was made, removed or renamed takes the watches below it along: its inode
    /// number may even be used again.
    fn target(&mut self, place: &Place) -> Option<Target> {
        let target = place.target(self.scanner.roots())?;
        if place.is_renewed() && !matches!(target, Target::Volume(..)) {
            self.watches.drop_below(place.path());
        }
        Some(target)
    }

    /// Where events were lost, nothing is known for sure until everything was looked at.
    fn notice_loss(&mut self) {
        if let Some(why) = self.hints.lost() {
            self.lost = Some(why);
            self.hurry();
        }
    }

    /// Has the next pass begin as soon as may be.
    fn hurry(&mut self) {
        self.next_pass = self.next_pass.min(self.begun + PAUSE);
    }

    fn look_at(&mut self, target: Target) {
        match target {
            Target::Pods => self.hurry(),
            Target::Pod(pod) => self.look_at_pod(&pod),
            Target::NewVolume(pod, volume) => self.look_at_volume(&pod, &volume, true),
            Target::Volume(pod, volume) => self.look_at_volume(&pod, &volume, false),
        }
    }

    fn look_at_pod(&mut self, pod: &PodId) {
        if !self.watch_pod(pod) {
            self.forget_pod(pod);
            return;
        }
        let mut volumes = self.scanner.list_volumes(pod);
        volumes.extend(self.scanner.volumes_of(pod).map(OsStr::to_owned));
        volumes.sort_unstable();
        volumes.dedup();
        for volume in volumes {
            self.look_at_volume(pod, &volume, false);
        }
    }

    fn forget_pod(&mut self, pod: &PodId) {
        self.watches.drop_below(&self.scanner.pod_path(pod));
        self.young.retain(|(of, _), _| of != pod);
        self.scanner.forget_pod(pod, &mut self.out);
    }

    /// Watches the deepest directory there is on the way to the pod's volumes, so that the next one
    /// is not missed. False: no pod.
    fn watch_pod(&mut self, pod: &PodId) -> bool {
        let top = self.scanner.pod_path(pod);
        let chain = [top.join(PROJECTED), top.join("volumes"), top];
        for _ in 0..MAX_STEPS {
            let Some(deepest) = chain.iter().position(|path| path.is_dir()) else { return false };
            match self.watches.ensure(&chain[deepest]) {
                Watched::Absent => {}
                // Something may have been made before the watch was set: look again.
                Watched::Newly => {
                    chain.iter().skip(deepest + 1).for_each(|path| self.watches.drop_path(path))
                }
                Watched::Still | Watched::Failed => break,
            }
        }
        true
    }

    fn look_at_volume(&mut self, pod: &PodId, volume: &OsStr, is_renewed: bool) {
        let path = self.volume_path(pod, volume);
        let is_new = is_renewed || !self.scanner.knows(pod, volume);
        let watched = self.watches.ensure(&path);
        let looked = self.scanner.scan_volume(pod, volume, &mut self.out);
        let id = (pod.clone(), volume.to_owned());
        match looked {
            VolumeLook::Empty if is_new || watched == Watched::Newly => self.grow(id),
            VolumeLook::Empty => {}
            VolumeLook::Gone => {
                self.watches.drop_path(&path);
                self.young.remove(&id);
            }
            VolumeLook::Whole | VolumeLook::Hidden(_) => drop(self.young.remove(&id)),
        }
    }

    fn grow(&mut self, id: VolumeId) {
        let now = clocks::now().monotonic;
        self.young
            .insert(id, Young { due: now + FIRST_WAIT, wait: FIRST_WAIT, until: now + YOUNG });
    }

    fn look_at_young(&mut self) {
        let now = clocks::now().monotonic;
        self.young.retain(|_, young| young.until > now);
        let due: Vec<VolumeId> = self
            .young
            .iter()
            .filter(|(_, young)| young.due <= now)
            .map(|(id, _)| id.clone())
            .collect();
        let is_waiting = !due.is_empty();
        for (pod, volume) in due {
            if let Some(young) = self.young.get_mut(&(pod.clone(), volume.clone())) {
                young.wait = (young.wait + young.wait).min(LAST_WAIT);
                young.due = now + young.wait;
            }
            self.look_at_volume(&pod, &volume, false);
        }
        if is_waiting {
            self.update_blind();
        }
    }

    /// A volume over which something was mounted is a new one, and so is a root.
    fn look_at_mounts(&mut self) {
        if self.scanner.roots().iter().any(|root| self.watches.is_stale(&root.join("pods"))) {
            self.hurry();
        }
        let stale: Vec<VolumeId> = self
            .scanner
            .volumes()
            .filter(|(pod, volume)| self.watches.is_stale(&self.volume_path(pod, volume)))
            .map(|(pod, volume)| (pod.clone(), volume.to_owned()))
            .collect();
        for (pod, volume) in stale {
            self.look_at_volume(&pod, &volume, false);
        }
    }

    fn volume_path(&self, pod: &PodId, volume: &OsStr) -> PathBuf {
        self.scanner.pod_path(pod).join(PROJECTED).join(volume)
    }

    /// One step of a pass over everything: begins one that is due, or looks at one pod, so that
    /// hints need not wait for the end.
    fn pass(&mut self) {
        if let Some(pod) = self.pending.pop_front() {
            self.look_at_pod(&pod);
        } else if self.is_passing {
            self.end_pass();
        } else if self.next_pass <= clocks::now().monotonic {
            self.begin_pass();
        }
    }

    fn begin_pass(&mut self) {
        (self.begun, self.next_pass) = (clocks::now().monotonic, NEVER);
        self.look_for_roots();
        self.renew_watches();
        for root in self.scanner.roots().to_vec() {
            self.watches.ensure(&root);
            self.watches.ensure(&root.join("pods"));
        }
        let (pods, problems) = self.scanner.list_pods(&mut self.out);
        self.root_problems = problems;
        self.pending = pods.into();
        self.is_passing = true;
    }

    /// A kubelet may be installed after the agent.
    fn look_for_roots(&mut self) {
        let found = self
            .config
            .search
            .as_ref()
            .map_or_else(Vec::new, |search| search.new_roots(self.scanner.roots()));
        for root in found {
            self.scanner.add_root(root);
        }
    }

    /// Begins anew with what the running pass is going to set again: all of it where events were
    /// lost, because the end of a watch may have been among them.
    fn renew_watches(&mut self) {
        if !self.watches.is_alive() {
            self.watches = Self::watches(&self.config, &self.hints);
        }
        if let Some(why) = self.lost.take() {
            self.watches.drop_all();
            self.tell("watch", Some(format!("{why}: everything is looked at again")));
        }
        self.watches.take_trouble(); // what is still so shows again
    }

    fn end_pass(&mut self) {
        self.is_passing = false;
        let trouble = self.watches.take_trouble();
        let is_well = trouble.is_none() && self.root_problems.is_empty();
        self.schedule(if is_well { self.config.rescan } else { self.config.degraded_rescan });
        self.tell_watch(trouble);
        let mut problems = std::mem::take(&mut self.root_problems);
        problems.extend(self.scanner.problems());
        self.tell("files", (!problems.is_empty()).then(|| problems.join("; ")));
        self.update_blind();
    }

    fn schedule(&mut self, period: Duration) {
        self.next_pass = self.next_pass.min(clocks::now().monotonic + jittered(period));
    }

    fn tell_watch(&mut self, trouble: Option<String>) {
        let instead = Delta::from_std(self.config.degraded_rescan);
        self.tell(
            "watch",
            trouble.map(|trouble| {
                format!("{trouble}; until then everything is looked at every {instead}")
            }),
        );
    }

    /// A watch that could not be set between two passes is said at once.
    fn own_up(&mut self) {
        if !self.is_passing
            && let Some(trouble) = self.watches.take_trouble()
        {
            self.schedule(self.config.degraded_rescan);
            self.tell_watch(Some(trouble));
        }
    }

    /// Says how a source is, when that changed.
    fn tell(&mut self, source: &'static str, degraded: Option<String>) {
        if self.told.get(source) == Some(&degraded) {
            return;
        }
        self.told.insert(source, degraded.clone());
        self.out.push(Observation::Source(SourceState { source: source.to_owned(), degraded }));
    }

    fn look_for_blindness(&mut self) {
        if self.blind.due().is_some_and(|due| due <= clocks::now().monotonic) {
            self.update_blind();
        }
    }

    fn update_blind(&mut self) {
        let spots = blind::look(&self.scanner);
        if let Some(spots) = self.blind.update(clocks::now().monotonic, spots) {
            self.out.push(Observation::Blind(spots));
        }
    }

    /// False: nobody listens any more.
    fn flush(&mut self) -> bool {
        self.out.drain(..).all(|observation| self.observations.blocking_send(observation).is_ok())
    }
}

/// A tenth more or less, so that the agents of a cluster do not move in step.
fn jittered(period: Duration) -> Delta {
    Delta::from_std(period.mul_f64(rand::random_range(0.9..1.1)))
}
