//! The thread that reads events and finds out whose they are.

use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::{Opener, ReaderEvent, ReadersSeen};
use tokio::sync::mpsc::Sender;

use super::claims::FileUse;
use super::follow::Openers;
use super::pace::Pace;
use super::places::{Role, VolumeId};
use super::recent::Recent;
use super::record::{ACCESS, CREATE, Event, ON_DIRECTORY, OPEN, Record, records};
use crate::clocks;
use crate::proc::{OpenerProcess, ProcFs};
use crate::sources::health::{Health, Source};
use crate::sources::kubelets::is_kubelet;

/// Bytes read at once: some 400 events.
const BUFFER: usize = 32 << 10;
/// Reads in a row before what they brought is reported.
const MAX_READS: usize = 8;
/// Longest wait. It shows that the thread was not stopped meanwhile.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The same while opens wait that inotify has seen.
const SETTLING: Duration = Duration::from_secs(1);
/// After a longer pause the thread was stopped (SIGSTOP, a frozen cgroup), and the number of a
/// process that ended may be that of another.
const STOPPED: Delta = Delta::from_secs(15);
/// Pause after a failed read, so that a queue that always fails does not keep a core busy.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// State of the thread.
pub(super) struct Worker {
    openers: Openers,
    observations: Sender<Observation>,
    waiting: Vec<Observation>,
    health: Health,
    proc: ProcFs,
    own: Option<OpenerProcess>,
    pace: Pace,
    recent: Recent,
    /// When the queue was last found empty, and the same as time since the machine started.
    looked: (Monotonic, Delta),
}

/// Who opened a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// Kubelet or the agent.
    Own,
    /// A process that has ended, or of another PID namespace.
    Unknown,
    /// Another process.
    Known(Opener),
}

fn now() -> Monotonic {
    clocks::now().monotonic
}

impl Worker {
    pub(super) fn new(openers: Openers, observations: Sender<Observation>) -> Self {
        let proc = ProcFs::default();
        Self {
            openers,
            observations,
            waiting: Vec::new(),
            health: Health::new(Source::Openers),
            own: proc.opener(std::process::id()),
            proc,
            pace: Pace::new(now()),
            recent: Recent::default(),
            looked: (now(), clocks::since_boot()),
        }
    }

