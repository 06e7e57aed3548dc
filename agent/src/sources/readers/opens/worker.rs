//! The thread that follows the volumes: it takes new directories at once, opens in batches, and
//! looks for held generations when that is due.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::kubelet::{SyncsSeen, VolumeSync};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::ReaderEvent;
use tokio::sync::mpsc::Sender;

use super::found::Found;
use super::instances::{Instances, VolumeId};
use super::own::Own;
use super::pace::Pace;
use super::room::Room;
use super::volume::{Turn, Volume};
use super::watches::{self, Event};
use crate::clocks;
use crate::proc::ProcFs;
use crate::sources::health::{Health, Source};
use crate::sources::readers::fanotify::Openers;
use crate::sources::token_volumes::{TokenVolume, TokenVolumes};
use crate::sources::watch_error::WatchError;
use crate::sources::watchdog::Progress;
use crate::sys;

/// Buffers that are read at once: as much as the kernel's whole queue, so that a client that opens
/// files without end does not keep the thread there.
const MAX_BUFFERS: usize = 128;
/// Longest sleep.
const LONGEST: Delta = Delta::from_secs(60);
/// The same while somebody keeps a replaced generation. An event shows that it happened after the
/// last look, and one from before a rotation accuses nobody: with looks more seldom than the 10 s
/// in which a read after the rotation is no evidence, the first read would be lost.
const WHILE_KEPT: Delta = Delta::from_secs(5);
/// When the agent has run for this long, an unknown volume is a new one.
const SETTLED: Delta = Delta::from_secs(1);

const OVERFLOW: &str = "the kernel's queue of inotify events overflowed (sysctl \
                        fs.inotify.max_queued_events)";

/// State of the thread.
pub(super) struct Worker {
    followed: TokenVolumes,
    own: Own,
    /// None while inotify cannot be set up.
    instances: Result<Instances, WatchError>,
    volumes: BTreeMap<VolumeId, Box<Volume>>, // boxed: a third of the map is unused
    by_path: BTreeMap<PathBuf, VolumeId>,
    next: VolumeId,
    room: Room,
    /// Watches were reported as lacking.
    is_lacking: bool,
    pace: Pace,
    buffer: Box<[u8]>,
    out: Outbox,
}

/// Observations of one turn, and the health of the source.
struct Outbox {
    observations: Sender<Observation>,
    waiting: Vec<Found>,
    /// Syncs of kubelet that are not reported yet.
    syncs: Vec<VolumeSync>,
    health: Health,
    /// Who sees the processes, too; none below the level `fanotify`.
    openers: Option<Openers>,
}

impl Outbox {
    /// Sends everything. False: the receiver was dropped.
    fn flush(&mut self) -> bool {
        let (openers, looked) = (&self.openers, now());
        let is_left = |found: &Found| {
            let seen = openers.as_ref().zip(found.opened_after);
            seen.is_some_and(|(openers, after)| openers.sees(&found.observation, after, looked))
        };
        let waiting = std::mem::take(&mut self.waiting).into_iter(); // a burst takes memory
        let mut waiting = waiting.filter(|found| !is_left(found));
        waiting.all(|found| self.observations.blocking_send(found.sent(now())).is_ok())
    }
}

fn now() -> Monotonic {
    clocks::now().monotonic
}

impl Worker {
    pub(super) fn new(
        followed: TokenVolumes,
        openers: Option<Openers>,
        observations: Sender<Observation>,
    ) -> Self {
        let health = Health::new(Source::Readers);
        Self {
            own: Own::new(followed.own_opens()),
            followed,
            instances: Instances::new(),
            volumes: BTreeMap::new(),
            by_path: BTreeMap::new(),
            next: 0,
            room: Room::of_kernel(ProcFs::default().inotify_watches()),
            is_lacking: false,
            pace: Pace::new(now()),
            buffer: watches::buffer(),
            out: Outbox { observations, waiting: Vec::new(), syncs: Vec::new(), health, openers },
        }
    }

    /// Runs until it is stopped, or the receiver is dropped.
    pub(super) fn run(mut self, progress: &Progress) {
        let _ = sys::ask_for_short_slices(); // a kernel that refuses sets some watches later
        self.report_health(None);
        while self.out.flush() {
            progress.rest();
            self.wait();
            progress.step();
            if self.followed.is_stopped() {
                return;
            }
            self.take_arrivals();
            self.take_changes();
            if self.pace.is_reading_due(now()) {
                self.read_opens();
            }
            self.settle();
            self.retry();
            self.report_syncs();
        }
    }

