//! Findings over time: raised once, held so that they do not flap, said again, cleared.

mod alert;
mod restored;

pub use alert::{Alert, AlertEvent};
pub use restored::{FILE, Restored, VERSION, after};

use std::collections::BTreeMap;

use crate::base::schema;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::base::value::Value;
use crate::diagnosis::{Ending, ended};
use crate::findings::{Code, Finding, FindingId, Severity, Subject};
use crate::world::tokens::TokenKey;

/// A clock finding must be gone this long: servers and daemons take a few exchanges to settle.
const CLOCK_HOLD: Delta = Delta::from_secs(60);
/// Two daemons that fight over a clock may set it many times a minute: that it was set again is
/// said this often, the last time for certain.
const STEPS_APART: Delta = Delta::from_secs(5);
/// What was raised before a restart is not over because it is not seen at once: within this every
/// file is scanned again (a minute), what is broken has settled (10 s), and the time servers were
/// heard.
const RESTORED_HOLD: Delta = Delta::from_secs(90);

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

impl Scope {
    /// The scope that such a finding is judged in.
    fn of(finding: &Finding) -> Self {
        match (&finding.subject, finding.code) {
            (Subject::Token { pod, volume, path }, _) => Self::Token(TokenKey {
                pod_uid: pod.uid.clone(),
                volume: volume.clone(),
                path: path.clone(),
            }),
            (_, Code::AgentBlind) => Self::Sight,
            (_, Code::DeliveryDelayed) => Self::Delivery,
            _ => Self::Clock,
        }
    }
}

/// When, by the clock that was set then, and by how much: one that is set back may say the same
/// time twice.
type SetClock = (Value, Value);

/// A finding that was raised and not cleared.
#[derive(Clone, Debug)]
struct Entry {
    id: FindingId,
    finding: Finding,
    raised: Reading,
    said: Monotonic,
    /// The step that was last said with it.
    told_step: Option<SetClock>,
    /// The worst it was said to be, since it was last said for being due: what goes up and down is
    /// not said each time it goes up.
    worst: Severity,
    gone_since: Option<Monotonic>,
    /// Raised before a restart, and not seen since: until then that says nothing.
    held_until: Option<Monotonic>,
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

    /// What is wrong with `scope` now, whole: what is new is raised, what stays may be said again,
    /// what is missing is cleared. `ending` says how a finding that is missing ended; one that
    /// is simply over may have become one that is new.
    pub fn judge(
        &mut self,
        now: &Reading,
        scope: &Scope,
        findings: Vec<Finding>,
        ending: impl Fn(&Finding) -> Ending,
    ) -> Vec<Alert> {
        if findings.is_empty() && !self.entries.contains_key(scope) {
            return Vec::new();
        }
        let mut entries = self.entries.remove(scope).unwrap_or_default();
        let heir = self.heir(&entries, &findings);
        let ending = |entry: &Entry| match (ending(&entry.finding), heir) {
            (Ending::Over, Some((_, severity)))
                if entry.held_until.is_some() && severity < entry.finding.severity =>
            {
                Ending::Over
            }
            (Ending::Over, Some((heir, _))) => Ending::Became(heir),
            (ending, _) => ending,
        };
        let mut alerts = self.cleared(now, &mut entries, &findings, ending);
        alerts.extend(
            findings.into_iter().filter_map(|finding| self.reported(now, &mut entries, finding)),
        );
        if !entries.is_empty() {
            self.entries.insert(scope.clone(), entries);
        }
        alerts
    }

    /// The first of `findings` that is new. One that was raised before a restart does not become a
    /// milder one: what made it as bad as it was may only not be known again yet.
    fn heir(&self, entries: &[Entry], findings: &[Finding]) -> Option<(Code, Severity)> {
        let is_new =
            |finding: &&Finding| entries.iter().all(|entry| entry.id != finding.id(&self.node));
        findings.iter().find(is_new).map(|finding| (finding.code, finding.severity))
    }

    fn cleared(
        &self,
        now: &Reading,
        entries: &mut Vec<Entry>,
        findings: &[Finding],
        ending: impl Fn(&Entry) -> Ending,
    ) -> Vec<Alert> {
        let present =
            |entry: &Entry| findings.iter().any(|finding| finding.id(&self.node) == entry.id);
        let mut alerts = Vec::new();
        entries.retain_mut(|entry| {
            let ending = (!present(entry))
                .then(|| ending(entry))
                .filter(|ending| entry.is_over(now.monotonic, ending));
            alerts.extend(ending.as_ref().map(|ending| entry.ended(now, ending)));
            ending.is_none()
        });
        alerts
    }

