//! Signatures of copies: each is checked once with each set of keys, while the reader of token
//! files still has the bytes.

use std::sync::Arc;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::copies::{MAX_COPIED_TOKENS, MAX_COPIES};
use tokenwatch_core::world::tokens::Signature;

use crate::sources::signatures::{KeyRing, SharedKeys};
use crate::sources::tokens::{Stamp, TokenBytes, found};

/// Age of a ctime from which on a later change of the file shows: the same as for the volumes of
/// pods (`sources/volumes/scan/stamps`).
const MIN_AGE: Delta = Delta::from_secs(1);
/// Most checks that are kept: as many tokens as are reported. What is more is checked again.
const MAX_KEPT: usize = MAX_COPIES * MAX_COPIED_TOKENS;

/// The checks of all copies.
#[derive(Debug, Default)]
pub(super) struct Checks {
    shared: SharedKeys,
    /// The keys of this scan.
    ring: Arc<KeyRing>,
    /// What was checked in the last scan, and in this one.
    last: Vec<Checked>,
    known: Vec<Checked>,
    /// Signatures that were checked.
    #[cfg(test)]
    pub(super) made: usize,
}

/// A signature that was checked, or that has no keys to be checked against.
#[derive(Clone, Copy, Debug)]
struct Checked {
    /// The file, and where in its text the token begins.
    at: (Stamp, usize),
    /// Version of the keys.
    keys: u64,
    signature: Option<Signature>,
}

/// The checks of one file.
#[derive(Debug)]
pub(super) struct FileChecks<'a> {
    checks: &'a mut Checks,
    stamp: Stamp,
    now: Wall,
}

impl Checks {
    /// Against these keys.
    pub(super) fn against(shared: SharedKeys) -> Self {
        Self { shared, ..Self::default() }
    }

    /// A scan begins, with the keys as they are now.
    pub(super) fn begin(&mut self) {
        if self.shared.version() != self.ring.version() {
            self.ring = self.shared.current();
        }
        self.last = std::mem::take(&mut self.known);
    }

    fn check(&mut self, token: &TokenBytes) -> Option<Signature> {
        #[cfg(test)]
        {
            self.made += 1;
        }
        found::check_signature(&self.ring, token)
    }

    /// Those of the file with this stamp.
    pub(super) fn of(&mut self, stamp: Stamp, now: Wall) -> FileChecks<'_> {
        FileChecks { checks: self, stamp, now }
    }
}

impl FileChecks<'_> {
    /// What the signature of the token shows that begins at `start` of the text.
    pub(super) fn signature(&mut self, start: usize, token: &TokenBytes) -> Option<Signature> {
        let (at, keys) = ((self.stamp, start), self.checks.ring.version());
        let is_same = |known: &&Checked| (known.at, known.keys) == (at, keys);
        let known = self.checks.last.iter().chain(&self.checks.known).find(is_same).copied();
        let signature = match known {
            Some(known) => known.signature,
            None => self.checks.check(token),
        };
        let is_old = self.now - Wall::from_nanos(self.stamp.changed_nanos()) > MIN_AGE;
        if is_old && self.checks.known.len() < MAX_KEPT {
            self.checks.known.push(Checked { at, keys, signature });
        }
        signature
    }
}