    /// Waits for something to do.
    fn wait(&mut self) {
        let timeout = self.timeout();
        self.drop_notes_of_nothing();
        let (bell, instances) = (self.followed.bell(), self.instances.as_ref().ok());
        let arrivals = instances.map(|instances| instances.arrivals.fd());
        let opens = instances.filter(|_| !self.pace.is_reading_planned());
        let opens = opens.map(|instances| instances.opens.fd());
        let is_polled = opens.is_some();
        match readable([opens, bell, arrivals], timeout) {
            true => self.pace.plan_reading(now()),
            false if is_polled => self.note_empty(),
            false => {}
        }
    }

    /// The time comes first: what happens after it may be in the queue by then.
    fn note_empty(&mut self) {
        let looked = now();
        let opens = self.instances.as_ref().ok().map(|instances| instances.opens.fd());
        if !readable([opens, None, None], PollTimeout::ZERO) {
            self.pace.idle(looked);
        }
    }

    /// Notes whose events are not in the queue now have none: their files are not watched, or were
    /// not yet.
    fn drop_notes_of_nothing(&mut self) {
        self.own.begin();
        let Ok(instances) = &self.instances else { return self.own.end() };
        let opens = Some(instances.opens.fd());
        if self.own.has_settled() && !readable([opens, None, None], PollTimeout::ZERO) {
            self.own.end();
        }
    }

    fn timeout(&self) -> PollTimeout {
        // What is due for a volume waits for the queue, and for instances.
        let may_settle = self.instances.is_ok() && !self.pace.is_reading_planned();
        let volumes = self.volumes.values().filter(|_| may_settle).filter_map(|it| it.due()).min();
        let due = volumes.map_or(self.pace.due(), |due| due.min(self.pace.due()));
        let now = now();
        let is_kept = self.volumes.values().any(|volume| volume.is_kept());
        let longest = if is_kept { WHILE_KEPT } else { LONGEST };
        let wait = (due - now).min(longest);
        let millis = wait.to_std().as_micros().div_ceil(1_000);
        PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
    }

    /// New directories, which have to be watched before kubelet makes them current.
    fn take_arrivals(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let is_lost = self.read_arrivals(&mut buffer);
        self.buffer = buffer;
        if is_lost {
            self.lose(OVERFLOW);
        }
    }

    /// Returns whether events were lost.
    fn read_arrivals(&mut self, buffer: &mut [u8]) -> bool {
        let now = now();
        let is_settled = self.pace.has_run_for(SETTLED, now);
        let (out, syncs) = (&mut self.out.waiting, &mut self.out.syncs);
        let read_until = self.pace.empty();
        let Ok(instances) = &mut self.instances else { return false };
        while let Ok(Some(events)) = instances.arrivals.fill(buffer) {
            for event in events {
                if watches::is_loss(&event) {
                    return true;
                }
                let Some(event) = Event::of(&event) else { continue };
                let owner = instances.arrivals.owner(event.watch);
                let Some(volume) = owner.and_then(|id| self.volumes.get_mut(&id)) else { continue };
                let own = &mut self.own;
                volume.arrived(
                    &event,
                    &mut Turn { instances, own, out, syncs, now, read_until, is_settled },
                );
            }
        }
        false
    }

    fn read_opens(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.own.begin();
        let reading = self.read_events(&mut buffer);
        self.buffer = buffer;
        match reading {
            Reading::All(looked) => self.read_to_the_end(looked),
            Reading::More => self.pace.read_partly(now()),
            Reading::Lost => self.lose(OVERFLOW),
        }
    }

    fn read_to_the_end(&mut self, looked: Monotonic) {
        self.own.end();
        self.pace.read(looked);
        self.each(Volume::verify);
    }

