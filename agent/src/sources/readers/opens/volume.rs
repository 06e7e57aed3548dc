//! One followed volume: its generations, and which of their opens are a client's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use inotify::WatchMask;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::kubelet::VolumeSync;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::{ReaderEvent, ReadersSeen};

use super::files::Files;
use super::found::Found;
use super::generation::{Generation, Sign, Stage};
use super::held::{self, Held};
use super::instances::{Instances, VolumeId};
use super::links::{self, DATA, data_link, inode, is_generation, since_rename};
use super::own::Own;
use super::reactions::{Beginning, Missed, Reactions};
use super::watches::{Event, Kind, WatchId};
use crate::sources::names;
use crate::sources::own_opens::Inode;
use crate::sources::readers::fanotify;
use crate::sources::token_volumes::TokenVolume;
use crate::sources::watch_error::WatchError;

/// Replaced generations that are watched while somebody holds them. `statfs` counts the others.
const MAX_HELD: usize = 4;
/// A walk opens the volume's directory, and microseconds later that of the generation. The queue is
/// read in steps.
const WALK: Delta = Delta::from_millis(150);
/// A client that opens a file so soon after a walk began did not end it.
const AT_ONCE: Delta = Delta::from_millis(10);

/// What is passed to a volume each time.
pub(super) struct Turn<'a> {
    pub(super) instances: &'a mut Instances,
    pub(super) own: &'a mut Own,
    pub(super) out: &'a mut Vec<Found>,
    pub(super) syncs: &'a mut Vec<VolumeSync>,
    pub(super) now: Monotonic,
    /// Everything that happened before was taken from the queue.
    pub(super) read_until: Monotonic,
    /// Whether the agent runs for long enough that an unknown volume is a new one.
    pub(super) is_settled: bool,
}

/// A volume with tokens.
#[derive(Debug)]
pub(super) struct Volume {
    id: VolumeId,
    path: PathBuf,
    of: TokenVolume,
    root: Option<Root>,
    /// Oldest first.
    generations: Vec<Generation>,
    /// The generation that kubelet began last.
    begun: Option<OsString>,
    /// When the volume's own directory was opened, if nothing of the volume was opened since.
    walk: Option<Monotonic>,
    held: Held,
    reactions: Reactions,
    /// Why its opens cannot be seen, if that is reported.
    unseen: Option<String>,
}

/// The watches on the volume's own directory.
#[derive(Clone, Copy, Debug)]
struct Root {
    opens: WatchId,
    arrivals: WatchId,
    inode: Inode,
}

impl Volume {
    pub(super) fn new(id: VolumeId, path: PathBuf, of: TokenVolume) -> Self {
        Self {
            id,
            path,
            of,
            root: None,
            generations: Vec::new(),
            begun: None,
            walk: None,
            held: Held::default(),
            reactions: Reactions::default(),
            unseen: None,
        }
    }

    /// Its pod and its name.
    pub(super) fn name(&self) -> fanotify::VolumeId {
        fanotify::VolumeId { pod_uid: self.of.pod_uid.clone(), volume: self.of.volume.clone() }
    }

    pub(super) fn of(&self) -> &TokenVolume {
        &self.of
    }

