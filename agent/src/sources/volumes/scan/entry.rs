//! One file of a volume: what it holds, and what was reported about it.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::FileContent;
use tokenwatch_core::world::tokens::{ParsedToken, TokenIdentity};

use super::context::{Reports, Scan};
use super::opened::{is_own_limit, stamp_at};
use super::stamps::{Moment, TrustedStamp};
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

/// What a look at a file means.
#[allow(clippy::large_enum_variant)] // lives on the stack; a box would be an allocation per file
enum Found<'a> {
    Token(Stamp, ParsedToken<'a>),
    /// Something that never was a token.
    Other(Stamp),
    /// To be reported.
    Bad(FileContent),
    /// Not a file, and never was a token.
    Nothing,
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
    pub(super) fn remove(self, reports: &mut Reports<'_>) {
        if self.is_reported() {
            reports.gone(&self.path);
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
        let found = found(scan.reader.look(&place.at, &self.path), self.was_token)?;
        self.set(found, place, &mut scan.reports);
        Ok(())
    }

    fn set(&mut self, found: Found<'_>, place: &Place<'_>, reports: &mut Reports<'_>) {
        match found {
            Found::Token(stamp, token) => {
                self.set_token(&token, place.written_at, reports);
                self.stamp = TrustedStamp::new(stamp, place.moment);
            }
            Found::Other(stamp) => {
                self.set_other(reports);
                self.stamp = TrustedStamp::new(stamp, place.moment);
            }
            Found::Bad(content) => self.report_bad(content, place.written_at, reports),
            Found::Nothing => {}
        }
    }

    fn set_token(
        &mut self,
        token: &ParsedToken<'_>,
        written_at: Option<Wall>,
        reports: &mut Reports<'_>,
    ) {
        let identity = token.identity();
        if self.held != Held::Token(identity) {
            let content = FileContent::Token(Box::new(token.to_claims()));
            reports.file(&self.path, written_at, content);
        }
        (self.held, self.was_token) = (Held::Token(identity), true);
    }

    fn set_other(&mut self, reports: &mut Reports<'_>) {
        if self.is_reported() {
            reports.gone(&self.path);
        }
        self.held = Held::Other;
    }

    /// Reports malformed or unreadable content, once.
    pub(super) fn report_bad(
        &mut self,
        content: FileContent,
        written_at: Option<Wall>,
        reports: &mut Reports<'_>,
    ) {
        self.stamp = None;
        let is_reported = matches!(&self.held, Held::Bad(reported) if *reported == content);
        if !is_reported {
            reports.file(&self.path, written_at, content.clone());
            self.held = Held::Bad(content);
        }
    }
}

/// What a look at a file means where a token was before, or was not. An error: the file does not
/// exist any more, or the agent reached one of its own resource limits.
fn found(look: Look<'_>, was_token: bool) -> nix::Result<Found<'_>> {
    match look {
        Look::Token(stamp, token) => Ok(Found::Token(stamp, token)),
        Look::Malformed(malformed) => Ok(malformed_because(&malformed.to_string())),
        Look::Other(_, other) if was_token => Ok(malformed_because(no_longer_token(other))),
        Look::Other(stamp, _) => Ok(Found::Other(stamp)),
        Look::Refused(_) if was_token => Ok(malformed_because(NOT_REGULAR)),
        Look::Refused(_) => Ok(Found::Nothing),
        Look::Unreadable(_, errno) if is_own_limit(errno) => Err(errno),
        Look::Unreadable(step, errno) => Ok(unreadable_because(failed_step(step, errno))),
        Look::Vanished => Err(Errno::ENOENT),
    }
}

fn malformed_because(reason: &str) -> Found<'static> {
    Found::Bad(FileContent::Malformed { reason: reason.to_owned() })
}

fn unreadable_because(reason: String) -> Found<'static> {
    Found::Bad(FileContent::Unreadable { reason })
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