    fn read_events(&mut self, buffer: &mut [u8]) -> Reading {
        let now = now();
        let is_settled = self.pace.has_run_for(SETTLED, now);
        let (out, syncs) = (&mut self.out.waiting, &mut self.out.syncs);
        let read_until = self.pace.empty();
        let Ok(instances) = &mut self.instances else { return Reading::All(now) };
        for _ in 0..MAX_BUFFERS {
            let looked = clocks::now().monotonic;
            let Ok(Some(events)) = instances.opens.fill(buffer) else {
                return Reading::All(looked);
            };
            for event in events {
                if watches::is_loss(&event) {
                    return Reading::Lost;
                }
                let Some(event) = Event::of(&event) else { continue };
                let owner = instances.opens.owner(event.watch);
                let Some(volume) = owner.and_then(|id| self.volumes.get_mut(&id)) else { continue };
                let own = &mut self.own;
                volume.take(
                    &event,
                    &mut Turn { instances, own, out, syncs, now, read_until, is_settled },
                );
            }
        }
        Reading::More
    }

    /// Calls `act` for each volume; for none while inotify cannot be set up.
    fn each(&mut self, mut act: impl FnMut(&mut Volume, &mut Turn<'_>)) {
        let now = now();
        let is_settled = self.pace.has_run_for(SETTLED, now);
        let Ok(instances) = &mut self.instances else { return };
        let (own, out, syncs) = (&mut self.own, &mut self.out.waiting, &mut self.out.syncs);
        let read_until = self.pace.empty();
        let mut turn = Turn { instances, own, out, syncs, now, read_until, is_settled };
        self.volumes.values_mut().for_each(|volume| act(volume, &mut turn));
    }

    fn settle(&mut self) {
        self.each(Volume::settle);
    }

    /// Reports the syncs of the last seconds, or that there were none.
    fn report_syncs(&mut self) {
        self.pace.has_syncs(!self.out.syncs.is_empty());
        if self.pace.is_report_due(now()) {
            let volumes = std::mem::take(&mut self.out.syncs);
            let observation = Observation::Syncs(SyncsSeen { until: self.pace.empty(), volumes });
            self.out.waiting.push(Found { observation, opened_after: None });
            self.pace.reported(now());
        }
    }

    /// After lost events nothing is certain: not even which watches there are. All are set again.
    fn lose(&mut self, why: &str) {
        let now = now();
        let span = self.pace.since_empty(now);
        for volume in self.volumes.values_mut() {
            if volume.is_followed() {
                let missed = ReaderEvent::Missed { span, why: why.to_owned() };
                volume.report(missed, &mut self.out.waiting);
            }
            volume.forget_watches();
        }
        self.instances = Instances::new();
        self.own.end();
        self.pace.read(now);
        self.pace.retry_at(now);
        self.is_lacking = false;
        self.report_health(Some(format!("{why}; the agent sets all watches again")));
    }

    /// What the source of token files has found.
    fn take_changes(&mut self) {
        let changes = self.followed.take();
        if changes.is_empty() {
            return;
        }
        let mut changed = BTreeSet::new();
        for (path, volume) in changes {
            match volume {
                Some(volume) => changed.extend([self.know(path, volume)]),
                None => self.forget(&path),
            }
        }
        self.share();
        changed.extend(self.volumes.keys().filter(|id| self.room.has_freed(**id)));
        self.set_watches(|volume| changed.contains(&volume.id()));
        // The next attempt reports what is lacking by then. It may have been the last one.
        if self.is_lacking && self.lacking().is_none() {
            self.report_watches();
        }
    }

    fn know(&mut self, path: PathBuf, of: TokenVolume) -> VolumeId {
        let known = self.by_path.get(&path).copied();
        let id = known.unwrap_or_else(|| self.next_id());
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.update(of);
        } else {
            self.by_path.insert(path.clone(), id);
            self.volumes.insert(id, Box::new(Volume::new(id, path, of)));
        }
        id
    }

    /// Shares the watches among the volumes, after one came, changed or went.
    fn share(&mut self) {
        let volumes = self.volumes.iter().map(|(id, volume)| (*id, volume.of()));
        let changed = self.room.share(now(), volumes);
        let found = changed.map(|observation| Found { observation, opened_after: None });
        self.out.waiting.extend(found);
    }

    /// Asks for the processes of the opens, too.
    fn attribute(&self, volume: &Volume) {
        if let Some(openers) = &self.out.openers {
            openers.follow(&volume.name(), volume.path());
        }
    }

    /// Asks for them no more.
    fn forget_opens(&self, volume: &Volume) {
        if let Some(openers) = &self.out.openers {
            openers.forget(&volume.name());
        }
    }

