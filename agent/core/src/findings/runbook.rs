//! The runbook of each code: the parts that the catalogue does not hold.

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

const TOKEN: Step = step(
    "The token as the agent sees it, with every deadline",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch explain \
     /host/var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
);
const VOLUME: Step = step(
    "The time of kubelet's last write, in the name of the directory that ..data points to",
    "ls -la /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/",
);
const KUBELET: Step = step(
    "What kubelet logged about this volume",
    "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|MountVolume.SetUp|UID\" | \
     tail -n 20",
);
const DESCRIBE: Step = step(
    "The pod, its events and the sources of its volumes",
    "kubectl describe pod -n NAMESPACE POD",
);
const ACCOUNT: Step = step(
    "Whether the pod's service account exists (without it, kubelet gets no token)",
    "kubectl get serviceaccount -n NAMESPACE \"$(kubectl get pod -n NAMESPACE POD -o \
     jsonpath='{.spec.serviceAccountName}')\"",
);
const READY: Step = step("Whether the API server answers", "kubectl get --raw '/readyz?verbose'");
const DELETE: Step = step(
    "Delete the pod, so that its controller starts a new one with a new token",
    "kubectl delete pod -n NAMESPACE POD",
);
const RESTART: Step =
    step("Restart kubelet, so that it requests every token again", "systemctl restart kubelet");
const MEASURE: Step = step(
    "The clock, measured now against each server",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch clock",
);
const DAEMON: Step = step(
    "The status of the time daemon",
    "chronyc tracking || timedatectl timesync-status || ntpq -p",
);
const LOOK: Step =
    step("Every token on the node, now", "kubectl exec -n tokenwatch AGENT -- tokenwatch check");

const fn step(what: &'static str, command: &'static str) -> Step {
    Step { what, command }
}

impl Code {
    /// The runbook of this code; `None` for a code that the agent does not detect yet.
    pub fn runbook(self) -> Option<&'static Runbook> {
        Some(match self {
            Self::RotationLate => &ROTATION_LATE,
            Self::RotationStalled => &ROTATION_STALLED,
            Self::Expired => &EXPIRED,
            Self::NotYetValid => &NOT_YET_VALID,
            Self::FutureDated => &FUTURE_DATED,
            Self::Malformed => &MALFORMED,
            Self::Unreadable => &UNREADABLE,
            Self::PodTerminating => &POD_TERMINATING,
            Self::ClockOffset => &CLOCK_OFFSET,
            Self::ClockUnsynchronized => &CLOCK_UNSYNCHRONIZED,
            Self::ClockStepped => &CLOCK_STEPPED,
            Self::ClockUnknown => &CLOCK_UNKNOWN,
            Self::ClockServersDisagree => &CLOCK_SERVERS_DISAGREE,
            Self::AgentBlind => &AGENT_BLIND,
            Self::DeliveryDelayed => &DELIVERY_DELAYED,
            Self::ReaderStale
            | Self::MountFrozen
            | Self::Subpath
            | Self::KeyUnknown
            | Self::IssuerMismatch
            | Self::AudienceUnknown
            | Self::SubjectReplaced
            | Self::ExtendedOnly
            | Self::Legacy
            | Self::LifetimeLong
            | Self::CopyStale
            | Self::ApiserverSkew
            | Self::ApiserverRejecting
            | Self::TokenControllerDown => return None,
        })
    }
}

const API_SERVER_CLOCK: Step = step(
    "The API server's clock, for comparison",
    "kubectl get --raw /version -v=8 2>&1 | grep -i date:",
);

const ROTATION_LATE: Runbook = Runbook {
    impact: "None yet. If the rotation stalls, the pod with this token is affected from the \
             finding's deadline on.",
    diagnosis: &[VOLUME, KUBELET],
    mitigation: &[],
    resolved_when: "The file holds a new token. The finding usually clears within one or two \
                    minutes.",
    false_positives: "kubelet was restarted or is busy with many pods, and catches up. A kubelet \
                      with a syncFrequency above its default of 1 minute is always late: set \
                      kubelet.sync_period to the same value.",
};

const ROTATION_STALLED: Runbook = Runbook {
    impact: "The pod gets 401 for every request with this token, from the finding's deadline on. A \
             token of the default lifetime (3607 s, extended to a year) keeps working at an API \
             server that extends tokens. The API server counts it as stale. A token for another \
             audience (a cloud, Vault, a mesh) has no extension: its verifier rejects it at once.",
    diagnosis: &[VOLUME, KUBELET, DESCRIBE, ACCOUNT, READY],
    mitigation: &[RESTART, DELETE],
    resolved_when: "The directory that ..data points to is newer than the repair, and `tokenwatch \
                    explain` reports the token as fresh. The event tokenwatch.finding.cleared \
                    arrives within seconds.",
    false_positives: "The pod is terminating and ends before the deadline: kubelet does not rotate \
                      the tokens of terminating pods.",
};

