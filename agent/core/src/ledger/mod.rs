//! Findings over time: raised once, held so that they do not flap, reminded, resolved.

mod alert;
mod entry;
mod judgement;
mod restored;
mod scope;

pub use alert::{Alert, AlertEvent};
pub use judgement::{Judgement, Missing};
pub use restored::{FILE, Restored, VERSION, after};
pub use scope::Scope;

use std::collections::BTreeMap;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{Code, Finding, Resolution, Severity};
use crate::world::tokens::TokenKey;
use entry::Entry;

/// All active findings.
#[derive(Clone, Debug)]
pub struct Ledger {
    node: String,
    remind_every: Delta,
    entries: BTreeMap<Scope, Vec<Entry>>,
}

impl Ledger {
    /// Empty.
    pub fn new(node: &str, remind_every: Delta) -> Self {
        Self { node: node.to_owned(), remind_every, entries: BTreeMap::new() }
    }

    /// Takes the whole judgement on `scope`: what is new is raised, what stays may be reminded,
    /// what is missing is resolved.
    pub fn judge(&mut self, now: &Reading, scope: &Scope, judgement: Judgement) -> Vec<Alert> {
        if judgement.findings.is_empty() && !self.entries.contains_key(scope) {
            return Vec::new();
        }
        let mut entries = self.entries.remove(scope).unwrap_or_default();
        let mut alerts = self.resolved(now, &mut entries, &judgement);
        let findings = judgement.findings.into_iter();
        alerts.extend(findings.filter_map(|finding| self.reported(now, &mut entries, finding)));
        if !entries.is_empty() {
            self.entries.insert(scope.clone(), entries);
        }
        alerts
    }

    fn resolved(
        &self,
        now: &Reading,
        entries: &mut Vec<Entry>,
        judgement: &Judgement,
    ) -> Vec<Alert> {
        let ids: Vec<_> = judgement.findings.iter().map(|finding| finding.id(&self.node)).collect();
        let heir = self.heir(entries, &judgement.findings);
        let mut alerts = Vec::new();
        entries.retain_mut(|entry| {
            if ids.contains(&entry.id) {
                return true;
            }
            let resolution = inherited(entry, judgement.missing.resolution(&entry.finding), heir);
            let over = entry.is_resolved(now.monotonic, resolution);
            alerts.extend(over.then(|| entry.resolved(now, resolution)));
            !over
        });
        alerts
    }

    /// The first of `findings` that is new: what an earlier one may have become.
    fn heir(&self, entries: &[Entry], findings: &[Finding]) -> Option<(Code, Severity)> {
        let is_new =
            |finding: &&Finding| entries.iter().all(|entry| entry.id != finding.id(&self.node));
        findings.iter().find(is_new).map(|finding| (finding.code, finding.severity))
    }

    fn reported(&self, now: &Reading, entries: &mut Vec<Entry>, finding: Finding) -> Option<Alert> {
        let id = finding.id(&self.node);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) {
            return entry.confirmed(now, finding, self.remind_every);
        }
        let entry = Entry::raised(now, finding, &self.node);
        let alert = entry.announced(now);
        entries.push(entry);
        Some(alert)
    }

    /// When a judgement may bring something although nothing changed: a hold ends, a reminder is
    /// due.
    pub fn next_wake(&self, scope: &Scope) -> Option<Monotonic> {
        let entries = self.entries.get(scope)?;
        entries.iter().map(|entry| entry.next_wake(self.remind_every)).min()
    }

    /// Takes over what was raised before a restart. It is neither raised again nor resolved before
    /// there was time to look.
    pub fn restore(&mut self, now: &Reading, restored: Vec<Restored>) {
        for one in restored {
            let entries = self.entries.entry(Scope::of(&one.finding)).or_default();
            let entry = Entry::restored(now, one, &self.node);
            if entries.iter().all(|known| known.id != entry.id) {
                entries.push(entry);
            }
        }
    }

    /// Tokens with findings from before a restart that were not observed since, once there was time
    /// to observe them.
    pub fn unseen(&self, now: Monotonic) -> Vec<TokenKey> {
        let is_due = |entries: &[Entry]| {
            entries.iter().any(|entry| entry.held_until().is_some_and(|until| until <= now))
        };
        let due = self.entries.iter().filter(|(_, entries)| is_due(entries));
        due.filter_map(|(scope, _)| scope.token().cloned()).collect()
    }

    /// The first time at which [`Self::unseen`] may give something of what `counts`.
    pub fn next_unseen(&self, counts: impl Fn(&TokenKey) -> bool) -> Option<Monotonic> {
        let held = self.entries.iter().filter(|(scope, _)| scope.token().is_none_or(&counts));
        held.flat_map(|(_, entries)| entries).filter_map(Entry::held_until).min()
    }

    /// Active findings with when they were raised, worst first, in a fixed order.
    pub fn raised(&self) -> Vec<(Finding, Wall)> {
        let active = self.entries.values().flatten().filter(|entry| entry.is_active());
        let mut raised: Vec<_> =
            active.map(|entry| (entry.finding.clone(), entry.raised_at())).collect();
        raised.sort_by(|(a, _), (b, _)| {
            let by_severity = b.severity.cmp(&a.severity).then(a.code.cmp(&b.code));
            by_severity.then_with(|| a.subject.sort_key().cmp(&b.subject.sort_key()))
        });
        raised
    }

    /// Active findings, in no order that matters.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        let entries = self.entries.values().flatten().filter(|entry| entry.is_active());
        entries.map(|entry| &entry.finding)
    }
}

/// A finding that is simply missing has become the one that is new. One that was raised before a
/// restart does not become a milder one: what made it as bad as it was may only not be known again
/// yet.
fn inherited(entry: &Entry, resolution: Resolution, heir: Option<(Code, Severity)>) -> Resolution {
    match (resolution, heir) {
        (Resolution::Recovered, Some((_, severity)))
            if entry.held_until().is_some() && severity < entry.finding.severity =>
        {
            Resolution::Recovered
        }
        (Resolution::Recovered, Some((heir, _))) => Resolution::Became(heir),
        (resolution, _) => resolution,
    }
}

#[cfg(test)]
mod tests;
