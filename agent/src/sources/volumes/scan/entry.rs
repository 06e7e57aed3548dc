//! One file of a volume: what it holds, and what was reported about it.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{Absence, FileContent};
use tokenwatch_core::world::tokens::{LegacyClaims, ParsedToken, SignatureResult, TokenIdentity};

use super::context::{Owner, Reports, Scan};
use super::denied;
use super::found::{ASTRAY, Expected, Found, found, legacy, malformed_because, not_a_file};
use super::opened::stamp_at;
use super::stamps::{Moment, TrustedStamp};
use crate::sources::token_volumes::ProjectedFile;
use crate::sources::tokens::{At, Checked};

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the pod sees it.
    path: PathBuf,
    held: Held,
    /// The directory of the generation that was reported last.
    directory: Option<String>,
    /// While it is current, the file need not be read again.
    stamp: Option<TrustedStamp>,
    /// What its signature showed, if it is a token and there are keys.
    checked: Option<Checked>,
    /// A token was here once. From then on anything else in its place is reported.
    was_token: bool,
    /// The file cannot be read, and may be anything: the error, and why in words.
    hidden: Option<Box<(Errno, String)>>,
    /// Whose Secret-based token it is, if it is one.
    legacy: Option<Box<LegacyClaims>>,
    /// Something broken was reported in the place of a token.
    is_accused: bool,
    presence: Presence,
    /// The stamp of its first name in the volume, if that leads to it.
    shown: Option<TrustedStamp>,
    /// Whether somebody has looked where that leads in this scan.
    is_placed: bool,
}

/// The first name of a path.
pub(super) fn first(path: &Path) -> &Path {
    path.iter().next().map_or(path, Path::new)
}

