//! One record that waits for a collector.

use tokenwatch_core::base::shares::Tenant;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::findings::{FindingId, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};

/// Refusals of one alert before it is dropped. At one try a minute that is four hours: by then the
/// default reminder has reported again what is still active.
pub(super) const MOST_REFUSALS: u16 = 240;

/// In the order in which the records of one pod are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Refused alone before.
    Isolated,
    /// An alert that repeats another.
    Reminder,
    /// An alert of severity info.
    Info,
    /// Any other alert that a finding is active, and every span.
    Ordinary,
    /// An alert that a finding is resolved: nothing else would ever report that.
    Cleared,
}

pub(super) const CLASSES: usize = 5;

impl Class {
    pub(super) fn of(alert: &Alert) -> Self {
        match (alert.event, alert.finding.severity) {
            (AlertEvent::Reminded, _) => Self::Reminder,
            (AlertEvent::Cleared, _) => Self::Cleared,
            (AlertEvent::Raised, Severity::Info) => Self::Info,
            (AlertEvent::Raised, Severity::Warning | Severity::Critical) => Self::Ordinary,
        }
    }
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) id: FindingId,
    /// What it reports to a collector that gets it and all that waits before it.
    pub(super) event: AlertEvent,
    /// The pod, whose share of the memory the alert takes.
    pub(super) tenant: Tenant,
}

impl About {
    pub(super) fn of(alert: &Alert) -> Self {
        let tenant = match &alert.finding.subject {
            Subject::Token { pod, .. } => {
                // A file can claim any namespace.
                let namespace = pod.namespace.clone().filter(|_| !pod.is_claimed);
                Tenant { namespace, pod: Some(pod.uid.clone()) }
            }
            Subject::Node { .. } | Subject::Server { .. } | Subject::File { .. } => {
                Tenant::default()
            }
        };
        Self { id: alert.id.clone(), event: alert.event, tenant }
    }

    fn bytes(&self) -> usize {
        let length = |text: Option<&String>| text.map_or(0, String::len);
        self.id.0.len() + length(self.tenant.pod.as_ref()) + length(self.tenant.namespace.as_ref())
    }
}

/// One record that waits. Encoded, because that is a third of the memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) class: Class,
    pub(super) number: u64,
    pub(super) since: Reading,
    record: Vec<u8>,
    /// None for a span.
    about: Option<About>,
    pub(super) refused: Option<Refused>,
}

/// How often a record was refused alone, and how many others the collector had accepted by the
/// first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) times: u16,
    pub(super) accepted: u64,
}

impl Entry {
    pub(super) fn new(
        class: Class,
        number: u64,
        since: Reading,
        record: Vec<u8>,
        about: Option<About>,
    ) -> Self {
        Self { class, number, since, record, about, refused: None }
    }

    /// The encoded record.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// What the alert is about; none for a span.
    pub(super) fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// The same, to be changed when an earlier alert about the finding is lost.
    pub(super) fn about_mut(&mut self) -> Option<&mut About> {
        self.about.as_mut()
    }

    /// Who uses the memory.
    pub(super) fn tenant(&self) -> Tenant {
        self.about.as_ref().map_or_else(Tenant::default, |about| about.tenant.clone())
    }

    /// Whether it uses the memory of this pod; none for the node.
    pub(super) fn is_of(&self, pod: Option<&str>) -> bool {
        self.about.as_ref().and_then(|about| about.tenant.pod.as_deref()) == pod
    }

    /// Whether it is an alert about this finding.
    pub(super) fn is_about(&self, id: &FindingId) -> bool {
        self.about.as_ref().is_some_and(|about| about.id == *id)
    }

    /// Whether it was refused alone before.
    pub(super) fn is_isolated(&self) -> bool {
        self.class == Class::Isolated
    }

    /// Whether the collector will refuse it each time, given that it refused it again and has
    /// accepted `accepted` others so far.
    pub(super) fn is_hopeless(&self, accepted: u64) -> bool {
        self.refused
            .is_some_and(|refused| accepted > refused.accepted || refused.times >= MOST_REFUSALS)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.record.len() + self.about.as_ref().map_or(0, About::bytes)
    }
}
