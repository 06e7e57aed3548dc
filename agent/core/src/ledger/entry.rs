//! One finding that was raised and not resolved.

use std::sync::Arc;

use super::{Alert, AlertEvent, Restored};
use crate::base::schema;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::base::value::Value;
use crate::findings::{Code, Finding, FindingId, Resolution, Severity, resolved};

/// A finding about the clock is resolved after it was missing for this long, so that it does not
/// flap while servers and daemons settle.
const CLOCK_HOLD: Delta = Delta::from_secs(60);
/// Shortest time between two reports of steps. Two daemons that compete for a clock may set it many
/// times a minute. The last step is always reported.
const STEP_REPORT_INTERVAL: Delta = Delta::from_secs(5);
/// A restored finding that was not observed since the restart is resolved only after this time. By
/// then the agent has scanned every file again (60 s), malformed files have settled (10 s), and the
/// time servers have answered.
const RESTORED_HOLD: Delta = Delta::from_secs(90);

/// Time and size of a step. The time alone is not unique: a clock that is set back shows the same
/// time twice.
type ReportedStep = (Value, Value);

/// A finding that was raised and not resolved.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: FindingId,
    pub(super) finding: Arc<Finding>,
    raised: Reading,
    reported: Monotonic,
    /// The step in the last report of this finding.
    step: Option<ReportedStep>,
    /// The highest severity since the last reminder, and the codes that were reported with it. A
    /// severity that goes up and down is reported only once.
    worst: Severity,
    codes: Vec<Code>,
    missing_since: Option<Monotonic>,
    /// Set for a restored finding that was not observed yet: it is not resolved before this time.
    held_until: Option<Monotonic>,
}

impl Entry {
    pub(super) fn raised(now: &Reading, finding: Finding, node: &str) -> Self {
        Self {
            id: finding.id(node),
            worst: finding.severity,
            codes: vec![finding.code],
            raised: *now,
            reported: now.monotonic,
            step: step_of(&finding),
            finding: Arc::new(finding),
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
            ..Self::raised(now, Arc::unwrap_or_clone(restored.finding), node)
        }
    }

    /// Whether the last diagnosis contained it.
    pub(super) fn is_active(&self) -> bool {
        self.missing_since.is_none()
    }

    /// When it was raised, on the node's clock.
    pub(super) fn raised_at(&self) -> Wall {
        self.raised.wall
    }

    /// Until when a restored finding is held.
    pub(super) fn held_until(&self) -> Option<Monotonic> {
        self.held_until
    }

    /// When the ledger must look at it again: a hold ends, or a reminder is due.
    pub(super) fn next_wake(&self, remind_every: Delta) -> Monotonic {
        let resolved = self.missing_since.map(|since| since + hold(self.finding.code));
        self.held_until.or(resolved).unwrap_or_else(|| self.next_report(remind_every))
    }

    /// Notes that the diagnosis at `now` does not contain it. Returns whether it is resolved.
    pub(super) fn is_resolved(&mut self, now: Monotonic, resolution: Resolution) -> bool {
        if self.held_until.is_some_and(|until| now < until) && !resolution.is_certain() {
            return false;
        }
        self.held_until = None;
        let missing_since = *self.missing_since.get_or_insert(now);
        now - missing_since >= hold(self.finding.code)
    }

    /// Notes that the diagnosis at `now` contains it, as `finding`. Returns an alert if it got
    /// worse, if it no longer needs anybody, or if a reminder is due.
    pub(super) fn confirmed(
        &mut self,
        now: &Reading,
        finding: Finding,
        remind_every: Delta,
    ) -> Option<Alert> {
        if self.lacks_evidence(now, &finding) {
            return None;
        }
        (self.missing_since, self.held_until) = (None, None);
        let calmed = self.calms(&finding);
        self.finding = Arc::new(finding);
        let due = now.monotonic >= self.next_report(remind_every);
        if !(self.is_worse() || calmed || due) {
            return None;
        }
        self.worst = self.finding.severity;
        self.note_code(due);
        self.reported = now.monotonic;
        self.step = step_of(&self.finding);
        Some(self.alert(AlertEvent::Reminded, now, Arc::clone(&self.finding)))
    }

