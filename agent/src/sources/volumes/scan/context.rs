//! What a scan of one pod or of one volume needs, and where its observations go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{FileContent, FileSeen, Observation};
use tokenwatch_core::world::tokens::{Signature, TokenKey};

use super::Tools;
use super::room::{Room, of_volume};
use super::stamps::Moment;
use crate::sources::expected::{Places, Why, why};
use crate::sources::names;
use crate::sources::tokens::Reader;
use crate::sources::volumes::layout::{self, PodId};

/// What a scan of one pod needs.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) id: &'a PodId,
    pub(super) tools: &'a mut Tools,
    pub(super) moment: Moment,
}

impl<'a> Turn<'a> {
    /// Begins now.
    pub(super) fn new(id: &'a PodId, tools: &'a mut Tools) -> Self {
        let moment = tools.moment();
        tools.reader.refresh_keys();
        tools.refresh_expected();
        Self { id, tools, moment }
    }
}

/// What a scan of one volume needs.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) moment: Moment,
    pub(super) reports: Reports<'a>,
    pub(super) share: Share<'a>,
}

/// What belongs to the volume of the room for files.
#[derive(Debug)]
pub(super) struct Share<'a> {
    pub(super) room: &'a mut Room,
    pub(super) pod: &'a PodId,
    /// How many files each other volume of the pod has.
    pub(super) others: Vec<usize>,
}

impl Share<'_> {
    /// The most files of the volume that are followed, if it has so many.
    pub(super) fn most(&mut self, files: usize) -> usize {
        self.room.wants(self.pod, self.others.iter().sum::<usize>() + files);
        let mut volumes = self.others.clone();
        volumes.push(files);
        of_volume(self.room.of_pod(), volumes)
    }
}

/// Which volume it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) pod_uid: &'a str,
    pub(super) volume: &'a str,
    /// The tokens that are expected in it, beside the one of kubelet's own volume.
    pub(super) expected: Option<&'a Arc<Places>>,
}

impl<'a> Owner<'a> {
    /// Nothing but its name is known.
    pub(super) fn named(pod_uid: &'a str, volume: &'a str) -> Self {
        Self { pod_uid, volume, expected: None }
    }

    /// Whether the file at `path` of this volume can only be a token.
    pub(super) fn expects_token(self, path: &Path) -> bool {
        let is_of_kubelet = path == Path::new(layout::TOKEN) && self.is_api_access();
        is_of_kubelet || why(self.places(), path).is_some()
    }

    /// Whether the file at `path` held a token before a restart.
    pub(super) fn held_token(self, path: &Path) -> bool {
        why(self.places(), path) == Some(Why::Held)
    }

    /// Whether it is kubelet's own volume.
    pub(super) fn is_api_access(self) -> bool {
        layout::is_api_access(self.volume)
    }

    /// The paths at which a token is expected, beside that of kubelet's own volume.
    pub(super) fn expected_paths(self) -> impl Iterator<Item = &'a PathBuf> {
        self.places().into_iter().flat_map(Places::keys)
    }

    fn places(self) -> Option<&'a Places> {
        self.expected.map(Arc::as_ref)
    }

    pub(super) fn key(self, path: &Path) -> TokenKey {
        TokenKey {
            pod_uid: self.pod_uid.to_owned(),
            volume: self.volume.to_owned(),
            path: names::text(path.as_os_str()).into_owned(),
        }
    }
}

/// Takes what is observed of the files of one volume.
#[derive(Debug)]
pub(super) struct Reports<'a> {
    pub(super) owner: Owner<'a>,
    pub(super) out: &'a mut Vec<Observation>,
    /// The directory of the generation that is read, once it is known.
    pub(super) directory: Option<String>,
}

impl Reports<'_> {
    /// What the file at `path` contains.
    pub(super) fn file(&mut self, path: &Path, written_at: Option<Wall>, content: FileContent) {
        self.token(path, written_at, content, None);
    }

    /// What the file at `path` contains, and what the signature in it shows.
    pub(super) fn token(
        &mut self,
        path: &Path,
        written_at: Option<Wall>,
        content: FileContent,
        signature: Option<Signature>,
    ) {
        let key = self.owner.key(path);
        let directory = self.directory.clone();
        let seen = FileSeen { key, written_at, directory, content, signature };
        self.out.push(Observation::File(seen));
    }

    /// The file at `path` is not followed any more, whatever becomes of it.
    pub(super) fn left_out(&mut self, path: &Path) {
        self.out.push(Observation::LeftOut(self.owner.key(path)));
    }

    /// No token is at `path` any more.
    pub(super) fn gone(&mut self, path: &Path) {
        self.out.push(Observation::Gone(self.owner.key(path)));
    }
}
