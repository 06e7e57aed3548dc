//! The findings of which a collector lacks the last alert, and will not get it by waiting.
//!
//! A lost alert leaves a gap. The next alert about the same finding fills it ([`joined`]). Where
//! there is none, the finding is kept here: the state file then holds it as it was before.

use std::collections::BTreeMap;

use tokenwatch_core::base::shares::{Tenant, in_turn_of_tenants};
use tokenwatch_core::findings::FindingId;
use tokenwatch_core::ledger::AlertEvent;
use tokenwatch_core::world::observation::Again;

use super::entry::About;

/// Most alerts that the engine is asked for at a time. Of the largest, which take some 6 kB, these
/// are a fifth of the default memory for alerts.
const MOST_AT_ONCE: usize = 128;

/// Most active findings that are kept: a few for each of the most tokens on a node. As many
/// resolved ones: these stay until the agent ends, and so must not take the place of others.
const MOST_KEPT: usize = 8_192;

/// What became of records that are not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The collector took all of them.
    Accepted,
    /// It rejected some for good, and does not report which.
    Partly,
    /// It refused all of them for good.
    Refused,
}

/// What a collector lacks.
#[derive(Clone, Copy, Debug)]
struct Lost {
    event: AlertEvent,
    /// The place of the alert in the order of all.
    number: u64,
    /// The collector would refuse it again.
    is_refused: bool,
}

/// The same of an active finding.
#[derive(Debug)]
struct Active {
    lost: Lost,
    tenant: Tenant,
    /// In which round the engine was last asked for it; 0 if never.
    asked: u64,
}

/// What was lost since the start.
#[derive(Debug, Default)]
pub(super) struct Losses {
    active: BTreeMap<FindingId, Active>,
    /// The collector lacks that these are resolved.
    cleared: BTreeMap<FindingId, Lost>,
    /// The collector has accepted records since one was given up.
    accepts: bool,
    asked: Again,
}

/// What a collector lacks that gets neither of two alerts about one finding, or what the later one
/// reports to a collector that does not get the earlier one. Nothing if the earlier one would have
/// raised the finding and the later one resolves it: nobody needs the end of what he never got.
pub(super) fn joined(earlier: AlertEvent, later: AlertEvent) -> Option<AlertEvent> {
    use AlertEvent::{Cleared, Raised, Reminded};
    match (earlier, later) {
        (Raised, Cleared) => None,
        (Raised, Raised | Reminded) => Some(Raised),
        (Reminded | Cleared, Raised | Reminded) => Some(Reminded),
        (Reminded | Cleared, Cleared) => Some(Cleared),
    }
}

impl Losses {
    /// There was no memory for this alert, and no later one about its finding waits.
    pub(super) fn give_up(&mut self, about: &About, number: u64) {
        self.accepts = false;
        self.lose(about, Lost { event: about.event, number, is_refused: false });
    }

    /// This alert is not sent again. It settles what was lost before it.
    pub(super) fn settle(&mut self, about: &About, number: u64, settled: Settled) {
        let refused = |event| Lost { event, number, is_refused: true };
        match (settled, about.event) {
            // That a finding is resolved is no loss where the collector would refuse it each time.
            (Settled::Accepted, _) | (Settled::Refused, AlertEvent::Cleared) => {
                self.take_before(&about.id, number);
            }
            (Settled::Refused, AlertEvent::Raised | AlertEvent::Reminded) => {
                self.lose(about, refused(about.event));
            }
            // The collector may know of the finding by now.
            (Settled::Partly, AlertEvent::Raised | AlertEvent::Reminded) => {
                self.take_before(&about.id, number);
                self.lose(about, refused(AlertEvent::Reminded));
            }
            (Settled::Partly, AlertEvent::Cleared) => {
                self.take_before(&about.id, number);
                self.lose(about, refused(AlertEvent::Cleared));
            }
        }
    }

    /// The collector has accepted records.
    pub(super) fn accepted(&mut self) {
        self.accepts = true;
    }

    /// An alert is to be queued: it takes the place of what was lost before it. Returns whether
    /// anybody needs it.
    pub(super) fn replace(&mut self, about: &mut About, number: u64) -> bool {
        let Some(lost) = self.take_before(&about.id, number) else { return true };
        let Some(event) = joined(lost.event, about.event) else { return false };
        about.event = event;
        true
    }

    /// Keeps a loss, joined with what else the collector lacks of the same finding.
    fn lose(&mut self, about: &About, lost: Lost) {
        let (earlier, later) = match self.take_before(&about.id, u64::MAX) {
            None => return self.keep(about, lost),
            Some(other) if other.number < lost.number => (other, lost),
            Some(other) => (lost, other),
        };
        if let Some(event) = joined(earlier.event, later.event) {
            self.keep(about, Lost { event, ..later });
        }
    }

    fn keep(&mut self, about: &About, lost: Lost) {
        let id = || about.id.clone();
        match lost.event {
            AlertEvent::Cleared if self.cleared.len() < MOST_KEPT => {
                self.cleared.insert(id(), lost);
            }
            AlertEvent::Raised | AlertEvent::Reminded if self.active.len() < MOST_KEPT => {
                self.active.insert(id(), Active { lost, tenant: about.tenant.clone(), asked: 0 });
            }
            AlertEvent::Raised | AlertEvent::Reminded | AlertEvent::Cleared => {}
        }
    }

    /// Takes what was lost of this finding, if it came before this number.
    fn take_before(&mut self, id: &FindingId, number: u64) -> Option<Lost> {
        let active = self.active.get(id).map(|active| active.lost);
        let lost = active.or_else(|| self.cleared.get(id).copied());
        let lost = lost.filter(|lost| lost.number < number)?;
        self.active.remove(id);
        self.cleared.remove(id);
        Some(lost)
    }

    /// Nothing waits any more: asks the engine for alerts in place of those that were given up, if
    /// there are any and the collector takes some. They stay lost until they are queued again, or
    /// until the engine has answered. Those come first that were never asked for, then those of the
    /// earliest round, of each pod and namespace in turn. That a finding is resolved cannot be
    /// asked for: the state file keeps it, and the next agent reports it.
    pub(super) fn ask(&mut self) {
        let given_up: Vec<_> =
            self.active.iter().filter(|(_, active)| !active.lost.is_refused).collect();
        if !self.accepts || given_up.is_empty() {
            return;
        }
        let mut again = Again { round: self.asked.round + 1, ..Again::default() };
        let sorted = in_turn_of_tenants(&given_up, |(_, active)| (active.asked, &active.tenant));
        for (id, active) in sorted.into_iter().take(MOST_AT_ONCE) {
            match active.lost.event {
                AlertEvent::Raised => again.raised.push(id.0.clone()),
                AlertEvent::Reminded | AlertEvent::Cleared => again.reminded.push(id.0.clone()),
            }
        }
        for id in again.raised.iter().chain(&again.reminded) {
            if let Some(active) = self.active.get_mut(&FindingId(id.clone())) {
                active.asked = again.round;
            }
        }
        self.asked = again;
    }

    /// What the engine was asked for last.
    pub(super) fn asked(&self) -> &Again {
        &self.asked
    }

    /// The engine has answered this round, and its alerts are queued: what is still lost of that
    /// round is about findings that are not there any more.
    pub(super) fn answered(&mut self, round: u64) {
        if round > 0 {
            self.active.retain(|_, active| active.asked != round);
        }
    }

    /// The findings whose last alert is lost.
    pub(super) fn all(&self) -> impl Iterator<Item = &FindingId> {
        self.active.keys().chain(self.cleared.keys())
    }
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;
