//! A scenario: a story, and what the agent must report of it.

use std::time::{Duration, Instant};

use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::ledger::AlertEvent;

use crate::node::Node;
use crate::play::{Played, Reported, play};

/// One kind of incident that the agent can distinguish, or a look-alike.
pub(crate) struct Scenario {
    /// Its name: the class of its incidents, and a few words.
    pub id: &'static str,
    /// What happened.
    pub what: &'static str,
    pub story: fn() -> Node,
    pub expected: Expected,
}

/// What the agent must report.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// A finding with this code, and at least this severity.
    Named {
        code: Code,
        severity: Severity,
        /// Seconds before the first refusal by which it must be there. Negative: so long after.
        lead: i64,
        /// A part of its summary that names the cause.
        cause: &'static str,
        /// The other codes that may be warnings or critical.
        also: &'static [Code],
    },
    /// A finding with this code and severity, and nothing above info beside it: nothing fails.
    Hint { code: Code, severity: Severity, cause: &'static str },
    /// Nothing, although requests fail: the agent cannot tell.
    NotNamed { why: &'static str },
    /// Nothing above info: nothing fails.
    Quiet,
    /// Nothing fails, and the agent raises this code so many times: a known false alarm.
    FalseAlarm { code: Code, times: usize, why: &'static str },
}

/// What became of a scenario.
pub(crate) struct Trial {
    pub scenario: &'static Scenario,
    pub played: Played,
    /// How long this took.
    pub took: Duration,
}

impl Trial {
    pub(crate) fn of(scenario: &'static Scenario) -> Self {
        let started = Instant::now();
        let played = play(&(scenario.story)());
        Self { scenario, played, took: started.elapsed() }
    }

    /// The first report with the expected code and severity.
    pub(crate) fn named(&self) -> Option<&Reported> {
        let (code, severity, cause) = match self.scenario.expected {
            Expected::Named { code, severity, cause, .. }
            | Expected::Hint { code, severity, cause } => (code, severity, cause),
            Expected::NotNamed { .. } | Expected::Quiet | Expected::FalseAlarm { .. } => {
                return None;
            }
        };
        let is_it = |one: &&Reported| {
            one.code == code && one.severity >= severity && one.summary.contains(cause)
        };
        self.active().find(is_it)
    }

    /// Milliseconds from the naming to the first refusal; negative if that was first.
    pub(crate) fn lead(&self) -> Option<i64> {
        let Expected::Named { .. } = self.scenario.expected else { return None };
        let fails = self.played.fails?;
        Some(fails * 1_000 - self.named()?.at.as_nanos() / 1_000_000)
    }

    /// The reports of findings, without those of their resolutions.
    fn active(&self) -> impl Iterator<Item = &Reported> {
        self.played.reports.iter().filter(|one| one.event != AlertEvent::Cleared)
    }

    /// The reports above info that are not expected: of another code, or of another cause.
    pub(crate) fn false_alarms(&self) -> Vec<&Reported> {
        let loud = self.active().filter(|one| one.severity > Severity::Info);
        loud.filter(|one| !self.is_expected(one)).collect()
    }

    fn is_expected(&self, one: &Reported) -> bool {
        match self.scenario.expected {
            Expected::Named { code, cause, also, .. } => {
                (one.code == code && one.summary.contains(cause)) || also.contains(&one.code)
            }
            Expected::Hint { code, severity, cause } => {
                one.code == code && severity > Severity::Info && one.summary.contains(cause)
            }
            Expected::NotNamed { .. } | Expected::Quiet | Expected::FalseAlarm { .. } => false,
        }
    }

    /// What differs from what is expected.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let fails = self.played.fails;
        let within = fails.filter(|at| *at <= self.played.end);
        let wrong = match self.scenario.expected {
            Expected::Quiet => within.map(|at| format!("a request fails at {at} s")),
            Expected::Hint { .. } => self.named().is_none().then(|| self.not_named()),
            Expected::NotNamed { .. } => self.unexpected(),
            Expected::Named { lead, .. } => self.wrong_lead(lead),
            Expected::FalseAlarm { code, times, .. } => return self.wrong_alarms(code, times),
        };
        let loud = self.false_alarms().into_iter().map(|one| format!("also {}", shown(one)));
        wrong.into_iter().chain(loud).map(|text| format!("{}: {text}", self.scenario.id)).collect()
    }

    /// What is reported although nothing should be, not even info: the board would hide it.
    fn unexpected(&self) -> Option<String> {
        let nothing_fails = self.played.fails.is_none().then(|| "nothing fails".to_owned());
        nothing_fails.or_else(|| self.active().next().map(|one| format!("named: {}", shown(one))))
    }

    fn wrong_alarms(&self, code: Code, times: usize) -> Vec<String> {
        let alarms = self.false_alarms();
        let raised = alarms.iter().filter(|one| one.event == AlertEvent::Raised).count();
        let is_known = raised == times && alarms.iter().all(|one| one.code == code);
        let shown = alarms.iter().map(|one| shown(one)).collect::<Vec<_>>().join("\n    ");
        let text = || format!("{}: {raised} alarms:\n    {shown}", self.scenario.id);
        (!is_known).then(text).into_iter().collect()
    }

    fn not_named(&self) -> String {
        let reports: Vec<String> = self.active().map(shown).collect();
        format!("not named; reported:\n    {}", reports.join("\n    "))
    }

    fn wrong_lead(&self, least: i64) -> Option<String> {
        match self.lead() {
            None if self.played.fails.is_none() => Some("nothing fails".to_owned()),
            None => Some(self.not_named()),
            Some(lead) if lead < least * 1_000 => Some(format!("{lead} ms, not {least} s")),
            Some(_) => None,
        }
    }
}

fn shown(one: &Reported) -> String {
    let (at, code, severity) = (one.at.as_secs_f64(), one.code.as_str(), one.severity.name());
    format!("{at:.0} s {severity} {code}: {}", one.summary)
}