    /// Runs until the receiver is dropped.
    pub(super) fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        self.report_health();
        while self.flush() {
            self.openers.group().wait(self.idle_for());
            let pause = self.pace.pause(now());
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            self.drain(&mut buffer);
            self.settle_claims();
            self.report_health();
        }
    }

    fn idle_for(&self) -> Duration {
        if self.openers.claims().are_waiting() { SETTLING } else { HEARTBEAT }
    }

    /// Reports what only inotify saw.
    fn settle_claims(&mut self) {
        let missed = self.openers.claims().settle(now());
        missed.into_iter().for_each(|used| self.report_use(used, None));
    }

    fn report_use(&mut self, used: FileUse, by: Option<Opener>) {
        let FileUse { volume, directory, path, is_read_again } = used;
        let what = match is_read_again {
            true => ReaderEvent::ReadAgain { directory, path: Some(path), by },
            false => ReaderEvent::Opened { directory, path, by },
        };
        self.report(&volume, what);
    }

    /// Sends everything. False: the receiver was dropped.
    fn flush(&mut self) -> bool {
        let mut waiting = self.waiting.drain(..);
        waiting.all(|observation| self.observations.blocking_send(observation).is_ok())
            && !self.observations.is_closed()
    }

    fn drain(&mut self, buffer: &mut [u8]) {
        let openers = self.openers.clone();
        for _ in 0..MAX_READS {
            match openers.group().read(buffer) {
                Ok([]) => {
                    self.looked = (now(), clocks::since_boot());
                    return;
                }
                Ok(bytes) => records(bytes).for_each(|record| self.take(record)),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn failed(&mut self, error: nix::Error) {
        let reason = format!("cannot read fanotify events: {error}");
        self.missed(&reason);
        self.waiting.extend(self.health.update(Some(reason)));
        std::thread::sleep(AFTER_FAILURE);
    }

    fn report_health(&mut self) {
        let failed = self.openers.failed().map(|(volumes, error)| {
            format!(
                "{volumes} volumes are not followed: {error}; until then the agent sees opens of \
                 their tokens without who opened them"
            )
        });
        self.waiting.extend(self.health.update(failed));
    }

    fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Event(event) => self.take_event(event),
            Record::Overflow => {
                self.missed("the queue of fanotify events was full");
                self.openers.follow_again();
            }
        }
    }

    /// Any open since the queue was last empty may be lost.
    fn missed(&mut self, why: &str) {
        let span = now() - self.looked.0;
        for volume in self.openers.volumes() {
            self.report(&volume, ReaderEvent::Missed { span, why: why.to_owned() });
        }
    }

    fn take_event(&mut self, event: Event<'_>) {
        let Some(place) = self.openers.place(event.directory) else { return };
        if event.mask & ON_DIRECTORY != 0 {
            if event.mask & CREATE != 0 {
                let name = String::from_utf8_lossy(event.name);
                self.openers.follow_created(&place, &name);
            }
            return;
        }
        if let Role::In { generation, below } = &place.role
            && event.pid != std::process::id()
        {
            let path = format!("{below}{}", String::from_utf8_lossy(event.name));
            self.take_use(&place.volume, (generation, &path), event);
        }
    }

    /// A process other than this one opened or read a file of a generation.
    fn take_use(&mut self, volume: &VolumeId, file: (&str, &str), event: Event<'_>) {
        let is_read_again = event.mask & ACCESS != 0 && !self.openers.is_current(volume, file.0);
        let kinds = [(event.mask & OPEN != 0, false), (is_read_again, true)];
        let uses = kinds.into_iter().filter(|(happened, _)| *happened).map(|(_, is_read_again)| {
            let (directory, path) = (file.0.to_owned(), file.1.to_owned());
            FileUse { volume: volume.clone(), directory, path, is_read_again }
        });
        let uses: Vec<FileUse> = uses.collect();
        let mut claims = self.openers.claims();
        uses.iter().for_each(|used| claims.see(used.clone(), now()));
        drop(claims);
        if !uses.is_empty() && !self.is_recent(event) {
            self.attribute(uses, event.pid);
        }
    }

    fn attribute(&mut self, uses: Vec<FileUse>, pid: u32) {
        let Some(volume) = uses.first().map(|used| used.volume.clone()) else { return };
        let by = match self.who(pid, &volume) {
            Who::Own => return,
            Who::Unknown => None,
            Who::Known(opener) => Some(opener),
        };
        uses.into_iter().for_each(|used| self.report_use(used, by.clone()));
    }

    fn is_recent(&mut self, event: Event<'_>) -> bool {
        self.recent.has(now(), event.pid, event.directory, event.name)
    }

    fn who(&self, pid: u32, volume: &VolumeId) -> Who {
        let found = self.proc.opener(pid).filter(|process| !self.may_be_another(process));
        match found {
            Some(process) if self.is_own(&process) => Who::Own,
            Some(process) => Who::Known(Opener {
                container_id: container(&process, volume),
                pid,
                program: Some(process.name),
            }),
            None => Who::Unknown,
        }
    }

    /// Whether a process may have got the number of the one that opened the file.
    fn may_be_another(&self, process: &OpenerProcess) -> bool {
        now() - self.looked.0 > STOPPED && process.started > self.looked.1
    }

    /// Kubelet, or another process of the agent, such as `tokenwatch check`.
    fn is_own(&self, process: &OpenerProcess) -> bool {
        let is_agent = self
            .own
            .as_ref()
            .is_some_and(|own| own.name == process.name && own.cgroups == process.cgroups);
        is_agent || (process.containers.is_empty() && is_kubelet(&process.name))
    }

    fn report(&mut self, volume: &VolumeId, what: ReaderEvent) {
        let VolumeId { pod_uid, volume } = volume.clone();
        self.waiting.push(Observation::Readers(ReadersSeen { pod_uid, volume, what }));
    }
}

/// The process's container: that of the volume's pod, if several are nested.
fn container(process: &OpenerProcess, volume: &VolumeId) -> Option<String> {
    let is_of_pod = |uid: &Option<String>| uid.as_deref() == Some(volume.pod_uid.as_str());
    let containers = &process.containers;
    let of_pod = containers.iter().find(|container| is_of_pod(&container.pod_uid));
    of_pod.or(containers.last()).map(|container| container.id.clone())
}