    pub(super) fn id(&self) -> VolumeId {
        self.id
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_followed(&self) -> bool {
        self.root.is_some()
    }

    /// Its files are these now.
    pub(super) fn update(&mut self, of: TokenVolume) {
        for generation in &mut self.generations {
            let directory = self.path.join(&generation.directory);
            generation.files.update(&of);
            if generation.is_current() {
                generation.files.resolve(|file| inode(&directory.join(file)));
            }
        }
        self.of = of;
    }

    pub(super) fn report(&self, what: ReaderEvent, out: &mut Vec<Found>) {
        out.push(Found { observation: self.observation(what), opened_after: None });
    }

    /// Reports what somebody opened, or read, after this time.
    fn report_open(&self, what: ReaderEvent, after: Monotonic, out: &mut Vec<Found>) {
        out.push(Found { observation: self.observation(what), opened_after: Some(after) });
    }

    fn report_sync(&self, at: Monotonic, is_certain: bool, out: &mut Vec<VolumeSync>) {
        let (pod_uid, volume) = (self.of.pod_uid.clone(), self.of.volume.clone());
        out.push(VolumeSync { pod_uid, volume, at, is_certain });
    }

    fn observation(&self, what: ReaderEvent) -> Observation {
        let (pod_uid, volume) = (self.of.pod_uid.clone(), self.of.volume.clone());
        Observation::Readers(ReadersSeen { pod_uid, volume, what })
    }

    /// Its watches cannot be set, so opens are not seen. A volume without a current generation is
    /// being set up or torn down.
    pub(super) fn fail(&mut self, error: &WatchError, out: &mut Vec<Found>) {
        if *error != WatchError::Missing {
            self.leave_out(error.to_string(), out);
        }
    }

    /// Its opens cannot be seen.
    pub(super) fn leave_out(&mut self, why: String, out: &mut Vec<Found>) {
        if self.unseen.as_ref() != Some(&why) {
            self.report(ReaderEvent::Unseen { why: why.clone() }, out);
            self.unseen = Some(why);
        }
    }

    /// Why its opens cannot be seen, if they cannot.
    pub(super) fn unseen(&self) -> Option<&str> {
        self.unseen.as_deref()
    }

    /// Sets the watches, unless they are set; all of them again, if another file system is mounted
    /// there now.
    pub(super) fn follow(&mut self, turn: &mut Turn<'_>) -> Result<(), WatchError> {
        let inode = inode(&self.path).ok_or(WatchError::Missing)?;
        if self.root.is_some_and(|root| root.inode == inode) {
            return Ok(());
        }
        self.leave(turn.instances);
        let followed = self.watch(inode, turn);
        if followed.is_err() {
            self.leave(turn.instances);
        }
        followed
    }

    fn watch(&mut self, inode: Inode, turn: &mut Turn<'_>) -> Result<(), WatchError> {
        let arrivals = turn.instances.arrivals.add(&self.path, WatchMask::CREATE, self.id)?;
        let mask = WatchMask::OPEN
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF;
        let opens = turn.instances.opens.add(&self.path, mask, self.id);
        let opens = opens.inspect_err(|_| turn.instances.arrivals.remove(arrivals))?;
        self.root = Some(Root { opens, arrivals, inode });
        self.catch_up(turn)?;
        self.held.begin(turn.now);
        Ok(())
    }

    /// Watches the generation that is current, unless it is known. One that is known and not
    /// current yet becomes so with its event, which is in the queue.
    fn catch_up(&mut self, turn: &mut Turn<'_>) -> Result<(), WatchError> {
        let name = data_link(&self.path).ok_or(WatchError::Missing)?;
        if self.position(&name).is_none() {
            let is_first = self.is_first_generation(turn);
            let index = self.add(&name, turn)?;
            let missed = if is_first { Missed::Nothing } else { Missed::Something };
            self.make_current(index, missed, turn);
        }
        Ok(())
    }

    /// Whether the generation that is current is the volume's first, and so new that no container
    /// can have opened it.
    fn is_first_generation(&self, turn: &Turn<'_>) -> bool {
        let link = self.of.files.first().and_then(|file| file.path.components().next());
        turn.is_settled && link.is_some_and(|link| links::is_first_write(&self.path, link.as_ref()))
    }

    /// Watches a generation. Returns its index.
    fn add(&mut self, name: &OsStr, turn: &mut Turn<'_>) -> Result<usize, WatchError> {
        if let Some(known) = self.position(name) {
            return Ok(known);
        }
        // Nothing else first, and no lock: kubelet takes 200 us from here to the rename of
        // `..data`.
        let path = self.path.join(name);
        let watch = turn.instances.opens.add(&path, Generation::FIRST_MASK, self.id)?;
        let is_early = data_link(&self.path).as_deref() != Some(name);
        let watch = if is_early { watch } else { self.watch_again(watch, &path, turn)? };
        let mut generation = Generation::new(name, inode(&path), Files::of(&self.of));
        generation.watches.push((watch, PathBuf::new()));
        generation.is_complete = is_early;
        if !is_early {
            generation.gap = since_rename(&self.path);
            generation.files.resolve(|file| inode(&path.join(file)));
            generation.inodes().for_each(|unwatched| turn.own.forget(unwatched));
        }
        // One is enough until the next rotation, and each volume of the node has this list.
        self.generations.reserve_exact(1);
        self.generations.push(generation);
        let index = self.generations.len() - 1;
        self.watch_below(index, turn);
        Ok(index)
    }

    /// The agent may have opened the files of a current generation, before the watch or after it.
    /// With the watch set again, what it has noted by now was before.
    fn watch_again(
        &self,
        watch: WatchId,
        path: &Path,
        turn: &mut Turn<'_>,
    ) -> Result<WatchId, WatchError> {
        turn.instances.opens.remove(watch);
        turn.own.collect();
        turn.instances.opens.add(path, Generation::FIRST_MASK, self.id)
    }

    /// Watches the directories in a generation that lead to a token, as far as they exist.
    fn watch_below(&mut self, index: usize, turn: &mut Turn<'_>) {
        let directories = self.of.token_directories();
        if directories == [Path::new("")] {
            return;
        }
        let generation = &mut self.generations[index];
        for directory in directories {
            let path = self.path.join(&generation.directory).join(directory);
            if !generation.watches(directory) {
                let watch = turn.instances.opens.add(&path, generation.mask(), self.id);
                generation.watches.extend(watch.map(|watch| (watch, directory.to_owned())));
            }
            let arrival = turn.instances.arrivals.add(&path, WatchMask::CREATE, self.id);
            generation.arrivals.extend(arrival);
        }
        generation.arrivals.sort_unstable();
        generation.arrivals.dedup();
        self.note_late(index);
    }

    /// A watch that was set when `..data` had been renamed may have missed something.
    fn note_late(&mut self, index: usize) {
        let generation = &mut self.generations[index];
        let is_early = data_link(&self.path).as_deref() != Some(&generation.directory);
        generation.is_complete &= is_early;
        if !is_early {
            generation.gap = since_rename(&self.path);
        }
    }

    fn position(&self, name: &OsStr) -> Option<usize> {
        self.generations.iter().position(|generation| generation.directory == name)
    }

    /// `..data` leads to this generation.
    fn make_current(&mut self, index: usize, missed: Missed, turn: &mut Turn<'_>) {
        self.end_current(turn);
        let directories = self.of.token_directories().len();
        let generation = &mut self.generations[index];
        let path = self.path.join(&generation.directory);
        generation.files.resolve(|file| inode(&path.join(file)));
        let is_whole = generation.watches.len() == directories;
        let (complete, moment) = match missed {
            Missed::Nothing => (is_whole, false),
            Missed::Moment => (false, is_whole),
            Missed::Something => (false, false),
        };
        generation.begin(complete);
        let directory = names::text(generation.directory.as_os_str()).into_owned();
        self.unseen = None;
        self.report(ReaderEvent::Watching { directory, complete, moment }, turn.out);
        self.drop_oldest(turn.instances);
    }

    fn end_current(&mut self, turn: &mut Turn<'_>) {
        self.learn(turn);
        self.generations.iter_mut().filter(|one| one.is_current()).for_each(|it| it.end(turn.now));
    }

    /// Learns from the current generation how clients take a rotation.
    fn learn(&mut self, turn: &mut Turn<'_>) {
        let mut excused = Vec::new();
        for generation in self.generations.iter_mut().filter(|one| one.is_current()) {
            excused.extend(self.reactions.learn(&mut generation.beginning, turn.read_until));
        }
        for directory in excused {
            let directory = names::text(directory.as_os_str()).into_owned();
            let (complete, moment) = (true, false);
            self.report(ReaderEvent::Watching { directory, complete, moment }, turn.out);
        }
    }

    fn drop_oldest(&mut self, instances: &mut Instances) {
        let is_replaced = |one: &Generation| matches!(one.stage, Stage::Replaced(_));
        let replaced = self.generations.iter().filter(|one| is_replaced(one)).count();
        if replaced > MAX_HELD
            && let Some(oldest) = self.generations.iter().position(is_replaced)
        {
            drop_watches(&self.generations.remove(oldest), instances);
        }
    }

    /// Drops all watches.
    pub(super) fn leave(&mut self, instances: &mut Instances) {
        for generation in self.generations.drain(..) {
            drop_watches(&generation, instances);
        }
        if let Some(root) = self.root.take() {
            instances.opens.remove(root.opens);
            instances.arrivals.remove(root.arrivals);
        }
        (self.begun, self.walk) = (None, None);
    }

    /// The watches are gone with their instances.
    pub(super) fn forget_watches(&mut self) {
        self.generations.clear();
        (self.root, self.begun, self.walk) = (None, None, None);
    }

    /// A directory was made: a new generation, or a directory in one.
    pub(super) fn arrived(&mut self, event: &Event<'_>, turn: &mut Turn<'_>) {
        let Some(name) = event.name.filter(|_| event.is_directory) else { return };
        if self.root.is_some_and(|root| root.arrivals == event.watch) {
            if is_generation(name) {
                let _ = self.add(name, turn); // it may be gone already
                self.cool_down(turn.instances);
            }
            return;
        }
        let found = self.generations.iter().position(|one| one.arrivals.contains(&event.watch));
        if let Some(index) = found {
            self.watch_below(index, turn);
        }
    }

    /// The current generation is about to be replaced.
    fn cool_down(&mut self, instances: &mut Instances) {
        let (path, id) = (&self.path, self.id);
        for generation in self.generations.iter_mut().filter(|one| one.is_current()) {
            if generation.cool_down() {
                set_watches(path, generation, id, instances);
            }
        }
    }

    /// Takes an event of the instance for opens.
    pub(super) fn take(&mut self, event: &Event<'_>, turn: &mut Turn<'_>) {
        match self.root {
            Some(root) if root.opens == event.watch => self.take_of_root(event, root, turn),
            Some(_) | None => self.take_of_generation(event, turn),
        }
    }

    fn take_of_root(&mut self, event: &Event<'_>, root: Root, turn: &mut Turn<'_>) {
        let name = event.name.unwrap_or_default();
        match event.kind {
            Kind::Opened if event.name.is_none() => self.root_opened(root, turn),
            Kind::Created if event.is_directory => self.generation_begun(name, turn),
            Kind::MovedHere if name == DATA => self.rotated(turn),
            Kind::Removed if event.is_directory => self.removed(name, turn),
            Kind::Ended => self.leave(turn.instances),
            Kind::Opened
            | Kind::Read
            | Kind::Closed
            | Kind::Created
            | Kind::MovedHere
            | Kind::Removed => {}
        }
    }

    fn root_opened(&mut self, root: Root, turn: &mut Turn<'_>) {
        if !turn.own.takes(root.inode) {
            self.walk = Some(turn.now);
        }
    }

    fn generation_begun(&mut self, name: &OsStr, turn: &mut Turn<'_>) {
        if !is_generation(name) {
            return;
        }
        for generation in self.generations.iter_mut().filter(|one| one.is_current()) {
            generation.files.replaced();
        }
        let _ = self.add(name, turn); // it may be gone already
        self.begun = Some(name.to_owned());
    }

    fn rotated(&mut self, turn: &mut Turn<'_>) {
        self.end_current(turn);
        let name = self.begun.take().or_else(|| data_link(&self.path));
        let index = name.and_then(|name| self.add(&name, turn).ok());
        if let Some(index) = index {
            let found = &mut self.generations[index];
            let is_whole = found.watches.len() == self.of.token_directories().len();
            found.beginning = Beginning::rotated(turn.now, found.is_complete && is_whole);
            let missed = match (found.is_complete, is_whole) {
                (_, false) => Missed::Something,
                (true, true) => Missed::Nothing,
                (false, true) => self.reactions.missed(&found.directory, found.gap),
            };
            self.make_current(index, missed, turn);
        }
        self.report_sync(turn.now, true, turn.syncs);
        self.held.rotated(turn.now);
    }

    /// After the queue was read to its end: a generation may have been gone before its event was
    /// taken, and another one be current.
    pub(super) fn verify(&mut self, turn: &mut Turn<'_>) {
        if self.root.is_some() && !self.generations.iter().any(Generation::is_current) {
            let _ = self.catch_up(turn); // without `..data` there is nothing to watch
        }
    }

    /// A generation was removed that never was current: its write failed.
    fn removed(&mut self, name: &OsStr, turn: &mut Turn<'_>) {
        let is_it = |one: &Generation| one.directory == name && one.stage == Stage::Coming;
        if let Some(index) = self.generations.iter().position(is_it) {
            drop_watches(&self.generations.remove(index), turn.instances);
        }
    }

    fn take_of_generation(&mut self, event: &Event<'_>, turn: &mut Turn<'_>) {
        let found = self.generations.iter().position(|one| one.watched(event.watch).is_some());
        let Some(index) = found else { return };
        let file = event.name.filter(|_| !event.is_directory);
        match (event.kind, file) {
            (Kind::Ended, _) => self.watch_ended(index, event.watch, turn),
            (Kind::Opened | Kind::Read | Kind::Closed, Some(name)) => {
                self.file_used(index, name, event, turn);
            }
            (Kind::Opened, None) if event.name.is_none() => {
                self.directory_opened(index, event.watch, turn);
            }
            (Kind::Opened | Kind::Read | Kind::Closed, None)
            | (Kind::Created | Kind::MovedHere | Kind::Removed, _) => {}
        }
    }

    fn watch_ended(&mut self, index: usize, watch: WatchId, turn: &mut Turn<'_>) {
        turn.instances.opens.forget(watch);
        let generation = &mut self.generations[index];
        generation.watches.retain(|(id, _)| *id != watch);
        if generation.watches.is_empty() {
            let ended = self.generations.remove(index);
            drop_watches(&ended, turn.instances);
            if ended.is_old(turn.now) {
                self.held.released(turn.now);
            }
        }
    }

    fn directory_opened(&mut self, index: usize, watch: WatchId, turn: &mut Turn<'_>) {
        let generation = &mut self.generations[index];
        let is_its_own = generation.watched(watch) == Some(Path::new(""));
        let is_own = is_its_own && generation.inode.is_some_and(|inode| turn.own.takes(inode));
        if is_its_own && !is_own && generation.is_current() {
            let in_walk = self.walk.take().is_some_and(|at| turn.now - at <= WALK);
            generation.files.directory_opened(turn.now, turn.read_until, in_walk);
        }
    }

    fn file_used(&mut self, index: usize, name: &OsStr, event: &Event<'_>, turn: &mut Turn<'_>) {
        let generation = &mut self.generations[index];
        let Some(directory) = generation.watched(event.watch) else { return };
        let file = generation.files.position(directory, Path::new(name));
        let is_opened = event.kind == Kind::Opened && generation.stage != Stage::Coming;
        let inode = file.filter(|_| is_opened).and_then(|file| generation.files.inode(file));
        let is_own = inode.is_some_and(|inode| turn.own.takes(inode));
        let is_later = self.walk.is_some_and(|at| turn.now - at > AT_ONCE);
        if is_opened && !is_own && is_later {
            self.walk = None;
        }
        if let Sign::ReadAgain(file) =
            generation.take(event, file, is_own, (turn.now, turn.read_until))
        {
            self.report_read_again(index, file, turn);
        }
    }

    fn report_read_again(&self, index: usize, file: usize, turn: &mut Turn<'_>) {
        let generation = &self.generations[index];
        let directory = names::text(generation.directory.as_os_str()).into_owned();
        let path = Some(text(generation.files.path(file)));
        let within = Delta::ZERO; // until it is sent
        let what = ReaderEvent::ReadAgain { directory, path, by: None, within };
        self.report_open(what, turn.read_until, turn.out);
    }

    /// After a reading of the queue, and when something is due: decides, reports, adapts.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        let (mut opened, mut synced) = (Vec::new(), None);
        for generation in &mut self.generations {
            let directory = names::text(generation.directory.as_os_str());
            generation.files.settle(turn.now);
            generation.files.take_news(turn.now, |path, after| {
                generation.beginning.opened(turn.now);
                let (directory, path) = (directory.clone().into_owned(), text(path));
                let within = Delta::ZERO; // until it is sent
                opened.push((ReaderEvent::Opened { directory, path, by: None, within }, after));
            });
            let seen = generation.files.take_synced();
            synced = seen.filter(|_| generation.is_current()).or(synced);
            if generation.adapt(turn.now) {
                set_watches(&self.path, generation, self.id, turn.instances);
                // While it rested, nothing was seen.
                synced = synced.or_else(|| generation.is_current().then_some((turn.now, false)));
            }
        }
        if let Some((at, is_certain)) = synced {
            self.report_sync(at, is_certain, turn.syncs);
        }
        for (what, after) in opened {
            self.report_open(what, after, turn.out);
        }
        self.learn(turn);
        if self.held.due().is_some_and(|due| due <= turn.now) {
            self.look_for_held(turn);
        }
    }