const EXPIRED: Runbook = Runbook {
    impact: "The pod gets 401 for every request with this token, at the latest 70 s after exp (60 \
             s leeway, 10 s cache). A client that holds an older copy in memory may have failed \
             earlier.",
    diagnosis: &[TOKEN, KUBELET, DESCRIBE, MEASURE],
    mitigation: &[RESTART, DELETE],
    resolved_when: "The file holds a fresh token, and the pod's requests succeed again. If the \
                    client does not read the file again, restart the container.",
    false_positives: "The pod does not use the token: it is mounted by default \
                      (automountServiceAccountToken), and the pod calls no API. Even so, kubelet \
                      has stopped serving this pod.",
};

const NOT_YET_VALID: Runbook = Runbook {
    impact: "The pod gets 401 (\"not valid yet\") now, from every verifier whose clock is right. \
             This lasts until the verifier's clock reaches the token's nbf, or until kubelet \
             replaces the token.",
    diagnosis: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    mitigation: &[
        step(
            "When the clocks agree, restart kubelet, so that it requests every token again",
            "systemctl restart kubelet",
        ),
        DELETE,
    ],
    resolved_when: "`tokenwatch explain` shows an issue time in the past, and the finding clears.",
    false_positives: "The node's clock is behind and the API server's clock is right. The token is \
                      then good, and the node needs the repair. If time servers confirm this, the \
                      agent raises clock.offset as well.",
};

const FUTURE_DATED: Runbook = Runbook {
    impact: "None yet. If the API server's clock is set back by more than a minute, it rejects \
             every token it signed before. This lasts until true time has caught up, and kubelet \
             does not replace the tokens.",
    diagnosis: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    mitigation: &[step(
        "On the control plane hosts, check the time daemon; let it slew the clock, do not step it \
         back",
        "chronyc tracking && chronyc sources",
    )],
    resolved_when: "New tokens are issued at the node's own time. The finding clears with the next \
                    rotation.",
    false_positives: "This node's clock is behind. If time servers confirm that, the agent raises \
                      clock.offset instead. If no server is configured, compare with `tokenwatch \
                      clock --server HOST`.",
};

const MALFORMED: Runbook = Runbook {
    impact: "The pod's next request fails: no API server accepts these bytes.",
    diagnosis: &[TOKEN, VOLUME],
    mitigation: &[DELETE],
    resolved_when: "`tokenwatch explain` decodes the file.",
    false_positives: "Somebody replaced the token with another kind of file on purpose.",
};

const UNREADABLE: Runbook = Runbook {
    impact: "None for the pod. The agent cannot report what happens to this token.",
    diagnosis: &[
        step(
            "Who may read the file",
            "namei -l /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
        ),
        step(
            "What the agent may do (DAC_READ_SEARCH is bit 2 of CapEff)",
            "grep Cap /proc/$(pgrep -xo tokenwatch)/status",
        ),
    ],
    mitigation: &[],
    resolved_when: "The finding clears at the agent's next full rescan, within two minutes \
                    (files.rescan).",
    false_positives: "None known: the agent waits for files that are being replaced and for \
                      terminating pods.",
};

const POD_TERMINATING: Runbook = Runbook {
    impact: "Requests from the terminating pod are rejected from the finding's deadline until the \
             pod ends. This affects its preStop hook and its shutdown.",
    diagnosis: &[
        step(
            "When the deletion started, and the grace period",
            "kubectl get pod -n NAMESPACE POD -o jsonpath='{.metadata.deletionTimestamp} \
             {.metadata.deletionGracePeriodSeconds}'",
        ),
        TOKEN,
    ],
    mitigation: &[],
    resolved_when: "The pod no longer exists.",
    false_positives: "The pod's shutdown needs no token. To avoid the finding, set a longer \
                      expirationSeconds in the volume (above the grace period divided by 0.2).",
};

const CLOCK_OFFSET: Runbook = Runbook {
    impact: "From 60 s on, every pod of the node, because the API server's leeway is used up. \
             Below that, everything that compares this node's timestamps with others. If the node \
             is behind by a fifth of a token's lifetime, the token expires before kubelet replaces \
             it.",
    diagnosis: &[MEASURE, DAEMON],
    mitigation: &[
        step("Let chrony step the clock, if it reaches its servers", "chronyc makestep"),
        step(
            "Or restart the time daemon",
            "systemctl restart chrony || systemctl restart chronyd || systemctl restart \
             systemd-timesyncd",
        ),
    ],
    resolved_when: "`tokenwatch clock` exits with 0. The finding clears one minute after the clock \
                    is right, so that it does not flap.",
    false_positives: "All time servers of the agent are wrong in the same way: compare with a \
                      server of another origin, `tokenwatch clock --server HOST`. A node that just \
                      started or resumed is right again within minutes.",
};

