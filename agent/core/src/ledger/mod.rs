//! Findings over time: each is raised once, held so that it does not flap, reminded, and cleared
//! when it is resolved.

mod alert;
mod copies;
mod entry;
mod foresight;
mod judgement;
mod restored;
mod scope;

pub use alert::{Alert, AlertEvent};
pub use judgement::{Judgement, Missing};
pub use restored::{FILE, Restored, VERSION, after};
pub use scope::Scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::diagnosis;
use crate::findings::{Code, Finding, Resolution, Severity, WITHOUT_EXTENSION};
use crate::world::World;
use crate::world::observation::Again;
use crate::world::tokens::TokenKey;
use entry::Entry;

/// The findings that were raised and not cleared.
#[derive(Clone, Debug)]
pub struct Ledger {
    node: String,
    remind_every: Delta,
    entries: BTreeMap<Scope, Vec<Entry>>,
    /// How far true time is ahead of the node's clock, while that is known to be off. Alerts are
    /// dated by it.
    pub known_offset: Option<Delta>,
}

impl Ledger {
    /// An empty ledger. `remind_every` is the interval between two reports of an active finding.
    pub fn new(node: &str, remind_every: Delta) -> Self {
        let (node, entries) = (node.to_owned(), BTreeMap::new());
        Self { node, remind_every, entries, known_offset: None }
    }