    fn reported(&self, now: &Reading, entries: &mut Vec<Entry>, finding: Finding) -> Option<Alert> {
        let id = finding.id(&self.node);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) {
            return entry.again(now, finding, self.remind_every);
        }
        let told_step = step_of(&finding);
        let worst = finding.severity;
        let entry = Entry {
            id,
            worst,
            finding,
            raised: *now,
            said: now.monotonic,
            told_step,
            gone_since: None,
            held_until: None,
        };
        let alert = entry.alert(AlertEvent::Raised, now, entry.finding.clone());
        entries.push(entry);
        Some(alert)
    }

    /// When a judgement may bring something although nothing changed: a hold ends, a reminder is
    /// due.
    pub fn next_wake(&self, scope: &Scope) -> Option<Monotonic> {
        let entries = self.entries.get(scope)?;
        entries.iter().map(|entry| entry.next_wake(self.remind_every)).min()
    }

    /// Takes over what was raised before a restart. It is neither raised again nor cleared before
    /// there was time to look.
    pub fn restore(&mut self, now: &Reading, remembered: Vec<Restored>) {
        for one in remembered {
            let entries = self.entries.entry(Scope::of(&one.finding)).or_default();
            let entry = Entry::restored(now, one, &self.node);
            if entries.iter().all(|known| known.id != entry.id) {
                entries.push(entry);
            }
        }
    }

    /// Tokens with findings from before a restart that were not seen since, once there was time to
    /// see them.
    pub fn unseen(&self, now: Monotonic) -> Vec<TokenKey> {
        let is_due = |entries: &[Entry]| {
            entries.iter().any(|entry| entry.held_until.is_some_and(|until| until <= now))
        };
        let due = self.entries.iter().filter(|(_, entries)| is_due(entries));
        let key =
            |scope: &Scope| if let Scope::Token(key) = scope { Some(key.clone()) } else { None };
        due.filter_map(|(scope, _)| key(scope)).collect()
    }

    /// The first time at which [`Self::unseen`] may tell something of what `counts`.
    pub fn next_unseen(&self, counts: impl Fn(&TokenKey) -> bool) -> Option<Monotonic> {
        let told = self
            .entries
            .iter()
            .filter(|(scope, _)| if let Scope::Token(key) = scope { counts(key) } else { true });
        told.flat_map(|(_, entries)| entries).filter_map(|entry| entry.held_until).min()
    }

    /// Active findings with when they were raised, in no order that matters.
    pub fn raised(&self) -> impl Iterator<Item = (&Finding, Wall)> {
        self.entries
            .values()
            .flatten()
            .filter(|entry| entry.gone_since.is_none())
            .map(|entry| (&entry.finding, entry.raised.wall))
    }

    /// Active findings, in no order that matters.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        self.entries
            .values()
            .flatten()
            .filter(|entry| entry.gone_since.is_none())
            .map(|entry| &entry.finding)
    }
}

impl Entry {
    fn restored(now: &Reading, one: Restored, node: &str) -> Self {
        let ago = |at: Wall| now.monotonic - (now.wall - at).max(Delta::ZERO);
        Self {
            id: one.finding.id(node),
            worst: one.finding.severity,
            raised: Reading { wall: one.raised_at, monotonic: ago(one.raised_at) },
            said: ago(one.said_at),
            told_step: step_of(&one.finding),
            finding: one.finding,
            gone_since: None,
            held_until: Some(now.monotonic + RESTORED_HOLD),
        }
    }

    fn next_wake(&self, remind_every: Delta) -> Monotonic {
        let over = self.gone_since.map(|gone| gone + hold(self.finding.code));
        self.held_until.or(over).unwrap_or_else(|| self.next_word(remind_every))
    }

    /// What ended for certain is over at once.
    fn is_over(&mut self, now: Monotonic, ending: &Ending) -> bool {
        let certain = matches!(ending, Ending::Replaced | Ending::Gone | Ending::Became(_));
        if self.held_until.is_some_and(|until| now < until) && !certain {
            return false;
        }
        self.held_until = None;
        let gone_since = *self.gone_since.get_or_insert(now);
        now - gone_since >= hold(self.finding.code)
    }

    fn again(&mut self, now: &Reading, finding: Finding, remind_every: Delta) -> Option<Alert> {
        (self.gone_since, self.held_until) = (None, None);
        self.finding = finding;
        let due = now.monotonic >= self.next_word(remind_every);
        if self.finding.severity <= self.worst && !due {
            return None;
        }
        self.worst = self.finding.severity;
        self.said = now.monotonic;
        self.told_step = step_of(&self.finding);
        Some(self.alert(AlertEvent::Reminded, now, self.finding.clone()))
    }

    /// When it is said again if it stays as it is.
    fn next_word(&self, remind_every: Delta) -> Monotonic {
        let step = step_of(&self.finding);
        let is_news = step.is_some() && step != self.told_step;
        self.said + if is_news { STEPS_APART.min(remind_every) } else { remind_every }
    }

