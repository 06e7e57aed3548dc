//! What a report has: counted refusals, and each user of an address once in a while.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use tokenwatch_core::world::refusals::{Accepted, RefusalReason, ServerLogSeen, Suspect};
use tokio::time::Instant;

use super::Logged;

/// Most senders of refused requests in one report. The others are counted together.
const MAX_SUSPECTS: usize = 64;
/// Most users in one report. The others come with the next one.
const MAX_ACCEPTED: usize = 256;
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
    accepted: Vec<Accepted>,
    /// When each user was reported.
    known: BTreeMap<Known, Instant>,
}

impl Gather {
    pub(super) fn take(&mut self, logged: Logged, now: Instant) {
        match logged {
            Logged::Refused(reason) => *self.reasons.entry(reason).or_default() += 1,
            Logged::Suspect(suspect) => self.suspect(suspect),
            Logged::RefusedUnnamed => self.others += 1,
            Logged::Accepted(accepted) => self.accepted(accepted, now),
        }
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