    /// Takes the complete diagnosis of `scope`. Raises new findings, reminds of active ones where
    /// that is due, and clears those that are missing.
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
        for alert in &mut alerts {
            alert.true_time = self.known_offset.map(|offset| now.wall + offset);
        }
        alerts
    }

    /// Judges a token that is absent, or was until now. Also returns when to judge it again.
    pub fn judge_absent(
        &mut self,
        now: &Reading,
        world: &World,
        key: &TokenKey,
    ) -> (Vec<Alert>, Option<Monotonic>) {
        if world.visibility.are_files_still() {
            return (Vec::new(), None); // once files are read again, it is judged
        }
        let (diagnosis, scope) = (diagnosis::absent(world, key, now), Scope::Token(key.clone()));
        let judged = diagnosis.findings.map(|findings| {
            let missing = if findings.is_empty() { Missing::Gone } else { Missing::Absent };
            self.judge(now, &scope, Judgement { findings, missing })
        });
        let wake = self.next_wake(&scope).filter(|at| *at > now.monotonic);
        (judged.unwrap_or_default(), diagnosis.next.into_iter().chain(wake).min())
    }

    fn resolved(
        &self,
        now: &Reading,
        entries: &mut Vec<Entry>,
        judgement: &Judgement,
    ) -> Vec<Alert> {
        let ids: Vec<_> = judgement.findings.iter().map(|finding| finding.id(&self.node)).collect();
        let successor = self.successor(entries, &judgement.findings);
        let mut alerts = Vec::new();
        entries.retain_mut(|entry| {
            if ids.contains(&entry.id) {
                return true;
            }
            let is_kept = judgement.is_open() || judgement.missing.keeps(&entry.finding);
            if is_kept || self.is_still_extended(&entry.finding) {
                alerts.extend(entry.kept(now, self.remind_every));
                return true;
            }
            let resolution =
                with_successor(entry, judgement.missing.resolution(&entry.finding), successor);
            let is_resolved = entry.is_resolved(now.monotonic, resolution);
            alerts.extend(is_resolved.then(|| entry.resolved(now, resolution)));
            !is_resolved
        });
        alerts
    }

    /// Whether another finding still shows that somebody keeps a token whose expiry is extended.
    fn is_still_extended(&self, finding: &Finding) -> bool {
        let shows = |other: &Finding| {
            other.code == Code::ReaderStale && other.evidence.get(WITHOUT_EXTENSION).is_some()
        };
        finding.code == Code::ExtendedOnly && self.active().any(shows)
    }

    /// The first new finding: an earlier one may have become it.
    fn successor(&self, entries: &[Entry], findings: &[Finding]) -> Option<(Code, Severity)> {
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

    /// Reports these findings again that were raised and not cleared: their alerts were lost. Those
    /// without an alert are cleared, or nobody knows them.
    pub fn again(&mut self, now: &Reading, lost: &Again) -> Vec<Alert> {
        let event = |id: &String| match (lost.raised.contains(id), lost.reminded.contains(id)) {
            (true, _) => Some(AlertEvent::Raised),
            (false, true) => Some(AlertEvent::Reminded),
            (false, false) => None,
        };
        let offset = self.known_offset;
        let entries = self.entries.values_mut().flatten();
        let alerts = entries.filter_map(|entry| Some(entry.again(now, event(&entry.id.0)?)));
        alerts
            .map(|alert| Alert { true_time: offset.map(|offset| now.wall + offset), ..alert })
            .collect()
    }

    /// The active finding about the token with this code.
    pub fn find(&self, key: &TokenKey, code: Code) -> Option<&Finding> {
        let entries = self.entries.get(&Scope::Token(key.clone()))?;
        let mut findings = entries.iter().map(|entry| entry.finding.as_ref());
        findings.find(|finding| finding.code == code)
    }

    /// When `scope` must be diagnosed again although nothing changed: a hold ends, or a reminder is
    /// due.
    pub fn next_wake(&self, scope: &Scope) -> Option<Monotonic> {
        let entries = self.entries.get(scope)?;
        entries.iter().map(|entry| entry.next_wake(self.remind_every)).min()
    }

    /// Takes the findings that were active before a restart. They are not raised again. They are
    /// not resolved before the sources had time to observe them.
    pub fn restore(&mut self, now: &Reading, restored: Vec<Restored>) {
        for one in restored {
            let entries = self.entries.entry(Scope::of(&one.finding)).or_default();
            let entry = Entry::restored(now, one, &self.node);
            if entries.iter().all(|known| known.id != entry.id) {
                entries.push(entry);
            }
        }
    }

    /// The tokens with restored findings that were not observed yet, although the sources had time
    /// for that.
    pub fn unseen(&self, now: Monotonic) -> Vec<TokenKey> {
        let is_due = |entries: &[Entry]| {
            entries.iter().any(|entry| entry.held_until().is_some_and(|until| until <= now))
        };
        let due = self.entries.iter().filter(|(_, entries)| is_due(entries));
        due.filter_map(|(scope, _)| scope.token().cloned()).collect()
    }

    /// When [`Self::unseen`] may next return a token for which `counts` is true.
    pub fn next_unseen(&self, counts: impl Fn(&TokenKey) -> bool) -> Option<Monotonic> {
        // Files are judged with the node.
        let counts = |scope: &Scope| scope.token().map_or(scope.file().is_none(), &counts);
        let held = self.entries.iter().filter(|(scope, _)| counts(scope));
        held.flat_map(|(_, entries)| entries).filter_map(Entry::held_until).min()
    }

    /// Active findings with the times when they were raised, highest severity first, in a fixed
    /// order.
    pub fn raised(&self) -> Vec<(Arc<Finding>, Wall)> {
        let active = self.entries.values().flatten().filter(|entry| entry.is_active());
        let mut raised: Vec<_> =
            active.map(|entry| (Arc::clone(&entry.finding), entry.raised_at())).collect();
        raised.sort_by(|(a, _), (b, _)| {
            let by_severity = b.severity.cmp(&a.severity).then(a.code.cmp(&b.code));
            by_severity.then_with(|| a.subject.sort_key().cmp(&b.subject.sort_key()))
        });
        raised
    }

    /// Whether a finding with this code is active: about the token, or without one about the node.
    pub fn is_active(&self, token: Option<&TokenKey>, code: Code) -> bool {
        let of_token = token.map(|key| Scope::Token(key.clone()));
        let entries = match &of_token {
            Some(scope) => self.entries.get(scope),
            None => self.entries.get(&Scope::of_node(code)),
        };
        entries.is_some_and(|entries| entries.iter().any(|entry| entry.finding.code == code))
    }

    /// Active findings, in no particular order.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        let entries = self.entries.values().flatten().filter(|entry| entry.is_active());
        entries.map(|entry| entry.finding.as_ref())
    }
}

/// The resolution of a missing finding, given a new one. A finding that recovered became the new
/// one. A restored finding does not become one of lower severity: the cause of its severity may
/// only not be observed again yet.
fn with_successor(
    entry: &Entry,
    resolution: Resolution,
    successor: Option<(Code, Severity)>,
) -> Resolution {
    let is_milder = |severity| entry.held_until().is_some() && severity < entry.finding.severity;
    match (resolution, successor) {
        (Resolution::Recovered, Some((code, severity))) if !is_milder(severity) => {
            Resolution::Became(code)
        }
        (
            Resolution::Recovered
            | Resolution::Replaced
            | Resolution::Gone
            | Resolution::LeftOut
            | Resolution::Became(_)
            | Resolution::ClockToBlame
            | Resolution::Clock(_)
            | Resolution::Kubelet { .. }
            | Resolution::Resumed
            | Resolution::Delivered { .. },
            _,
        ) => resolution,
    }
}

#[cfg(test)]
mod tests;
