//! Findings over time: raised once, held so that they do not flap, said again, cleared.

use std::collections::BTreeMap;

use crate::action::{Alert, AlertEvent};
use crate::findings::{Code, Finding, FindingId};
use crate::schema;
use crate::time::{Boot, Delta, Reading, Wall};
use crate::token::TokenKey;
use crate::value::Value;

/// A clock finding must be gone this long: servers and daemons take a few exchanges to settle.
const CLOCK_HOLD: Delta = Delta::from_secs(60);
/// Two daemons that fight over a clock may set it many times a minute: that it was set again is said this often, the last time for certain.
const STEPS_APART: Delta = Delta::from_secs(5);

/// Whose findings are judged together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One token.
    Token(TokenKey),
    /// The node's clock and its servers.
    Clock,
    /// The agent itself: what it cannot see.
    Sight,
    /// The agent itself: what it cannot deliver.
    Delivery,
}

/// When, by the clock that was set then, and by how much: one that is set back may say the same time twice.
type SetClock = (Value, Value);

/// A finding that was raised and not cleared.
#[derive(Clone, Debug)]
struct Entry {
    id: FindingId,
    finding: Finding,
    raised_at: Wall,
    said: Boot,
    /// The step that was last said with it.
    told_step: Option<SetClock>,
    gone_since: Option<Boot>,
}

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

    /// What is wrong with `scope` now, whole: what is new is raised, what stays may be said again, what is missing is cleared.
    /// `why_gone` says how it ended where the code alone does not tell.
    pub fn judge(&mut self, now: &Reading, scope: &Scope, findings: Vec<Finding>, why_gone: Option<&str>) -> Vec<Alert> {
        if findings.is_empty() && !self.entries.contains_key(scope) {
            return Vec::new();
        }
        let mut entries = self.entries.remove(scope).unwrap_or_default();
        let mut alerts = self.cleared(now, &mut entries, &findings, why_gone);
        alerts.extend(findings.into_iter().filter_map(|finding| self.reported(now, &mut entries, finding)));
        if !entries.is_empty() {
            self.entries.insert(scope.clone(), entries);
        }
        alerts
    }

    fn cleared(&self, now: &Reading, entries: &mut Vec<Entry>, findings: &[Finding], why_gone: Option<&str>) -> Vec<Alert> {
        let present = |entry: &Entry| findings.iter().any(|finding| finding.id(&self.node) == entry.id);
        let heir = findings.first().map(|finding| format!("became {}", finding.code));
        let why = why_gone.or(heir.as_deref()).unwrap_or("no longer the case");
        let mut alerts = Vec::new();
        entries.retain_mut(|entry| {
            let over = !present(entry) && entry.is_over(now.boot);
            if over {
                alerts.push(entry.alert(AlertEvent::Cleared, now.wall, why));
            }
            !over
        });
        alerts
    }

    fn reported(&self, now: &Reading, entries: &mut Vec<Entry>, finding: Finding) -> Option<Alert> {
        let id = finding.id(&self.node);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) {
            return entry.again(now, finding, self.remind_every);
        }
        let told_step = step_of(&finding);
        let entry = Entry { id, finding, raised_at: now.wall, said: now.boot, told_step, gone_since: None };
        let alert = entry.alert(AlertEvent::Raised, now.wall, "");
        entries.push(entry);
        Some(alert)
    }

    /// When a judgement may bring something although nothing changed: a hold ends, a reminder is due.
    pub fn next_wake(&self, scope: &Scope) -> Option<Boot> {
        let entries = self.entries.get(scope)?;
        let wake = |entry: &Entry| entry.gone_since.map_or(entry.next_word(self.remind_every), |gone| gone + hold(entry.finding.code));
        entries.iter().map(wake).min()
    }

    /// Active findings, in no order that matters.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        self.entries.values().flatten().filter(|entry| entry.gone_since.is_none()).map(|entry| &entry.finding)
    }
}

impl Entry {
    fn is_over(&mut self, now: Boot) -> bool {
        let gone_since = *self.gone_since.get_or_insert(now);
        now - gone_since >= hold(self.finding.code)
    }

    fn again(&mut self, now: &Reading, finding: Finding, remind_every: Delta) -> Option<Alert> {
        self.gone_since = None;
        let worse = finding.severity > self.finding.severity;
        self.finding = finding;
        if !worse && now.boot < self.next_word(remind_every) {
            return None;
        }
        self.said = now.boot;
        self.told_step = step_of(&self.finding);
        Some(self.alert(AlertEvent::Reminded, now.wall, ""))
    }

    /// When it is said again if it stays as it is.
    fn next_word(&self, remind_every: Delta) -> Boot {
        let step = step_of(&self.finding);
        let is_news = step.is_some() && step != self.told_step;
        self.said + if is_news { STEPS_APART.min(remind_every) } else { remind_every }
    }

    fn alert(&self, event: AlertEvent, at: Wall, why: &str) -> Alert {
        let mut finding = self.finding.clone();
        if event == AlertEvent::Cleared {
            finding.summary = format!("Cleared ({why}) after {}: {}", (at - self.raised_at).max(Delta::ZERO), finding.summary);
        }
        Alert { event, id: self.id.clone(), at, raised_at: self.raised_at, finding }
    }
}

