//! The runbook of each code: the parts that the catalogue does not hold.

mod agent;
mod clock;
mod cluster;
mod copy;
mod posture;
mod reader;
mod steps;
mod token;

use super::Code;

/// A command, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the command shows or does.
    pub what: &'static str,
    /// The command to paste. NAMESPACE, POD, NODE, UID and VOLUME come from the finding; AGENT is
    /// the agent's pod on that node.
    pub command: &'static str,
}

/// The runbook of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// What fails, and when.
    pub impact: &'static str,
    /// Commands that show the cause without the agent's help.
    pub diagnosis: &'static [Step],
    /// Commands that mitigate, after the catalogue's action.
    pub mitigation: &'static [Step],
    /// How to recognise that the finding is resolved.
    pub resolved_when: &'static str,
    /// When the agent raises the finding although nothing needs to be done.
    pub false_positives: &'static str,
}

impl Code {
    /// The runbook of this code; `None` for a code that the agent does not detect yet.
    pub fn runbook(self) -> Option<&'static Runbook> {
        Some(match self {
            Self::RotationLate => &token::ROTATION_LATE,
            Self::RotationStalled => &token::ROTATION_STALLED,
            Self::Expired => &token::EXPIRED,
            Self::NotYetValid => &token::NOT_YET_VALID,
            Self::FutureDated => &token::FUTURE_DATED,
            Self::Malformed => &token::MALFORMED,
            Self::Unreadable => &token::UNREADABLE,
            Self::Missing => &token::MISSING,
            Self::ReaderStale => &reader::READER_STALE,
            Self::MountFrozen => &reader::MOUNT_FROZEN,
            Self::Subpath => &token::SUBPATH,
            Self::PodTerminating => &token::POD_TERMINATING,
            Self::SubjectReplaced => &token::SUBJECT_REPLACED,
            Self::KeyUnknown => &cluster::KEY_UNKNOWN,
            Self::IssuerMismatch => &cluster::ISSUER_MISMATCH,
            Self::AudienceUnknown => &posture::AUDIENCE_UNKNOWN,
            Self::ExtendedOnly => &posture::EXTENDED_ONLY,
            Self::Legacy => &posture::LEGACY,
            Self::LifetimeLong => &posture::LIFETIME_LONG,
            Self::ClockOffset => &clock::CLOCK_OFFSET,
            Self::ClockUnsynchronized => &clock::CLOCK_UNSYNCHRONIZED,
            Self::ClockStepped => &clock::CLOCK_STEPPED,
            Self::ClockUnknown => &clock::CLOCK_UNKNOWN,
            Self::ClockServersDisagree => &clock::CLOCK_SERVERS_DISAGREE,
            Self::KubeletStalled => &cluster::KUBELET_STALLED,
            Self::ApiserverSkew => &cluster::APISERVER_SKEW,
            Self::ApiserverRejecting => &cluster::APISERVER_REJECTING,
            Self::TokenControllerDown => &cluster::TOKEN_CONTROLLER_DOWN,
            Self::CopyStale => &copy::COPY_STALE,
            Self::AgentBlind => &agent::AGENT_BLIND,
            Self::DeliveryDelayed => &agent::DELIVERY_DELAYED,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_the_agent_detects_has_a_runbook() {
        for code in Code::ALL {
            assert!(code.is_reserved() || code.runbook().is_some(), "{code} has no runbook");
        }
    }

    fn commands() -> impl Iterator<Item = &'static str> {
        let runbooks = Code::ALL.iter().filter_map(|code| code.runbook());
        runbooks
            .flat_map(|runbook| runbook.diagnosis.iter().chain(runbook.mitigation))
            .map(|step| step.command)
    }

    /// With the chart, tokenwatch exists only in the agent's pod, where the host's files are under
    /// /host.
    #[test]
    fn tokenwatch_runs_in_the_agents_pod_with_paths_of_that_pod() {
        let is_ours = |command: &&str| {
            ["explain", "check", "clock", "config", "readers"]
                .iter()
                .any(|name| command.contains(&format!("tokenwatch {name}")))
        };
        let ours: Vec<&str> = commands().filter(is_ours).collect();
        assert!(ours.len() > 5, "{ours:?}");
        for command in ours {
            assert!(
                command.starts_with("kubectl exec -n tokenwatch AGENT -- tokenwatch "),
                "{command}"
            );
            assert!(!command.contains(" /var/lib/"), "{command}");
        }
    }

    /// The Service of deploy/collector has no labels, and its Deployment has two pods.
    #[test]
    fn commands_select_the_collector_by_labels_that_exist() {
        let of_collector: Vec<&str> =
            commands().filter(|command| command.contains("-n observability")).collect();
        assert!(of_collector.iter().any(|command| command.contains("get endpointslices")
            && command.contains("kubernetes.io/service-name=")));
        for command in of_collector {
            assert!(!command.contains("endpoints "), "{command}");
            assert!(
                !command.contains("logs")
                    || command.contains("-l app.kubernetes.io/name=otel-collector --prefix"),
                "{command}"
            );
        }
    }

    #[test]
    fn every_command_is_one_line() {
        for code in Code::ALL {
            let Some(runbook) = code.runbook() else { continue };
            assert!(!runbook.diagnosis.is_empty(), "{code}: no diagnosis");
            for step in runbook.diagnosis.iter().chain(runbook.mitigation) {
                assert!(
                    !step.command.is_empty()
                        && !step.command.contains('\n')
                        && !step.what.ends_with('.'),
                    "{code}: {step:?}"
                );
            }
        }
    }
}
