//! What a report has: counted refusals, and each user of an address once in a while.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::refusals::{
    Accepted, IssuedToken, RefusalReason, ServerLogSeen, Suspect,
};
use tokio::time::Instant;

use super::logged::logged;
use super::timed::Timed;
use super::{Audited, Logged};
use crate::sources::logs::time::LineTime;

/// Most senders of refused requests in one report. The others are counted together.
const MAX_SUSPECTS: usize = 64;
/// Most users in one report. The others come with the next one.
const MAX_ACCEPTED: usize = 256;
/// Most issued tokens in one report, which comes once a second: a cluster of 5,000 nodes requests
/// some 50 a second. A token that is left out accuses nobody.
const MAX_ISSUED: usize = 512;
/// Most users that are known to be reported: the pods of some 100 nodes. With more, all are
/// reported again.
const MAX_KNOWN: usize = 16_384;
/// A user is reported again after this time: so often that the core notices within minutes that a
/// pod still uses a token that was replaced.
const AGAIN: Duration = Duration::from_mins(2);

/// The user of an address, as far as another report would differ.
type Known = (Option<IpAddr>, u64);

/// What was seen since the last report.
#[derive(Debug, Default)]
pub(super) struct Gather {
    reasons: BTreeMap<RefusalReason, u64>,
    refused: BTreeMap<Suspect, u64>,
    others: u64,
    timed: Timed,
    accepted: Vec<Accepted>,
    issued: Vec<IssuedToken>,
    /// When each user was reported.
    known: BTreeMap<Known, Instant>,
}

impl Gather {
    /// Takes a line, of whatever log it is.
    pub(super) fn line(&mut self, line: &[u8], now: Instant) {
        self.timed.line(line);
        if let Some(logged) = logged(line) {
            self.take(logged, now);
        }
    }

    fn take(&mut self, logged: Logged, now: Instant) {
        match logged {
            Logged::Refused(reason, time) => self.refused(reason, time),
            Logged::Named(suspect) => self.suspect(suspect),
            Logged::Audited(audited) => self.audited(audited),
            Logged::Accepted(accepted) => self.accepted(accepted, now),
            Logged::Issued(issued, accepted) => {
                self.issued(issued);
                self.accepted(accepted, now);
            }
        }
    }

    /// The lines so far are those of a file that was last written at this time, or of an entry with
    /// this time. None: it is not known.
    pub(super) fn settle(&mut self, written: Option<Wall>) {
        self.timed.settle(written);
    }

    fn refused(&mut self, reason: RefusalReason, time: Option<LineTime>) {
        *self.reasons.entry(reason).or_default() += 1;
        self.timed.logged(reason, time);
    }

    fn issued(&mut self, issued: IssuedToken) {
        if self.issued.len() < MAX_ISSUED {
            self.issued.push(issued);
        }
    }

    fn audited(&mut self, Audited { address, timed }: Audited) {
        match address {
            Some(address) => self.suspect(Suspect::Address(address)),
            None => self.others += 1,
        }
        self.timed.audited(timed);
    }

    fn suspect(&mut self, suspect: Suspect) {
        let has_room = self.refused.len() < MAX_SUSPECTS || self.refused.contains_key(&suspect);
        *(if has_room { self.refused.entry(suspect).or_default() } else { &mut self.others }) += 1;
    }

    fn accepted(&mut self, accepted: Accepted, now: Instant) {
        if self.accepted.len() >= MAX_ACCEPTED {
            return;
        }
        let known = known(&accepted);
        if self.known.get(&known).is_some_and(|at| now.duration_since(*at) < AGAIN) {
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(known, now);
        self.accepted.push(accepted);
    }

    /// The report, if there is anything to report.
    pub(super) fn report(&mut self) -> Option<ServerLogSeen> {
        let seen = ServerLogSeen {
            reasons: std::mem::take(&mut self.reasons).into_iter().collect(),
            refused: std::mem::take(&mut self.refused).into_iter().collect(),
            others: std::mem::take(&mut self.others),
            accepted: std::mem::take(&mut self.accepted),
            timed: self.timed.report(),
            issued: std::mem::take(&mut self.issued),
        };
        (seen != ServerLogSeen::default()).then_some(seen)
    }
}

fn known(accepted: &Accepted) -> Known {
    let mut hasher = DefaultHasher::new();
    if let Some(user) = &accepted.user {
        (&user.account, &user.pod, &user.generation).hash(&mut hasher);
        user.stale_for.is_some().hash(&mut hasher);
    }
    (accepted.address, hasher.finish())
}