/// Which setting of the clock a finding tells of. Each is an event of its own, even while the finding about the one before is still up.
fn step_of(finding: &Finding) -> Option<SetClock> {
    let tells = matches!(finding.code, Code::ClockStepped | Code::ClockOffset);
    let (at, size) = (finding.evidence.get(schema::CLOCK_STEP_AT)?, finding.evidence.get(schema::CLOCK_STEP)?);
    tells.then(|| (at.clone(), size.clone()))
}

fn hold(code: Code) -> Delta {
    if code.as_str().starts_with("clock.") { CLOCK_HOLD } else { Delta::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Remedy, Severity, Subject};
    use crate::value::Attributes;

    fn at(secs: i64) -> Reading {
        Reading { wall: Wall::from_secs(1_800_000_000 + secs), boot: Boot::from_nanos(secs * 1_000_000_000) }
    }

    fn finding(code: Code, severity: Severity) -> Finding {
        Finding {
            code,
            severity,
            subject: Subject::node("n1"),
            summary: "it is so".into(),
            deadline: None,
            evidence: Attributes::new(),
            remedy: Remedy { text: "do".into(), command: None },
            trace: None,
        }
    }

    /// Runs a story of (seconds, what is wrong then) and tells what was said.
    fn story(steps: &[(i64, Vec<Finding>)]) -> Vec<(i64, AlertEvent, Code)> {
        let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
        let mut said = Vec::new();
        for (secs, findings) in steps {
            let alerts = ledger.judge(&at(*secs), &Scope::Clock, findings.clone(), None);
            said.extend(alerts.into_iter().map(|alert| (*secs, alert.event, alert.finding.code)));
        }
        said
    }

    #[test]
    fn said_once_then_reminded_then_cleared() {
        let late = || vec![finding(Code::RotationLate, Severity::Info)];
        let said = story(&[(0, late()), (10, late()), (3_600, late()), (3_700, late()), (3_800, vec![])]);
        let code = Code::RotationLate;
        assert_eq!(said, [(0, AlertEvent::Raised, code), (3_600, AlertEvent::Reminded, code), (3_800, AlertEvent::Cleared, code)]);
    }

    #[test]
    fn worse_is_said_at_once_and_better_is_not() {
        let stalled = |severity| vec![finding(Code::RotationStalled, severity)];
        let said = story(&[(0, stalled(Severity::Warning)), (5, stalled(Severity::Critical)), (9, stalled(Severity::Warning))]);
        assert_eq!(said.iter().map(|s| s.1).collect::<Vec<_>>(), [AlertEvent::Raised, AlertEvent::Reminded]);
    }

    #[test]
    fn a_clock_that_comes_and_goes_does_not_flap() {
        let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
        let said = story(&[(0, off()), (30, vec![]), (60, off()), (90, vec![]), (120, vec![]), (151, vec![])]);
        assert_eq!(said, [(0, AlertEvent::Raised, Code::ClockOffset), (151, AlertEvent::Cleared, Code::ClockOffset)]);
    }

    #[test]
    fn each_step_of_the_clock_is_said_but_not_more_often_than_anyone_can_read() {
        let stepped = |at: i64| {
            let evidence = Attributes::new().with(schema::CLOCK_STEP_AT, Wall::from_secs(0)).with(schema::CLOCK_STEP, Delta::from_secs(at));
            vec![Finding { evidence, ..finding(Code::ClockStepped, Severity::Warning) }]
        };
        let said = story(&[
            (0, stepped(0)),
            (3, stepped(0)),
            (9, stepped(9)),
            (10, stepped(10)),
            (13, stepped(13)),
            (14, stepped(13)),
            (60, stepped(13)),
        ]);
        assert_eq!(said.iter().map(|(secs, ..)| *secs).collect::<Vec<_>>(), [0, 9, 14], "{said:?}");

        let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
        let _ = ledger.judge(&at(0), &Scope::Clock, stepped(0), None);
        let _ = ledger.judge(&at(1), &Scope::Clock, stepped(1), None);
        assert_eq!(ledger.next_wake(&Scope::Clock), Some(at(5).boot), "what was not said at once is said then");
    }

    #[test]
    fn one_finding_turning_into_another_says_so() {
        let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
        let _ = ledger.judge(&at(0), &Scope::Sight, vec![finding(Code::RotationLate, Severity::Info)], None);
        let alerts = ledger.judge(&at(5), &Scope::Sight, vec![finding(Code::RotationStalled, Severity::Warning)], None);
        assert_eq!(alerts[0].finding.summary, "Cleared (became token.rotation_stalled) after 5.0s: it is so");
        assert_eq!(alerts[1].event, AlertEvent::Raised);
    }

    #[test]
    fn ids_survive_a_restart_and_differ_by_node() {
        let finding = finding(Code::Expired, Severity::Critical);
        assert_eq!(finding.id("n1"), finding.id("n1"));
        assert_ne!(finding.id("n1"), finding.id("n2"));
    }
}
