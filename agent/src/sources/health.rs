//! How a source reports whether it works: one observation for each change.

use tokenwatch_core::world::observation::{Observation, SourceState};

use crate::clocks;
use crate::kubernetes::ErrorKind;
use crate::recurring::{Notice, Recurring, gist};

/// The sources, each under the name that findings, metrics and logs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Token files below the kubelet roots.
    Files,
    /// Inotify watches on their directories.
    Watch,
    /// Who opens token files.
    Readers,
    /// Copies of tokens on the host.
    Copies,
    /// Time servers.
    Ntp,
    /// The kernel's clock state.
    Kernel,
    /// Processes of this node's pods.
    Processes,
    /// This node's pods, from the Kubernetes API.
    Pods,
    /// Service accounts, from the Kubernetes API.
    ServiceAccounts,
    /// The keys of the API server, from the Kubernetes API.
    Keys,
    /// The watch of all service accounts.
    AccountWatch,
    /// The lease of the controller manager.
    ControllerLease,
    /// Fanotify events about who opens tokens.
    Openers,
    /// The logs of an API server on this node.
    ServerLogs,
    /// The journal of systemd, for the messages of an API server.
    ServerJournal,
    /// The pods with the addresses of refused requests, from the Kubernetes API.
    PodAddresses,
    /// Log files of kubelet.
    KubeletLog,
    /// The journal of systemd.
    Journal,
    /// Events of the pods, from the Kubernetes API.
    PodEvents,
    /// kubelet's metrics.
    KubeletMetrics,
}

impl Source {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Watch => "watch",
            Self::Readers => "readers",
            Self::Copies => "copies",
            Self::Ntp => "ntp",
            Self::Kernel => "kernel",
            Self::Processes => "processes",
            Self::Pods => "apiserver",
            Self::ServiceAccounts => "serviceaccounts",
            Self::Keys => "keys",
            Self::AccountWatch => "accountwatch",
            Self::ControllerLease => "controllerlease",
            Self::Openers => "fanotify",
            Self::ServerLogs => "serverlogs",
            Self::ServerJournal => "serverjournal",
            Self::PodAddresses => "podaddresses",
            Self::KubeletLog => "kubeletlog",
            Self::Journal => "journal",
            Self::PodEvents => "podevents",
            Self::KubeletMetrics => "kubeletmetrics",
        }
    }
}

/// What makes a source degraded: the same for the same trouble, whatever its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A request to the API server failed.
    Api(ErrorKind),
    /// No time server gave a usable response; the first failed of this (`error.type`).
    Ntp(&'static str),
    /// Anything else, without what differs each time.
    Text(String),
}

/// What a source last reported about itself.
#[derive(Debug)]
pub(super) struct Health {
    source: Source,
    /// None before the first report.
    works: Option<bool>,
    trouble: Recurring<Meaning>,
}

impl Health {
    /// Of a source that has reported nothing yet.
    pub(super) fn new(source: Source) -> Self {
        Self { source, works: None, trouble: Recurring::default() }
    }

    /// The observation to send, if the state differs from the one reported last. `degraded` is a
    /// text about what does not work and what the agent does instead; none: the source works.
    pub(super) fn update(&mut self, degraded: Option<String>) -> Option<Observation> {
        match degraded {
            Some(text) => self.degraded(Meaning::Text(gist(&text)), text),
            None => self.recovered(),
        }
    }

    /// The same of a source that does not work, for a reason that has a kind.
    pub(super) fn degraded(&mut self, meaning: Meaning, text: String) -> Option<Observation> {
        let notice = self.trouble.failed(meaning, clocks::timer());
        let is_new = self.works.replace(false) != Some(false);
        let text = match notice {
            Some(Notice::Lasts(outage)) => format!("{text} ({} failures so far)", outage.failures),
            Some(Notice::Begins) | None => text,
        };
        (is_new || notice.is_some()).then(|| self.observation(Some(text)))
    }

    fn recovered(&mut self) -> Option<Observation> {
        let _ = self.trouble.succeeded(clocks::timer()); // that it works is reported in any case
        let is_new = self.works.replace(true) != Some(true);
        is_new.then(|| self.observation(None))
    }

    fn observation(&self, degraded: Option<String>) -> Observation {
        Observation::Source(SourceState { source: self.source.name().to_owned(), degraded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_reported_once() {
        let mut health = Health::new(Source::Ntp);
        let because = |reason: &str| Some(reason.to_owned());
        let state = |degraded: Option<&str>| {
            let degraded = degraded.map(ToOwned::to_owned);
            Some(Observation::Source(SourceState { source: "ntp".to_owned(), degraded }))
        };
        assert_eq!(health.update(None), state(None), "that it works is reported first");
        assert_eq!(health.update(None), None);
        assert_eq!(health.update(because("a")), state(Some("a")));
        assert_eq!(health.update(because("a")), None);
        assert_eq!(health.update(because("b")), state(Some("b")), "another reason is a change");
        assert_eq!(health.update(None), state(None));
    }
    #[test]
    fn a_text_that_differs_in_a_number_is_no_change() {
        let mut health = Health::new(Source::Watch);
        let mut reports = |text: &str| health.update(Some(text.to_owned())).is_some();
        assert!(reports("3 of 40 directories are not watched (port 51234)"));
        assert!(!reports("5 of 41 directories are not watched (port 40112)"));
        assert!(reports("no inotify instance"));
    }

    #[test]
    fn a_failure_with_a_kind_is_reported_once_whatever_its_text() {
        let mut health = Health::new(Source::Pods);
        let busy = Meaning::Api(ErrorKind::Refused(503));
        assert!(health.degraded(busy.clone(), "etcd is slow".to_owned()).is_some());
        assert!(health.degraded(busy.clone(), "apiserver not ready".to_owned()).is_none());
        let forbidden = Meaning::Api(ErrorKind::Refused(403));
        assert!(health.degraded(forbidden, "forbidden".to_owned()).is_some());
        assert!(health.degraded(busy.clone(), "busy".to_owned()).is_none(), "known already");
        assert!(health.update(None).is_some());
        assert!(health.degraded(busy, "busy".to_owned()).is_some(), "after a recovery");
    }
}