/// What the volume has at the path of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// A file, or a link to one.
    File,
    /// Something else: a named pipe, a device, a link that leads to no file.
    Odd,
    /// Nothing, and a token should be there.
    Absent,
    /// A file, and a container finds something else by the path.
    Astray,
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
    /// Of a file that was not read yet. `was_token`: it held one before a restart.
    pub(super) fn new(path: PathBuf, was_token: bool) -> Self {
        Self {
            path,
            held: Held::Unknown,
            directory: None,
            stamp: None,
            checked: None,
            was_token,
            hidden: None,
            legacy: None,
            is_accused: false,
            presence: Presence::File,
            shown: None,
            is_placed: false,
        }
    }

    /// Whether it can only be a token.
    fn expected(&self, owner: Owner<'_>) -> Expected {
        match self.is_accused || owner.expects_token(&self.path) {
            _ if self.was_token => Expected::Was,
            true => Expected::Is,
            false => Expected::No,
        }
    }

    /// Sets what the volume has at its path.
    pub(super) fn set_presence(&mut self, presence: Presence) {
        self.presence = presence;
    }

    pub(super) fn presence(&self) -> Presence {
        self.presence
    }

    /// Begins a scan, in which nobody has looked yet where its path leads.
    pub(super) fn begin(&mut self, presence: Presence) {
        (self.presence, self.shown, self.is_placed) = (presence, None, false);
    }

    /// Somebody looks where its path leads.
    pub(super) fn set_placed(&mut self) {
        self.is_placed = true;
    }

    pub(super) fn is_placed(&self) -> bool {
        self.is_placed
    }

    /// For those who follow its readers.
    pub(super) fn projected(&self) -> ProjectedFile {
        ProjectedFile { path: self.path.clone(), is_token: self.is_token() }
    }

    /// The stamp of its first name in the volume, where that leads to the file.
    pub(super) fn set_shown(&mut self, stamp: Option<TrustedStamp>) {
        self.shown = stamp;
    }

    /// Whether a container still finds it: its first name in the volume has not changed. `path` is
    /// that of the volume.
    pub(super) fn is_shown(
        &self,
        parent: BorrowedFd<'_>,
        path: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let Some(known) = self.shown else { return !self.is_token() };
        path.push(first(&self.path));
        let is_current = known.is_current(stamp_at(parent, path), moment);
        path.pop();
        is_current
    }

    /// Whether there is a file, as far as the agent can see.
    pub(super) fn is_there(&self) -> bool {
        self.presence != Presence::Absent && self.hidden.is_none()
    }

    /// Whose Secret-based token it holds, if it does.
    pub(super) fn legacy(&self) -> Option<&LegacyClaims> {
        self.legacy.as_deref()
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

    pub(super) fn was_token(&self) -> bool {
        self.was_token
    }

    /// Whether something broken was reported in its place.
    pub(super) fn is_accused(&self) -> bool {
        self.is_accused
    }

    /// Why the file cannot be read, if it may be anything.
    pub(super) fn hidden(&self) -> Option<Errno> {
        self.hidden.as_ref().map(|hidden| hidden.0)
    }

    /// Reports a file that is not followed any more as left out, or as gone.
    pub(super) fn end(self, left_out: &BTreeSet<PathBuf>, reports: &mut Reports<'_>) {
        if self.is_reported() && left_out.contains(&self.path) {
            reports.left_out(&self.path);
        } else {
            self.remove(reports);
        }
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

    /// Whether it is a token whose signature was not checked with these keys. Without keys (zero)
    /// there is nothing to check.
    pub(super) fn wants_check(&self, keys: u64) -> bool {
        let is_checked = self.checked.is_some_and(|checked| checked.keys() == keys);
        keys > 0 && matches!(self.held, Held::Token(_)) && !is_checked
    }

    /// Reads the file unless it has not changed, and reports what did. ENOENT: it disappeared
    /// meanwhile.
    pub(super) fn scan(&mut self, place: &Place<'_>, scan: &mut Scan<'_>) -> nix::Result<()> {
        let now = || stamp_at(place.at.directory, &self.path);
        let is_current = || self.stamp.is_some_and(|known| known.is_current(now(), place.moment));
        let expected = self.expected(scan.reports.owner);
        let is_settled = match self.held {
            Held::Other => expected == Expected::No,
            Held::Token(_) => self.presence == Presence::File,
            Held::Unknown | Held::Bad(_) => true,
        };
        if !self.wants_check(scan.reader.keys_version()) && is_settled && is_current() {
            return Ok(());
        }
        self.stamp = None;
        (self.hidden, self.legacy) = (None, None);
        let found = match self.presence {
            Presence::File => {
                found(scan.reader.look(&place.at, &self.path, self.checked), expected)?
            }
            Presence::Odd => Found::Bad(not_a_file(expected)),
            Presence::Astray => malformed_because(ASTRAY),
            Presence::Absent => Found::Bad(FileContent::Missing(Absence::NoFile)),
        };
        self.set(found, expected, place, &mut scan.reports);
        Ok(())
    }

    fn set(
        &mut self,
        found: Found<'_>,
        expected: Expected,
        place: &Place<'_>,
        reports: &mut Reports<'_>,
    ) {
        match found {
            Found::Token(stamp, token, checked) => {
                self.set_token(&token, checked, place.written_at, reports);
                self.stamp = TrustedStamp::new(stamp, place.moment);
            }
            Found::Other(stamp, other) => {
                self.set_other(reports);
                self.legacy = legacy(other);
                self.stamp = TrustedStamp::new(stamp, place.moment);
            }
            Found::Bad(content) => self.report_bad(content, place.written_at, reports),
            Found::Hidden(step, errno) => self.set_hidden((step, errno), expected, place, reports),
            Found::Nothing => {}
        }
    }

    /// A token that cannot be read is reported at once. Of other files the volume decides.
    fn set_hidden(
        &mut self,
        (step, errno): (&'static str, Errno),
        expected: Expected,
        place: &Place<'_>,
        reports: &mut Reports<'_>,
    ) {
        let reason = denied::reason(step, errno, place.at.directory, &self.path);
        if expected == Expected::No {
            self.hidden = Some(Box::new((errno, reason)));
        } else {
            self.report_bad(FileContent::Unreadable { reason }, place.written_at, reports);
        }
    }

    /// Reports a file that cannot be read as the volume's token.
    pub(super) fn report_hidden(&mut self, written_at: Option<Wall>, reports: &mut Reports<'_>) {
        if let Some((_, reason)) = self.hidden.as_deref() {
            let content = FileContent::Unreadable { reason: reason.clone() };
            self.report_bad(content, written_at, reports);
        }
    }

    /// The file is no token after all: another one of its volume is likelier to be.
    pub(super) fn withdraw(&mut self, reports: &mut Reports<'_>) {
        if self.is_reported() {
            reports.gone(&self.path);
        }
        self.held = Held::Unknown;
    }

    fn set_token(
        &mut self,
        token: &ParsedToken<'_>,
        checked: Option<Checked>,
        written_at: Option<Wall>,
        reports: &mut Reports<'_>,
    ) {
        let held = Held::Token(token.identity());
        let is_known = self.held == held
            && self.directory == reports.directory
            && result(self.checked) == result(checked);
        if !is_known {
            self.directory.clone_from(&reports.directory);
            let content = FileContent::Token(Box::new(token.to_claims()));
            let signature = checked.map(|checked| checked.signature);
            reports.token(&self.path, written_at, content, signature);
        }
        (self.held, self.checked, self.was_token) = (held, checked, true);
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
        self.is_accused |= matches!(content, FileContent::Malformed { .. });
        let is_reported = matches!(&self.held, Held::Bad(reported) if *reported == content);
        if !is_reported {
            reports.file(&self.path, written_at, content.clone());
            self.held = Held::Bad(content);
        }
    }
}

/// What the signature showed: a new check that shows the same is nothing to report.
fn result(checked: Option<Checked>) -> Option<SignatureResult> {
    checked.map(|checked| checked.signature.result)
}
