//! The thread that reads events and finds out whose they are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::{Observation, Unknown};
use tokenwatch_core::world::readers::{Opener, ReaderEvent, ReadersSeen};
use tokio::sync::mpsc::Sender;

use super::follow::Openers;
use super::origin::{Origin, Origins};
use super::pace::Pace;
use super::places::{Role, VolumeId};
use super::recent::Recent;
use super::record::{ACCESS, CREATE, Event, ON_DIRECTORY, OPEN, Record, records};
use crate::clocks;
use crate::proc::{OpenerProcess, ProcFs};
use crate::sources::health::{Health, Source};
use crate::sources::kubelets::is_kubelet;
use crate::sources::left_out::LeftOut;
use crate::sources::names;
use crate::sources::watchdog::Progress;
use crate::sys;

/// Bytes read at once: some 200 events.
const BUFFER: usize = 16 << 10;
/// Reads in a row before what they brought is reported.
const MAX_READS: usize = 16;
/// Longest wait. It shows that the thread was not stopped meanwhile.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After a longer pause the thread was stopped (SIGSTOP, a frozen cgroup), and the number of a
/// process that ended may be that of another.
const STOPPED: Delta = Delta::from_secs(15);
/// How long kubelet may open further files of a volume. They are then read together.
const SYNC: Duration = Duration::from_millis(5);
/// How long a process that was recognised as kubelet is not looked at again.
const TRUSTED: Delta = Delta::from_secs(60);
/// Pause after a failed read, so that a queue that always fails does not keep a core busy.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Processes that are kept as writers of volumes: kubelet is one of few.
const MAX_WRITERS: usize = 64;

/// State of the thread.
pub(super) struct Worker {
    openers: Openers,
    observations: Sender<Observation>,
    waiting: Vec<Observation>,
    health: Health,
    left_out: LeftOut,
    proc: ProcFs,
    own: Option<OpenerProcess>,
    /// The process of kubelet, or another one of the agent, and when it was recognised.
    kubelet: Option<(u32, Monotonic)>,
    /// The last read brought an event of a file: by a reader, and not by a sync of kubelet.
    has_readers: bool,
    pace: Pace,
    recent: Recent,
    origins: Origins,
    /// Processes that opened or made a directory of a volume. Outside of all containers, that is
    /// kubelet, whatever its name is.
    writers: BTreeSet<u32>,
    /// When the queue was last found empty, and the same as time since the machine started.
    looked: (Monotonic, Delta),
}