    /// Notes that nothing shows that it is resolved. Returns an alert if a reminder is due.
    pub(super) fn kept(&mut self, now: &Reading, remind_every: Delta) -> Option<Alert> {
        if self.held_until.is_some_and(|until| now.monotonic < until) {
            return None;
        }
        self.confirmed(now, Finding::clone(&self.finding), remind_every)
    }

    /// Whether a restored finding is observed with a lower severity. The cause of its severity may
    /// only not be observed again yet, so it stays as it is until the hold ends.
    fn lacks_evidence(&self, now: &Reading, finding: &Finding) -> bool {
        let is_held = self.held_until.is_some_and(|until| now.monotonic < until);
        is_held && finding.severity < self.finding.severity
    }

    /// Whether a token that needed somebody no longer does: its pod has ended, it has become valid,
    /// or nothing uses the copy any more. Nobody should have to wait for the next reminder to learn
    /// that.
    fn calms(&self, finding: &Finding) -> bool {
        let is_info = self.worst > Severity::Info && finding.severity == Severity::Info;
        let is_lifecycle = finding.code.family() == Code::Expired.family();
        let is_copy = finding.code == Code::CopyStale;
        is_info && (is_lifecycle || is_copy || finding.code != self.finding.code)
    }

    /// Whether it is worse than all that was reported since the last reminder: more severe, or as
    /// severe with a new code of its family (an expired token after a critical stall).
    fn is_worse(&self) -> bool {
        let is_new = !self.codes.contains(&self.finding.code);
        self.finding.severity > self.worst || (self.finding.severity == self.worst && is_new)
    }

    /// Notes that the code is reported. A reminder starts a new list.
    fn note_code(&mut self, is_reminder: bool) {
        if is_reminder {
            self.codes.clear();
        }
        if !self.codes.contains(&self.finding.code) {
            self.codes.push(self.finding.code);
        }
    }

    /// When it is reported again if it does not change. Reminders are spread over the last eighth
    /// of the interval by the id of the finding. Findings that were raised together, on one node or
    /// on 5,000, are therefore not reminded together.
    fn next_report(&self, remind_every: Delta) -> Monotonic {
        let step = step_of(&self.finding);
        let is_new_step = step.is_some() && step != self.step;
        let step_report = STEP_REPORT_INTERVAL.min(remind_every);
        self.reported + if is_new_step { step_report } else { remind_every }
    }

    /// The alert that it is resolved. Its duration ends when it was first missing, and is measured
    /// on the monotonic clock.
    pub(super) fn resolved(&self, now: &Reading, resolution: Resolution) -> Alert {
        let lasted = self.missing_since.unwrap_or(now.monotonic) - self.raised.monotonic;
        self.alert(AlertEvent::Cleared, now, resolved(&self.finding, resolution, lasted).into())
    }

    /// The alert that it is raised.
    pub(super) fn announced(&self, now: &Reading) -> Alert {
        self.alert(AlertEvent::Raised, now, Arc::clone(&self.finding))
    }

    /// Reports it again, because the last report was lost.
    pub(super) fn again(&mut self, now: &Reading, event: AlertEvent) -> Alert {
        self.reported = now.monotonic;
        self.alert(event, now, Arc::clone(&self.finding))
    }

    fn alert(&self, event: AlertEvent, now: &Reading, finding: Arc<Finding>) -> Alert {
        let (id, raised_at) = (self.id.clone(), self.raised.wall);
        Alert { event, id, at: now.wall, true_time: None, raised_at, finding }
    }
}

/// The step of the clock in the evidence of a finding. Each step is reported, also while the
/// finding about the previous step is active.
fn step_of(finding: &Finding) -> Option<ReportedStep> {
    let reports = matches!(finding.code, Code::ClockStepped | Code::ClockOffset);
    let at = finding.evidence.get(schema::CLOCK_STEP_AT)?;
    let size = finding.evidence.get(schema::CLOCK_STEP)?;
    reports.then(|| (at.clone(), size.clone()))
}

/// How long a finding must be missing before it is resolved.
fn hold(code: Code) -> Delta {
    if code.as_str().starts_with("clock.") { CLOCK_HOLD } else { Delta::ZERO }
}
