//! The findings of which a collector lacks the last alert, and will not get it by waiting.

use std::collections::{BTreeMap, BTreeSet};

use tokenwatch_core::findings::FindingId;
use tokenwatch_core::ledger::AlertEvent;
use tokenwatch_core::world::observation::Again;

use super::entry::About;

/// Most alerts that the engine is asked for at a time. Of the largest, which take some 6 kB, these
/// are a fifth of the default memory for alerts.
const MOST_AT_ONCE: usize = 128;

/// Most findings that are kept: a few for each of the most tokens on a node.
const MOST_KEPT: usize = 8_192;

/// What was lost since the start.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Given up because memory was full: what the alert reported.
    given_up: BTreeMap<FindingId, AlertEvent>,
    /// Refused by the collector for good: it would refuse them again.
    refused: BTreeSet<FindingId>,
    asked: Again,
}

impl Losses {
    /// There was no memory for an alert about this.
    pub(super) fn give_up(&mut self, about: &About) {
        let has_room = self.given_up.len() < MOST_KEPT || self.given_up.contains_key(&about.id);
        if has_room && self.given_up.get(&about.id) != Some(&AlertEvent::Raised) {
            self.given_up.insert(about.id.clone(), about.event);
        }
    }

    /// The collector refused an alert about this for good. That a finding is resolved is then no
    /// loss: it would refuse that each time.
    pub(super) fn refuse(&mut self, about: &About) {
        if about.event != AlertEvent::Cleared {
            self.refused.insert(about.id.clone());
        }
    }

    /// A new alert is to be queued. Returns whether anybody needs it: that a finding is resolved is
    /// no news to a collector that never got that it was raised.
    pub(super) fn replace(&mut self, about: &About) -> bool {
        self.refused.remove(&about.id);
        let lost = self.given_up.remove(&about.id);
        !(about.event == AlertEvent::Cleared && lost == Some(AlertEvent::Raised))
    }

    /// Nothing waits any more: asks the engine for alerts in place of those that were given up, if
    /// there are any. They stay lost until they are queued again. That a finding is resolved cannot
    /// be asked for: the state file keeps it, and the next agent reports it.
    pub(super) fn ask(&mut self) {
        let some = || {
            let active = self.given_up.iter().filter(|(_, lost)| **lost != AlertEvent::Cleared);
            active.take(MOST_AT_ONCE)
        };
        let of = |event: AlertEvent| {
            some().filter(|(_, lost)| **lost == event).map(|(id, _)| id.0.clone()).collect()
        };
        if some().next().is_some() {
            let (raised, reminded) = (of(AlertEvent::Raised), of(AlertEvent::Reminded));
            self.asked = Again { round: self.asked.round + 1, raised, reminded };
        }
    }

    /// What the engine was asked for last.
    pub(super) fn asked(&self) -> &Again {
        &self.asked
    }

    /// The findings whose last alert is lost.
    pub(super) fn all(&self) -> impl Iterator<Item = &FindingId> {
        self.given_up.keys().chain(&self.refused)
    }
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::base::shares::Tenant;

    use super::*;
    use AlertEvent::{Cleared, Raised, Reminded};

    fn about(id: &str, event: AlertEvent) -> About {
        About { id: FindingId(id.into()), event, tenant: Tenant::default() }
    }

    fn asked(losses: &mut Losses) -> (u64, Vec<&str>, Vec<&str>) {
        losses.ask();
        let Again { round, raised, reminded } = losses.asked();
        (*round, raised.iter().map(|id| &**id).collect(), reminded.iter().map(|id| &**id).collect())
    }

    #[test]
    fn what_was_given_up_is_asked_for_until_it_is_queued_again() {
        let mut losses = Losses::default();
        assert_eq!(asked(&mut losses), (0, vec![], vec![]));
        for (id, event) in [("a", Raised), ("a", Reminded), ("b", Reminded), ("c", Cleared)] {
            losses.give_up(&about(id, event));
        }
        assert_eq!(asked(&mut losses), (1, vec!["a"], vec!["b"]));
        assert!(losses.replace(&about("a", Raised)));
        assert_eq!(asked(&mut losses), (2, vec![], vec!["b"]));
        assert!(losses.replace(&about("b", Cleared)), "the collector knows that it was raised");
        assert_eq!(asked(&mut losses), (2, vec![], vec!["b"]), "no new round");
        assert_eq!(losses.all().map(|id| &*id.0).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn nobody_gets_the_end_of_what_he_never_got() {
        let mut losses = Losses::default();
        losses.give_up(&about("a", Raised));
        assert!(!losses.replace(&about("a", Cleared)));
        assert_eq!(losses.all().count(), 0);
    }

    #[test]
    fn what_a_collector_refuses_for_good_is_not_asked_for() {
        let mut losses = Losses::default();
        losses.refuse(&about("a", Raised));
        losses.refuse(&about("b", Cleared));
        assert_eq!(asked(&mut losses), (0, vec![], vec![]));
        assert_eq!(losses.all().map(|id| &*id.0).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn many_losses_stay_within_bounds() {
        let mut losses = Losses::default();
        for number in 0..2 * MOST_KEPT {
            losses.give_up(&about(&format!("{number:05}"), Raised));
        }
        let (_, raised, _) = asked(&mut losses);
        assert_eq!((raised.len(), losses.given_up.len()), (MOST_AT_ONCE, MOST_KEPT));
    }
}