    /// How long it lasted is told by the clock that nobody sets, up to when it was first missing.
    fn ended(&self, now: &Reading, ending: &Ending) -> Alert {
        let lasted = self.gone_since.unwrap_or(now.monotonic) - self.raised.monotonic;
        self.alert(AlertEvent::Cleared, now, ended(&self.finding, ending, lasted))
    }

    fn alert(&self, event: AlertEvent, now: &Reading, finding: Finding) -> Alert {
        Alert { event, id: self.id.clone(), at: now.wall, raised_at: self.raised.wall, finding }
    }
}

/// Which setting of the clock a finding tells of. Each is an event of its own, even while the
/// finding about the one before is still up.
fn step_of(finding: &Finding) -> Option<SetClock> {
    let tells = matches!(finding.code, Code::ClockStepped | Code::ClockOffset);
    let (at, size) =
        (finding.evidence.get(schema::CLOCK_STEP_AT)?, finding.evidence.get(schema::CLOCK_STEP)?);
    tells.then(|| (at.clone(), size.clone()))
}

fn hold(code: Code) -> Delta {
    if code.as_str().starts_with("clock.") { CLOCK_HOLD } else { Delta::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;
    use crate::base::value::Attributes;
    use crate::findings::{Remedy, Subject};
    use crate::world::cluster::PodRef;

    fn at(secs: i64) -> Reading {
        Reading {
            wall: Wall::from_secs(1_800_000_000 + secs),
            monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
        }
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
            let alerts =
                ledger.judge(&at(*secs), &Scope::Clock, findings.clone(), |_| Ending::Over);
            said.extend(alerts.into_iter().map(|alert| (*secs, alert.event, alert.finding.code)));
        }
        said
    }

    #[test]
    fn said_once_then_reminded_then_cleared() {
        let late = || vec![finding(Code::RotationLate, Severity::Info)];
        let said =
            story(&[(0, late()), (10, late()), (3_600, late()), (3_700, late()), (3_800, vec![])]);
        let code = Code::RotationLate;
        assert_eq!(
            said,
            [
                (0, AlertEvent::Raised, code),
                (3_600, AlertEvent::Reminded, code),
                (3_800, AlertEvent::Cleared, code)
            ]
        );
    }

    #[test]
    fn worse_is_said_at_once_and_better_is_not() {
        let stalled = |severity| vec![finding(Code::RotationStalled, severity)];
        let said = story(&[
            (0, stalled(Severity::Warning)),
            (5, stalled(Severity::Critical)),
            (9, stalled(Severity::Warning)),
        ]);
        assert_eq!(
            said.iter().map(|s| s.1).collect::<Vec<_>>(),
            [AlertEvent::Raised, AlertEvent::Reminded]
        );
    }

    #[test]
    fn a_clock_that_comes_and_goes_does_not_flap() {
        let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
        let said = story(&[
            (0, off()),
            (30, vec![]),
            (60, off()),
            (90, vec![]),
            (120, vec![]),
            (151, vec![]),
        ]);
        assert_eq!(
            said,
            [
                (0, AlertEvent::Raised, Code::ClockOffset),
                (151, AlertEvent::Cleared, Code::ClockOffset)
            ]
        );
    }

    #[test]
    fn each_step_of_the_clock_is_said_but_not_more_often_than_anyone_can_read() {
        let stepped = |at: i64| {
            let evidence = Attributes::new()
                .with(schema::CLOCK_STEP_AT, Wall::from_secs(0))
                .with(schema::CLOCK_STEP, Delta::from_secs(at));
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
        let _ = ledger.judge(&at(0), &Scope::Clock, stepped(0), |_| Ending::Over);
        let _ = ledger.judge(&at(1), &Scope::Clock, stepped(1), |_| Ending::Over);
        assert_eq!(
            ledger.next_wake(&Scope::Clock),
            Some(at(5).monotonic),
            "what was not said at once is said then"
        );
    }

    #[test]
    fn one_finding_turning_into_another_says_so() {
        let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
        let subject =
            Subject::Token { pod: PodRef::default(), volume: "v".into(), path: "token".into() };
        let about = |code| Finding { subject: subject.clone(), ..finding(code, Severity::Info) };
        let (late, stalled) = (about(Code::RotationLate), about(Code::RotationStalled));
        let mut judge =
            |secs, findings| ledger.judge(&at(secs), &Scope::Sight, findings, |_| Ending::Over);
        let _ = judge(0, vec![late.clone()]);
        let alerts = judge(5, vec![stalled.clone()]);
        assert_eq!(
            alerts[0].finding,
            ended(&late, &Ending::Became(Code::RotationStalled), Delta::from_secs(5))
        );
        assert_eq!(alerts[1].event, AlertEvent::Raised);
        // What was there all along is no heir.
        let _ = judge(6, vec![late.clone(), stalled.clone()]);
        assert_eq!(
            judge(9, vec![stalled])[0].finding,
            ended(&late, &Ending::Over, Delta::from_secs(3))
        );
    }

    #[test]
    fn how_long_it_lasted_is_not_told_by_a_clock_that_was_set_meanwhile() {
        let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
        let off = finding(Code::ClockOffset, Severity::Warning);
        let _ = ledger.judge(&at(0), &Scope::Clock, vec![off.clone()], |_| Ending::Over);
        let set_back = |secs| Reading { wall: at(secs - 900).wall, ..at(secs) };
        assert_eq!(ledger.judge(&set_back(100), &Scope::Clock, vec![], |_| Ending::Over), []);
        let cleared = ledger.judge(&set_back(160), &Scope::Clock, vec![], |_| Ending::Over);
        assert_eq!(cleared[0].finding, ended(&off, &Ending::Over, Delta::from_secs(100)));
    }

    #[test]
    fn a_severity_that_goes_up_and_down_is_said_once() {
        let off = |severity| vec![finding(Code::ClockOffset, severity)];
        let steps: Vec<_> = (0..10)
            .flat_map(|i| {
                [(i * 20, off(Severity::Warning)), (i * 20 + 10, off(Severity::Critical))]
            })
            .collect();
        assert_eq!(
            story(&steps).iter().map(|s| s.1).collect::<Vec<_>>(),
            [AlertEvent::Raised, AlertEvent::Reminded]
        );
    }

    /// A ledger that an agent filled at 0 s, as the next agent finds it at 1000 s.
    fn after_a_restart(code: Code) -> Ledger {
        let mut before = Ledger::new("n1", Delta::from_secs(3_600));
        let raised =
            before.judge(&at(0), &Scope::Clock, vec![finding(code, Severity::Warning)], |_| {
                Ending::Over
            });
        let mut after = Ledger::new("n1", Delta::from_secs(3_600));
        after
            .restore(&at(1_000), raised.iter().filter_map(|alert| super::after(alert).1).collect());
        after
    }

    #[test]
    fn what_was_raised_before_a_restart_is_not_raised_again() {
        let mut ledger = after_a_restart(Code::ClockOffset);
        let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
        assert_eq!(ledger.judge(&at(1_005), &Scope::Clock, off(), |_| Ending::Over), []);
        let reminded = ledger.judge(&at(3_600), &Scope::Clock, off(), |_| Ending::Over);
        assert_eq!(
            reminded[0].event,
            AlertEvent::Reminded,
            "the next reminder comes when it would have come"
        );
        assert_eq!(reminded[0].raised_at, at(0).wall);
    }

    #[test]
    fn what_was_raised_before_a_restart_is_cleared_only_after_there_was_time_to_look() {
        let mut ledger = after_a_restart(Code::AgentBlind);
        let mut judge = |secs| ledger.judge(&at(secs), &Scope::Sight, vec![], |_| Ending::Over);
        assert_eq!(judge(1_001), []);
        assert_eq!(judge(1_089), []);
        let cleared = judge(1_090);
        assert_eq!((cleared[0].event, cleared[0].raised_at), (AlertEvent::Cleared, at(0).wall));
        let mut ledger = after_a_restart(Code::AgentBlind);
        assert_eq!(ledger.next_wake(&Scope::Sight), Some(at(1_090).monotonic));
        let replaced = ledger.judge(&at(1_001), &Scope::Sight, vec![], |_| Ending::Replaced);
        assert_eq!(replaced[0].event, AlertEvent::Cleared, "what ended for certain is not held");
    }

    #[test]
    fn a_remembered_finding_is_judged_where_a_new_one_would_be() {
        let token = Subject::Token {
            pod: PodRef { uid: "u".into(), ..PodRef::default() },
            volume: "v".into(),
            path: "p".into(),
        };
        let key = TokenKey { pod_uid: "u".into(), volume: "v".into(), path: "p".into() };
        let table = [
            (Code::Expired, token, Scope::Token(key.clone())),
            (Code::AgentBlind, Subject::node("n1"), Scope::Sight),
            (Code::DeliveryDelayed, Subject::node("n1"), Scope::Delivery),
            (Code::ClockServersDisagree, Subject::Server { server: "s".into() }, Scope::Clock),
        ];
        for (code, subject, scope) in table {
            assert_eq!(Scope::of(&Finding { subject, ..finding(code, Severity::Info) }), scope);
        }
    }

    #[test]
    fn ids_survive_a_restart_and_differ_by_node() {
        let finding = finding(Code::Expired, Severity::Critical);
        assert_eq!(finding.id("n1"), finding.id("n1"));
        assert_ne!(finding.id("n1"), finding.id("n2"));
    }
}
