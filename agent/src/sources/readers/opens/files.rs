//! Which opens of one generation's files are kubelet's, and which are a client's.
//!
//! Each sync of kubelet opens the directory of the generation, then files in any order: every one
//! of them if nothing changed, and else up to the first that differs, after which a new generation
//! appears (pkg/volume/util/atomic_writer.go). A client opens files alone. A walk over the whole
//! volume, as kubelet's statistics do, opens the volume's own directory just before.

use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::{Delta, Monotonic};

use super::spacing::Spacing;
use crate::sources::own_opens::Inode;
use crate::sources::token_volumes::TokenVolume;

/// How long kubelet may take from the directory to the last file of a sync. It takes a millisecond;
/// a starved node takes longer.
const SYNC: Delta = Delta::from_secs(2);

/// When the machine started: before all that can be seen.
const EVER: Monotonic = Monotonic::from_nanos(0);

/// The files of one generation.
#[derive(Debug, Default)]
pub(super) struct Files {
    list: Vec<File>,
    /// Whether these are all that kubelet compares.
    are_whole: bool,
    /// Whether every open and every close since the generation began was seen.
    are_balanced: bool,
    sync: Option<KubeletSync>,
    /// The last sync of kubelet, unless it is taken already, and whether it is certain.
    synced: Option<(Monotonic, bool)>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    is_token: bool,
    /// None before the generation was current, or if it was gone by then.
    inode: Option<Inode>,
    /// It was opened in the current sync.
    is_synced: bool,
    /// How many have it open.
    open: u32,
    /// A client opened it, after this time, which is not reported yet.
    news: Option<Monotonic>,
    spacing: Spacing,
}

/// What may be a sync of kubelet.
#[derive(Debug)]
struct KubeletSync {
    kind: SyncKind,
    since: Monotonic,
    /// Before this time, none of its opens happened.
    after: Monotonic,
    files: usize,
}

/// Who opened the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncKind {
    /// kubelet, as far as it seems.
    Sync,
    /// Somebody who had opened the volume's own directory just before: kubelet's statistics, or a
    /// client that lists its mount. kubelet's sync may be among them.
    InWalk,
    /// Another tokenwatch, which opens it twice.
    Look,
}

/// Another tokenwatch opens the directory twice within this time, with nothing in between.
const TWICE: Delta = Delta::from_millis(20);

impl Files {
    /// Of a volume, as far as they are in the directories that are watched.
    pub(super) fn of(volume: &TokenVolume) -> Self {
        let directories = volume.token_directories();
        let is_watched = |path: &Path| {
            path.parent().is_some_and(|parent| {
                parent == Path::new("") || directories.binary_search(&parent).is_ok()
            })
        };
        let watched = volume.files.iter().filter(|file| is_watched(&file.path));
        let list = watched.map(|file| File::new(file.path.clone(), file.is_token));
        let mut list: Vec<File> = list.collect();
        list.shrink_to_fit(); // each volume of the node has this list
        let (sync, synced) = (None, None);
        Self { list, are_whole: volume.is_whole, are_balanced: false, sync, synced }
    }

    /// Of this volume from now on. What was reported of a file stays reported.
    pub(super) fn update(&mut self, volume: &TokenVolume) {
        let mut new = Self::of(volume);
        if self.list.iter().map(File::identity).eq(new.list.iter().map(File::identity)) {
            self.are_whole = new.are_whole;
            return;
        }
        for file in &mut new.list {
            let known = self.list.iter_mut().find(|known| known.path == file.path);
            if let Some(known) = known {
                (file.spacing, file.news) = (known.spacing, known.news);
                file.inode = known.inode;
            }
        }
        *self = new;
    }

    /// The file at `path`.
    pub(super) fn position(&self, directory: &Path, name: &Path) -> Option<usize> {
        let is_it = |file: &File| {
            file.path.file_name() == Some(name.as_os_str()) && file.path.parent() == Some(directory)
        };
        self.list.iter().position(is_it)
    }

    pub(super) fn path(&self, file: usize) -> &Path {
        &self.list[file].path
    }

    pub(super) fn is_token(&self, file: usize) -> bool {
        self.list[file].is_token
    }

    /// Finds the inodes of the files, by their path in the generation.
    pub(super) fn resolve(&mut self, inode: impl Fn(&Path) -> Option<Inode>) {
        for file in self.list.iter_mut().filter(|file| file.inode.is_none()) {
            file.inode = inode(&file.path);
        }
    }

    /// The inode of a file; none if it is not known.
    pub(super) fn inode(&self, file: usize) -> Option<Inode> {
        self.list[file].inode
    }

    pub(super) fn inodes(&self) -> impl Iterator<Item = Inode> {
        self.list.iter().filter_map(|file| file.inode)
    }

    /// From now on every open and close is seen, or not any more.
    pub(super) fn set_balanced(&mut self, are_balanced: bool) {
        self.are_balanced = are_balanced;
        for file in &mut self.list {
            file.open = 0;
        }
    }