/// Who opened a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// Kubelet or the agent.
    Own,
    /// A process that has ended, or whose parent has, or of another PID namespace.
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
            left_out: LeftOut::of(Unknown::Processes),
            own: proc.opener(std::process::id()),
            proc,
            kubelet: None,
            has_readers: false,
            pace: Pace::new(now()),
            recent: Recent::default(),
            origins: Origins::default(),
            writers: BTreeSet::new(),
            looked: (now(), clocks::since_boot()),
        }
    }

    /// Runs until the receiver is dropped.
    pub(super) fn run(mut self, progress: &Progress) {
        let _ = sys::ask_for_short_slices(); // a kernel that refuses attributes fewer readers
        let mut buffer = vec![0; BUFFER];
        self.report_health();
        while self.flush() {
            progress.rest();
            self.openers.group().wait(HEARTBEAT);
            progress.step();
            let pause = self.pace.pause(now());
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            self.drain(&mut buffer);
            if !std::mem::take(&mut self.has_readers) {
                std::thread::sleep(SYNC);
            }
            self.report_health();
        }
    }

    /// Sends everything. False: the receiver was dropped.
    fn flush(&mut self) -> bool {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter(); // a burst takes memory
        waiting.all(|observation| self.observations.blocking_send(observation).is_ok())
            && !self.observations.is_closed()
    }

    fn drain(&mut self, buffer: &mut [u8]) {
        let openers = self.openers.clone();
        for _ in 0..MAX_READS {
            // Before the read: what happens after it may be in the queue by then.
            let looked = (now(), clocks::since_boot());
            match openers.group().read(buffer) {
                Ok([]) => {
                    openers.set_broken(false);
                    self.looked = looked;
                    return;
                }
                Ok(bytes) => records(bytes).for_each(|record| self.take(record)),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn failed(&mut self, error: nix::Error) {
        self.openers.set_broken(true);
        let reason = format!("cannot read fanotify events: {error}");
        self.missed(&reason);
        self.waiting.extend(self.health.update(Some(reason)));
        std::thread::sleep(AFTER_FAILURE);
    }

    /// Reports which volumes cannot be followed, and which are left out, after another attempt.
    fn report_health(&mut self) {
        self.openers.retry();
        let failed = self.openers.failed().map(|(volumes, error)| {
            format!(
                "{} not followed: {error}; until then the agent sees opens of their tokens \
                 without who opened them",
                count_of(volumes, "volume")
            )
        });
        let degraded: Vec<String> = failed.into_iter().chain(self.openers.crowded()).collect();
        let degraded = (!degraded.is_empty()).then(|| degraded.join("; "));
        self.waiting.extend(self.health.update(degraded));
        let left_out = self.openers.left_out();
        self.waiting.extend(self.left_out.update(now(), left_out.iter().map(String::as_str)));
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
            self.take_writer(event.pid);
            if event.mask & CREATE != 0 {
                let name = String::from_utf8_lossy(event.name);
                self.openers.follow_created(&place, &name);
            }
            return;
        }
        if let Role::In { generation, below, .. } = &place.role
            && event.pid != std::process::id()
        {
            let path = format!("{below}{}", names::text(OsStr::from_bytes(event.name)));
            self.take_use(&place.volume, (generation, path), event);
        }
    }

    fn take_writer(&mut self, pid: u32) {
        if self.writers.len() >= MAX_WRITERS {
            self.writers.clear();
        }
        self.writers.insert(pid);
    }

    /// A process other than this one opened or read a file of a generation.
    fn take_use(&mut self, volume: &VolumeId, (directory, path): (&str, String), event: Event<'_>) {
        let is_open = event.mask & OPEN != 0;
        // The read that follows an open: the next reader may be about to end.
        self.has_readers |= !is_open && !self.is_kubelet(event.pid);
        let is_read = !is_open && event.mask & ACCESS != 0;
        let is_read_again = is_read && !self.openers.is_current(volume, directory);
        if !is_open && !is_read_again || self.is_recent(event) {
            return;
        }
        let by = match self.who(event.pid, volume) {
            Who::Own => return,
            Who::Unknown => None,
            Who::Known(opener) => Some(opener),
        };
        self.has_readers = true;
        let directory = directory.to_owned();
        // When the queue was last empty, it had not happened.
        let within = now() - self.looked.0;
        let what = if is_open {
            ReaderEvent::Opened { directory, path, by, within }
        } else {
            ReaderEvent::ReadAgain { directory, path: Some(path), by, within }
        };
        self.report(volume, what);
    }

    fn is_recent(&mut self, event: Event<'_>) -> bool {
        self.recent.has(now(), event.pid, event.directory, event.name)
    }

    fn who(&mut self, pid: u32, volume: &VolumeId) -> Who {
        if self.is_kubelet(pid) {
            return Who::Own;
        }
        let since = now() - self.looked.0;
        let is_it =
            |process: &OpenerProcess| !may_be_another(process.started, self.looked.1, since);
        let Some(process) = self.proc.opener(pid).filter(is_it) else { return Who::Unknown };
        if self.is_own(pid, &process) {
            self.kubelet = Some((pid, now()));
            return Who::Own;
        }
        let container_id = container(&process, volume);
        let origin = container_id
            .as_deref()
            .map_or(Origin::Container, |id| self.origins.of(&self.proc, (pid, process.parent), id));
        let session = match origin {
            Origin::Container => false,
            Origin::Session => true,
            Origin::Unknown => return Who::Unknown,
        };
        Who::Known(Opener { container_id, pid, program: Some(process.name), session })
    }

    /// Whether this process was recognised a moment ago.
    fn is_kubelet(&self, pid: u32) -> bool {
        self.kubelet.is_some_and(|(known, then)| known == pid && now() - then < TRUSTED)
    }

    /// Kubelet, or another process of the agent, such as `tokenwatch check`.
    fn is_own(&self, pid: u32, process: &OpenerProcess) -> bool {
        let is_agent = self
            .own
            .as_ref()
            .is_some_and(|own| own.name == process.name && own.cgroups == process.cgroups);
        let is_writer = is_kubelet(&process.name) || self.writers.contains(&pid);
        is_agent || (process.containers.is_empty() && is_writer)
    }

    fn report(&mut self, volume: &VolumeId, what: ReaderEvent) {
        let VolumeId { pod_uid, volume } = volume.clone();
        self.waiting.push(Observation::Readers(ReadersSeen { pod_uid, volume, what }));
    }
}

/// Whether a process may have got the number of the one that opened the file: it started after the
/// queue was last empty, and that was long ago. Times since the machine started.
fn may_be_another(started: Delta, looked: Delta, since: Delta) -> bool {
    since > STOPPED && started > looked
}

/// The process's container: that of the volume's pod, if several are nested.
fn container(process: &OpenerProcess, volume: &VolumeId) -> Option<String> {
    let is_of_pod = |uid: &Option<String>| uid.as_deref() == Some(volume.pod_uid.as_str());
    let containers = &process.containers;
    let of_pod = containers.iter().find(|container| is_of_pod(&container.pod_uid));
    of_pod.or(containers.last()).map(|container| container.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::InContainer;

    #[test]
    fn a_process_that_started_while_the_agent_was_stopped_is_not_trusted() {
        let secs = Delta::from_secs;
        let table = [
            // started, looked, since then, whether it may be another
            (90, 100, 1, false),
            (101, 100, 1, false), // a reader that ends at once
            (90, 100, 60, false), // it ran all the time
            (130, 100, 60, true),
        ];
        for (started, looked, since, expected) in table {
            let found = may_be_another(secs(started), secs(looked), secs(since));
            assert_eq!(found, expected, "{started} {looked} {since}");
        }
    }

    #[test]
    fn of_nested_containers_the_one_of_the_pod_counts() {
        let container =
            |uid: &str, id: &str| InContainer { pod_uid: Some(uid.to_owned()), id: id.to_owned() };
        let process = |containers| OpenerProcess {
            cgroups: Vec::new(),
            containers,
            name: "cat".to_owned(),
            parent: 1,
            started: Delta::ZERO,
        };
        let volume = VolumeId { pod_uid: "p".to_owned(), volume: "v".to_owned() };
        let table = [
            (vec![], None),
            (vec![container("p", "1"), container("q", "2")], Some("1")),
            (vec![container("q", "2"), container("p", "1")], Some("1")),
            (vec![container("q", "2"), container("r", "3")], Some("3")),
        ];
        for (containers, expected) in table {
            let found = super::container(&process(containers), &volume);
            assert_eq!(found.as_deref(), expected);
        }
    }
}