    fn look_for_held(&mut self, turn: &mut Turn<'_>) {
        let inodes = held::unseen_inodes(&self.path, turn.own.notes());
        let old = self.generations.iter().filter(|one| matches!(one.stage, Stage::Replaced(_)));
        let watched = u32::try_from(old.count()).unwrap_or(u32::MAX);
        let found = held::generations(inodes, self.of.files.len(), watched);
        if let Some(generations) = self.held.look(found, turn.now) {
            self.report(ReaderEvent::Held { generations }, turn.out);
        }
    }

    /// Whether somebody keeps a replaced generation: its watches end with it.
    pub(super) fn is_kept(&self) -> bool {
        self.generations.iter().any(|one| matches!(one.stage, Stage::Replaced(_)))
    }

    /// When to settle.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let generations = self.generations.iter().filter_map(Generation::due);
        generations.chain(self.held.due()).min()
    }
}

/// Sets the watches of a generation again, with what they report now.
fn set_watches(path: &Path, generation: &Generation, id: VolumeId, instances: &mut Instances) {
    for (_, directory) in &generation.watches {
        let path = path.join(&generation.directory).join(directory);
        let _ = instances.opens.add(&path, generation.mask(), id); // it may be gone already
    }
}

fn drop_watches(generation: &Generation, instances: &mut Instances) {
    generation.watches.iter().for_each(|(watch, _)| instances.opens.remove(*watch));
    generation.arrivals.iter().for_each(|watch| instances.arrivals.remove(*watch));
}

fn text(path: &Path) -> String {
    names::text(path.as_os_str()).into_owned()
}
