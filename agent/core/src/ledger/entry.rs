//! One finding that was raised and not resolved.

use super::{Alert, AlertEvent, Restored};
use crate::base::schema;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::base::value::Value;
use crate::findings::{Code, Finding, FindingId, Resolution, Severity, resolved};

/// A clock finding must be missing this long: servers and daemons take a few exchanges to settle.
const CLOCK_HOLD: Delta = Delta::from_secs(60);
/// Two daemons that fight over a clock may set it many times a minute. A new step is reported this
/// often, the last one for certain.
const STEPS_APART: Delta = Delta::from_secs(5);
/// What was raised before a restart is not resolved because it is not observed at once. Within this
/// every file is scanned again (a minute), what is broken has settled (10 s), and the time servers
/// have answered.
const RESTORED_HOLD: Delta = Delta::from_secs(90);

/// When, by the clock that was set then, and by how much: a clock that is set back may show the
/// same time twice.
type ReportedStep = (Value, Value);

/// A finding that was raised and not resolved.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: FindingId,
    pub(super) finding: Finding,
    raised: Reading,
    reported: Monotonic,
    /// The step that was last reported with it.
    step: Option<ReportedStep>,
    /// The worst severity since the last reminder: one that goes up and down is not reported each
    /// time it goes up.
    worst: Severity,
    missing_since: Option<Monotonic>,
    /// Raised before a restart, and not observed since. Until then that means nothing.
    held_until: Option<Monotonic>,
}

impl Entry {
    pub(super) fn raised(now: &Reading, finding: Finding, node: &str) -> Self {
        Self {
            id: finding.id(node),
            worst: finding.severity,
            raised: *now,
            reported: now.monotonic,
            step: step_of(&finding),
            finding,
            missing_since: None,
            held_until: None,
        }
    }

    pub(super) fn restored(now: &Reading, restored: Restored, node: &str) -> Self {
        let ago = |at: Wall| now.monotonic - (now.wall - at).max(Delta::ZERO);
        Self {
            raised: Reading { wall: restored.raised_at, monotonic: ago(restored.raised_at) },
            reported: ago(restored.reported_at),
            held_until: Some(now.monotonic + RESTORED_HOLD),
            ..Self::raised(now, restored.finding, node)
        }
    }

    /// Whether it is there, as far as is known.
    pub(super) fn is_active(&self) -> bool {
        self.missing_since.is_none()
    }

    /// When it was raised, on the node's clock.
    pub(super) fn raised_at(&self) -> Wall {
        self.raised.wall
    }

    /// Until when it is held after a restart.
    pub(super) fn held_until(&self) -> Option<Monotonic> {
        self.held_until
    }

    /// When it changes by the passing of time alone: a hold ends, or a reminder is due.
    pub(super) fn next_wake(&self, remind_every: Delta) -> Monotonic {
        let resolved = self.missing_since.map(|since| since + hold(self.finding.code));
        self.held_until.or(resolved).unwrap_or_else(|| self.next_report(remind_every))
    }

    /// It is missing at `now`. Whether that resolves it: at once for what was observed.
    pub(super) fn is_resolved(&mut self, now: Monotonic, resolution: Resolution) -> bool {
        if self.held_until.is_some_and(|until| now < until) && !resolution.is_certain() {
            return false;
        }
        self.held_until = None;
        let missing_since = *self.missing_since.get_or_insert(now);
        now - missing_since >= hold(self.finding.code)
    }

    /// It is there at `now`, as `finding`. An alert if it is worse, or if a reminder is due.
    pub(super) fn confirmed(
        &mut self,
        now: &Reading,
        finding: Finding,
        remind_every: Delta,
    ) -> Option<Alert> {
        (self.missing_since, self.held_until) = (None, None);
        self.finding = finding;
        let due = now.monotonic >= self.next_report(remind_every);
        if self.finding.severity <= self.worst && !due {
            return None;
        }
        self.worst = self.finding.severity;
        self.reported = now.monotonic;
        self.step = step_of(&self.finding);
        Some(self.alert(AlertEvent::Reminded, now, self.finding.clone()))
    }

    /// When it is reported again if it stays as it is. Reminders are spread over the last eighth of
    /// the interval, each finding's at its own place: what was raised together does not come back
    /// together, on one node or on 5,000.
    fn next_report(&self, remind_every: Delta) -> Monotonic {
        let step = step_of(&self.finding);
        let is_news = step.is_some() && step != self.step;
        let reminder = remind_every - self.id.share_of(remind_every.fraction(1, 8));
        self.reported + if is_news { STEPS_APART.min(remind_every) } else { reminder }
    }

    /// The alert that it is resolved. How long it lasted is measured by the clock that nobody sets,
    /// up to when it was first missing.
    pub(super) fn resolved(&self, now: &Reading, resolution: Resolution) -> Alert {
        let lasted = self.missing_since.unwrap_or(now.monotonic) - self.raised.monotonic;
        self.alert(AlertEvent::Cleared, now, resolved(&self.finding, resolution, lasted))
    }

    /// The alert that it was raised.
    pub(super) fn announced(&self, now: &Reading) -> Alert {
        self.alert(AlertEvent::Raised, now, self.finding.clone())
    }

    fn alert(&self, event: AlertEvent, now: &Reading, finding: Finding) -> Alert {
        Alert { event, id: self.id.clone(), at: now.wall, raised_at: self.raised.wall, finding }
    }
}

/// The step of the clock that a finding reports. Each is an event of its own, even while the
/// finding about the one before is active.
fn step_of(finding: &Finding) -> Option<ReportedStep> {
    let reports = matches!(finding.code, Code::ClockStepped | Code::ClockOffset);
    let at = finding.evidence.get(schema::CLOCK_STEP_AT)?;
    let size = finding.evidence.get(schema::CLOCK_STEP)?;
    reports.then(|| (at.clone(), size.clone()))
}

fn hold(code: Code) -> Delta {
    if code.as_str().starts_with("clock.") { CLOCK_HOLD } else { Delta::ZERO }
}
