//! One file of a volume: what it holds, and what was reported about it.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{FileContent, FileSeen, Observation};
use tokenwatch_core::world::tokens::{ParsedToken, TokenIdentity, TokenKey};

use super::stamps::{Moment, TrustedStamp};
use super::volume::{Owner, Scan};
use super::{is_own_limit, stamp_at};
use crate::sources::tokens::{At, Look, Other, Stamp};

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the pod sees it.
    path: PathBuf,
    held: Held,
    /// While it is current, the file need not be read again.
    stamp: Option<TrustedStamp>,
    /// A token was here once. From then on anything else in its place is reported.
    was_token: bool,
}

#[derive(Debug, PartialEq)]
enum Held {
    /// Not read yet, or not readable in the last scan.
    Unknown,
    Token(TokenIdentity),
    Other,
    /// What was reported about it.
    Bad(FileContent),
}

/// The generation that is scanned.
pub(super) struct Place<'a> {
    pub(super) at: At<'a>,
    pub(super) written_at: Option<Wall>,
    pub(super) moment: Moment,
}

impl Entry {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, held: Held::Unknown, stamp: None, was_token: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the engine knows about the file.
    pub(super) fn is_reported(&self) -> bool {
        match self.held {
            Held::Token(_) | Held::Bad(_) => true,
            Held::Unknown | Held::Other => false,
        }
    }

    /// Whether it counts as a token, sound or broken.
    pub(super) fn is_token(&self) -> bool {
        self.was_token || self.is_reported()
    }

    pub(super) fn was_token_at(&self, path: &Path) -> bool {
        self.was_token && self.path == path
    }

    /// Reports a file that does not exist any more as gone.
    pub(super) fn remove(self, owner: Owner<'_>, out: &mut Vec<Observation>) {
        if self.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
    }

    /// Whether the file still has the content that is known, below `directory` in `parent`.
    pub(super) fn is_unchanged(
        &self,
        parent: BorrowedFd<'_>,
        directory: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let Some(known) = self.stamp else { return false };
        directory.push(&self.path);
        let is_current = known.is_current(stamp_at(parent, directory), moment);
        directory.pop();
        is_current
    }

    /// Reads the file unless it has not changed, and reports what did. ENOENT: it disappeared
    /// meanwhile.
    pub(super) fn scan(&mut self, place: &Place<'_>, scan: &mut Scan<'_>) -> nix::Result<()> {
        let now = || stamp_at(place.at.directory, &self.path);
        if self.stamp.is_some_and(|known| known.is_current(now(), place.moment)) {
            return Ok(());
        }
        self.stamp = None;
        let (owner, written_at) = (scan.owner, place.written_at);
        let out = &mut *scan.out;
        match scan.reader.look(&place.at, &self.path) {
            Look::Token(stamp, token) => self.set_token(stamp, &token, place, owner, out),
            Look::Malformed(malformed) => {
                self.report_bad(malformed_because(&malformed.to_string()), written_at, owner, out);
            }
            Look::Other(_, other) if self.was_token => {
                self.report_bad(malformed_because(no_longer_token(other)), written_at, owner, out);
            }
            Look::Other(stamp, _) => {
                self.set_other(TrustedStamp::new(stamp, place.moment), owner, out);
            }
            Look::Refused(_) if self.was_token => {
                self.report_bad(malformed_because(NOT_REGULAR), written_at, owner, out);
            }
            Look::Refused(_) => {}
            Look::Unreadable(_, errno) if is_own_limit(errno) => return Err(errno),
            Look::Unreadable(step, errno) => {
                let content = FileContent::Unreadable { reason: failed_step(step, errno) };
                self.report_bad(content, written_at, owner, out);
            }
            Look::Vanished => return Err(Errno::ENOENT),
        }
        Ok(())
    }

    fn set_token(
        &mut self,
        stamp: Stamp,
        token: &ParsedToken<'_>,
        place: &Place<'_>,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) {
        let identity = token.identity();
        if self.held != Held::Token(identity) {
            let content = FileContent::Token(Box::new(token.to_claims()));
            out.push(seen(owner.key(&self.path), place.written_at, content));
        }
        (self.held, self.was_token) = (Held::Token(identity), true);
        self.stamp = TrustedStamp::new(stamp, place.moment);
    }

    fn set_other(
        &mut self,
        stamp: Option<TrustedStamp>,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) {
        if self.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
        (self.held, self.stamp) = (Held::Other, stamp);
    }

    /// Reports malformed or unreadable content, once.
    pub(super) fn report_bad(
        &mut self,
        content: FileContent,
        written_at: Option<Wall>,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) {
        self.stamp = None;
        let is_reported = matches!(&self.held, Held::Bad(reported) if *reported == content);
        if !is_reported {
            out.push(seen(owner.key(&self.path), written_at, content.clone()));
            self.held = Held::Bad(content);
        }
    }
}

fn seen(key: TokenKey, written_at: Option<Wall>, content: FileContent) -> Observation {
    Observation::File(FileSeen { key, written_at, content })
}

fn malformed_because(reason: &str) -> FileContent {
    FileContent::Malformed { reason: reason.to_owned() }
}

const NOT_REGULAR: &str = "it is no longer a regular file within its volume";

fn no_longer_token(other: Other) -> &'static str {
    match other {
        Other::Empty => "the file is empty",
        Other::Legacy => "it holds a Secret-based token, and held a bound token before",
        Other::Foreign => "it holds something other than a token, and held a token before",
    }
}

/// `open: Permission denied (EACCES)`
pub(super) fn failed_step(step: &str, errno: Errno) -> String {
    format!("{step}: {} ({errno:?})", errno.desc())
}