const CLOCK_UNSYNCHRONIZED: Runbook = Runbook {
    impact: "None yet. A clock that nothing synchronises drifts by seconds a day.",
    diagnosis: &[
        DAEMON,
        step(
            "Whether the kernel considers its clock synchronised",
            "timedatectl show -p NTPSynchronized",
        ),
    ],
    mitigation: &[step("Start the host's own time daemon", "timedatectl set-ntp true")],
    resolved_when: "`timedatectl show -p NTPSynchronized` prints NTPSynchronized=yes, some minutes \
                    after the daemon started.",
    false_positives: "Something synchronises the clock without informing the kernel: a hypervisor, \
                      or a daemon that does not use the kernel's discipline. `tokenwatch clock` \
                      shows whether the clock is right.",
};

const CLOCK_STEPPED: Runbook = Runbook {
    impact: "Everything that compares this node's timestamps across the step. Within two minutes, \
             kubelet replaces the tokens that became due because of it.",
    diagnosis: &[
        step(
            "What set the clock",
            "journalctl --since -15m -u chrony -u chronyd -u ntpd -u ntpsec -u systemd-timesyncd",
        ),
        MEASURE,
    ],
    mitigation: &[],
    resolved_when: "The finding clears by itself, after the agent has measured the clock again.",
    false_positives: "The first synchronisation after boot, a resumed virtual machine, or a leap \
                      second (the finding then names it as one).",
};

const CLOCK_UNKNOWN: Runbook = Runbook {
    impact: "None by itself. Verdicts near a deadline become uncertain, and the agent cannot \
             detect a clock that starts to go wrong.",
    diagnosis: &[
        MEASURE,
        DAEMON,
        step(
            "Which servers the agent uses, and where that setting comes from",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch config | grep -A5 clock",
        ),
    ],
    mitigation: &[step(
        "Try a server that the node should reach",
        "kubectl exec -n tokenwatch AGENT -- tokenwatch clock --server HOST",
    )],
    resolved_when: "`tokenwatch clock` exits with 0 or 1. The finding clears one minute after a \
                    server has answered.",
    false_positives: "You configured no server on purpose. The severity is then info, and nothing \
                      needs to be done.",
};

const CLOCK_SERVERS_DISAGREE: Runbook = Runbook {
    impact: "None while a majority decides. Without a majority, nothing can show whether the \
             node's clock is right.",
    diagnosis: &[
        MEASURE,
        step(
            "What the host's daemon thinks of its sources (x marks a falseticker)",
            "chronyc sources -v",
        ),
    ],
    mitigation: &[],
    resolved_when: "The server is repaired or no longer configured. The finding clears one minute \
                    later.",
    false_positives: "One server smears a leap second and others do not. This lasts about a day.",
};

const AGENT_BLIND: Runbook = Runbook {
    impact: "None for the pods. The agent cannot report what happens to the tokens of the pods \
             that the finding names.",
    diagnosis: &[
        LOOK,
        step(
            "How kubelet's directory is mounted into the agent (must be HostToContainer)",
            "kubectl get ds -A -l app.kubernetes.io/name=tokenwatch -o yaml | grep -B4 -A2 \
             mountPropagation",
        ),
        step(
            "What kubelet has mounted on the node",
            "findmnt -t tmpfs | grep kubernetes.io~projected",
        ),
    ],
    mitigation: &[step(
        "If the mounts were right when the finding was raised, restart the agent on this node",
        "kubectl delete pod -A -l app.kubernetes.io/name=tokenwatch --field-selector \
         spec.nodeName=NODE",
    )],
    resolved_when: "`tokenwatch check` lists the pods of the node, and the finding clears.",
    false_positives: "A pod is stuck while kubelet creates or deletes it, and kubelet itself has \
                      lost the volume.",
};

const DELIVERY_DELAYED: Runbook = Runbook {
    impact: "Alerts arrive late. The agent loses them if its memory for alerts is full, or if it \
             restarts.",
    diagnosis: &[
        step(
            "Where the agent sends alerts, and where that setting comes from",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch config | grep -A8 otlp",
        ),
        step(
            "Whether the collector runs",
            "kubectl get pod -n observability -l app.kubernetes.io/name=otel-collector",
        ),
        step(
            "Whether the collector's Service has endpoints",
            "kubectl get endpointslices -n observability -l \
             kubernetes.io/service-name=otel-collector",
        ),
        step(
            "What each of the collector's pods logs",
            "kubectl logs -n observability -l app.kubernetes.io/name=otel-collector --prefix \
             --since=15m --tail=30",
        ),
    ],
    mitigation: &[step(
        "Restart the collector",
        "kubectl rollout restart -n observability deploy/otel-collector",
    )],
    resolved_when: "The waiting alerts arrive, with the times at which they were raised, and this \
                    finding clears.",
    false_positives: "The collector is being rolled out. An alert that waits for a minute is not \
                      lost.",
};

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
            ["explain", "check", "clock", "config"]
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