    fn next_id(&mut self) -> VolumeId {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    fn forget(&mut self, path: &Path) {
        let id = self.by_path.remove(path);
        let volume = id.and_then(|id| self.volumes.remove(&id));
        if let Some(volume) = &volume {
            self.forget_opens(volume);
        }
        if let (Some(mut volume), Ok(instances)) = (volume, &mut self.instances) {
            volume.leave(instances);
        }
    }

    /// Sets the watches that are missing.
    fn retry(&mut self) {
        if !self.volumes.values().all(|volume| volume.is_followed()) {
            self.pace.lacking(now());
        }
        if self.pace.is_retry_due(now()) {
            if self.instances.is_err() {
                self.instances = Instances::new();
            }
            self.set_watches(|volume| !volume.is_followed());
            self.forget_missing();
            self.share();
            self.report_watches();
            let are_set = self.volumes.values().all(|volume| volume.is_followed());
            self.pace.retried(now(), !are_set);
        }
        if let Some(due) = self.room.due() {
            self.pace.retry_at(due);
        }
    }

    /// Sets the watches of those volumes that are chosen.
    fn set_watches(&mut self, is_chosen: impl Fn(&Volume) -> bool) {
        let error = self.instances.as_ref().err().cloned();
        let room = std::mem::take(&mut self.room);
        let may = |volume: &Volume| !room.leaves_out(volume.id());
        let chosen = self.volumes.values().filter(|volume| is_chosen(volume) && may(volume));
        chosen.for_each(|volume| self.attribute(volume));
        self.volumes.values().filter(|volume| !may(volume)).for_each(|it| self.forget_opens(it));
        if let Some(error) = &error {
            for volume in self.volumes.values_mut().filter(|volume| is_chosen(volume)) {
                volume.fail(error, &mut self.out.waiting);
            }
        }
        self.each(|volume, turn| {
            if !may(volume) {
                volume.leave(turn.instances);
                volume.leave_out(room.too_many(volume.of()), turn.out);
            } else if is_chosen(volume) {
                let followed = volume.follow(turn);
                followed.unwrap_or_else(|error| volume.fail(&error, turn.out));
            }
        });
        self.room = room;
    }

    /// A volume that does not exist any more: the source of token files reports it if it comes
    /// back.
    fn forget_missing(&mut self) {
        let missing = self.volumes.values().filter(|volume| !volume.is_followed());
        let missing = missing.map(|volume| volume.path().to_owned()).filter(|path| !path.is_dir());
        for path in missing.collect::<Vec<PathBuf>>() {
            self.forget(&path);
        }
    }

    fn report_watches(&mut self) {
        let lacking = self.lacking();
        self.is_lacking = lacking.is_some();
        self.report_health(lacking);
    }

    /// What is not watched, and why.
    fn lacking(&self) -> Option<String> {
        let failed = self.volumes.values().filter(|volume| !self.room.leaves_out(volume.id()));
        let failed: Vec<&str> = failed.filter_map(|volume| volume.unseen()).collect();
        let volumes = count_of(failed.len(), "volume");
        let degraded =
            failed.first().map(|why| format!("{why}; the agent cannot see who reads {volumes}"));
        let degraded: Vec<String> = degraded.into_iter().chain(self.room.degraded()).collect();
        (!degraded.is_empty()).then(|| degraded.join("; "))
    }

    fn report_health(&mut self, degraded: Option<String>) {
        let health = self.out.health.update(degraded);
        let found = health.map(|observation| Found { observation, opened_after: None });
        self.out.waiting.extend(found);
    }
}

/// How far the queue was read.
enum Reading {
    /// To its end; it was looked at last after this time.
    All(Monotonic),
    /// There is more in it.
    More,
    /// Events were lost.
    Lost,
}

/// Waits until one of these is readable. Returns whether the first is.
fn readable(descriptors: [Option<BorrowedFd<'_>>; 3], timeout: PollTimeout) -> bool {
    let first = usize::from(descriptors[0].is_some());
    let descriptors = descriptors.into_iter().flatten();
    let mut polled: Vec<PollFd<'_>> =
        descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
    let _ = poll(&mut polled, timeout); // an error: a signal came, and the turn is an idle one
    first == 1 && polled.first().and_then(PollFd::any).unwrap_or_default()
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
