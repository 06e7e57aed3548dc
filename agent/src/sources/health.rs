//! How a source reports whether it works: one observation for each change.

use tokenwatch_core::world::observation::{Observation, SourceState};

/// The sources, each under the name that findings, metrics and logs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Token files below the kubelet roots.
    Files,
    /// Inotify watches on their directories.
    Watch,
    /// Time servers.
    Ntp,
    /// The kernel's clock state.
    Kernel,
    /// This node's pods, from the Kubernetes API.
    Pods,
    /// Service accounts, from the Kubernetes API.
    ServiceAccounts,
    /// The watch of all service accounts.
    AccountWatch,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Watch => "watch",
            Self::Ntp => "ntp",
            Self::Kernel => "kernel",
            Self::Pods => "apiserver",
            Self::ServiceAccounts => "serviceaccounts",
            Self::AccountWatch => "accountwatch",
        }
    }
}

/// What a source last reported about itself.
#[derive(Debug)]
pub(super) struct Health {
    source: Source,
    /// None before the first report.
    reported: Option<SourceState>,
}

impl Health {
    /// Of a source that has reported nothing yet.
    pub(super) fn new(source: Source) -> Self {
        Self { source, reported: None }
    }

    /// The observation to send, if the state differs from the one reported last. `degraded` is a
    /// text about what does not work and what the agent does instead; none: the source works.
    pub(super) fn update(&mut self, degraded: Option<String>) -> Option<Observation> {
        let state = SourceState { source: self.source.name().to_owned(), degraded };
        if self.reported.as_ref() == Some(&state) {
            return None;
        }
        self.reported = Some(state.clone());
        Some(Observation::Source(state))
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
}