    /// Somebody opened the directory of the generation. `in_walk`: and just before, that of the
    /// volume. Here and below, what is taken `now` happened after `after`.
    pub(super) fn directory_opened(&mut self, now: Monotonic, after: Monotonic, in_walk: bool) {
        let kind = self.kind(now, in_walk);
        self.end_sync();
        for file in &mut self.list {
            file.is_synced = false;
        }
        self.sync = Some(KubeletSync { kind, since: now, after, files: 0 });
    }

    fn kind(&self, now: Monotonic, in_walk: bool) -> SyncKind {
        let is_second = self.sync.as_ref().is_some_and(|sync| {
            sync.kind != SyncKind::InWalk && sync.files == 0 && now - sync.since <= TWICE
        });
        match (in_walk, is_second) {
            (true, _) => SyncKind::InWalk,
            (false, true) => SyncKind::Look,
            (false, false) => SyncKind::Sync,
        }
    }

    /// Somebody other than the agent opened a file.
    pub(super) fn opened(&mut self, file: usize, now: Monotonic, after: Monotonic) {
        self.settle(now);
        self.list[file].open += 1;
        match &mut self.sync {
            Some(sync) if !self.list[file].is_synced => {
                self.list[file].is_synced = true;
                sync.files += 1;
                if sync.kind == SyncKind::InWalk {
                    self.list[file].opened_by_client(after);
                }
                if self.are_whole && sync.files == self.list.len() {
                    self.synced = sync.seen().or(self.synced);
                    self.sync = None;
                }
            }
            Some(_) | None => self.list[file].opened_by_client(after),
        }
    }

    /// The agent opened it.
    pub(super) fn opened_by_agent(&mut self, file: usize) {
        self.list[file].open += 1;
    }

    /// Somebody opened a file that is not known, so these are not all.
    pub(super) fn unknown_opened(&mut self) {
        self.are_whole = false;
    }

    /// Somebody closed a file. More closes than opens: the kernel merged two opens into one event,
    /// and one of them was a client's, because kubelet and the agent open a file once.
    pub(super) fn closed(&mut self, file: usize) {
        let found = &mut self.list[file];
        match found.open.checked_sub(1) {
            Some(left) => found.open = left,
            None if self.are_balanced => found.opened_by_client(EVER),
            None => {}
        }
    }

    /// A new generation appeared: the current sync found a difference, and needed no further file.
    pub(super) fn replaced(&mut self) {
        self.sync = None;
    }

    /// Decides about a sync that has taken its time.
    pub(super) fn settle(&mut self, now: Monotonic) {
        if self.sync.as_ref().is_some_and(|sync| now - sync.since >= SYNC) {
            self.end_sync();
        }
    }

    /// When to settle; none if nothing is undecided.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.sync.as_ref().filter(|sync| sync.files > 0).map(|sync| sync.since + SYNC)
    }

    /// Kubelet compares all files or finds a difference. If only some were opened and no new
    /// generation appeared, it was a client that had listed the directory; if none, kubelet's
    /// statistics.
    fn end_sync(&mut self) {
        let Some(sync) = self.sync.take().filter(|sync| sync.files > 0) else { return };
        if sync.kind == SyncKind::InWalk && self.are_whole {
            return; // those were a client's already
        }
        if self.are_whole {
            let opened = self.list.iter_mut().filter(|file| file.is_synced);
            opened.for_each(|file| file.opened_by_client(sync.after));
        } else {
            self.synced = sync.seen().or(self.synced);
        }
    }

    /// The last sync of kubelet, unless it was taken already, and whether it is certain.
    pub(super) fn take_synced(&mut self) -> Option<(Monotonic, bool)> {
        self.synced.take()
    }

    /// The tokens that clients opened and that are to be reported now, with a time after which
    /// they did.
    pub(super) fn take_news(&mut self, now: Monotonic, mut report: impl FnMut(&Path, Monotonic)) {
        for file in &mut self.list {
            if let Some(after) = file.news.take()
                && file.spacing.admits(now)
            {
                report(&file.path, after);
            }
        }
    }
}

impl KubeletSync {
    /// A sync of kubelet, and whether it is certain, once all files were opened.
    fn seen(&self) -> Option<(Monotonic, bool)> {
        match self.kind {
            SyncKind::Sync => Some((self.since, true)),
            SyncKind::InWalk => Some((self.since, false)),
            SyncKind::Look => None,
        }
    }
}

impl File {
    fn new(path: PathBuf, is_token: bool) -> Self {
        let spacing = Spacing::default();
        Self { path, is_token, inode: None, is_synced: false, open: 0, news: None, spacing }
    }

    fn identity(&self) -> (&Path, bool) {
        (&self.path, self.is_token)
    }

    /// A file that was gone before its inode was known is left out: the agent may have opened it,
    /// and it was current for less than a tenth of a second.
    fn opened_by_client(&mut self, after: Monotonic) {
        if self.is_token && self.inode.is_some() {
            self.news = Some(self.news.map_or(after, |known| known.min(after)));
        }
    }
}
