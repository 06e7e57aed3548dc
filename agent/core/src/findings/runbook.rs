//! What somebody who was woken by a finding needs besides the catalogue: who is hurt, how to check
//! by hand, when it is over, when it is no fault.

use super::Code;

/// A command, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it shows or does.
    pub what: &'static str,
    /// To be pasted, with NAMESPACE, POD, NODE, UID and VOLUME filled in from the finding; AGENT
    /// is the agent's pod on that node.
    pub command: &'static str,
}

/// A runbook's part that is about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// Who is hurt, and when.
    pub hurts: &'static str,
    /// How to see it without the agent's word.
    pub check: &'static [Step],
    /// What to do, as commands.
    pub repair: &'static [Step],
    /// How one knows that it is over.
    pub over: &'static str,
    /// When it is said and nothing has to be done.
    pub false_alarm: &'static str,
}

const TOKEN: Step = step(
    "The token as the agent sees it, with every deadline",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch explain \
     /host/var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
);
const VOLUME: Step = step(
    "When kubelet last wrote the volume: the folder that ..data leads to is named after that \
     moment",
    "ls -la /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/",
);
const KUBELET: Step = step(
    "kubelet's own words about it",
    "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|MountVolume.SetUp|UID\" \
     | tail -n 20",
);
const DESCRIBE: Step =
    step("The pod, its events and its volumes' sources", "kubectl describe pod -n NAMESPACE POD");
const ACCOUNT: Step = step(
    "Whether its service account still exists: without it kubelet gets no token",
    "kubectl get serviceaccount -n NAMESPACE \"$(kubectl get pod -n NAMESPACE POD -o \
     jsonpath='{.spec.serviceAccountName}')\"",
);
const READY: Step = step("Whether the API server answers", "kubectl get --raw '/readyz?verbose'");
const DELETE: Step = step(
    "Have the pod made anew, with a new token; its controller starts another one",
    "kubectl delete pod -n NAMESPACE POD",
);
const RESTART: Step = step("Have kubelet ask for every token anew", "systemctl restart kubelet");
const MEASURE: Step = step(
    "The clock, server by server, measured now",
    "kubectl exec -n tokenwatch AGENT -- tokenwatch clock",
);
const DAEMON: Step =
    step("What the time daemon says", "chronyc tracking || timedatectl timesync-status || ntpq -p");
const LOOK: Step =
    step("Every token on the node, now", "kubectl exec -n tokenwatch AGENT -- tokenwatch check");

const fn step(what: &'static str, command: &'static str) -> Step {
    Step { what, command }
}

impl Code {
    /// Its runbook; nothing for a code that nothing looks for.
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
    "The API server's clock, to compare",
    "kubectl get --raw /version -v=8 2>&1 | grep -i date:",
);

const ROTATION_LATE: Runbook = Runbook {
    hurts: "Nobody yet. What it may become hurts the one pod whose token it is, from the \
            finding's deadline on.",
    check: &[VOLUME, KUBELET],
    repair: &[],
    over: "The file holds a new token: the finding clears itself, usually within a minute or two.",
    false_alarm: "kubelet was restarted, or is busy with many pods: it catches up. A kubelet with \
                  a syncFrequency above its default of 1 minute is late by nature; tell the agent \
                  (kubelet.sync_period).",
};

const ROTATION_STALLED: Runbook = Runbook {
    hurts: "The pod, from the finding's deadline on: every request with this token gets 401. A \
            token of the default lifetime (3607 s, extended to a year) goes on working at an API \
            server that extends, which counts it as stale; a token for another audience (a cloud, \
            Vault, a mesh) is refused there at once.",
    check: &[VOLUME, KUBELET, DESCRIBE, ACCOUNT, READY],
    repair: &[RESTART, DELETE],
    over: "..data leads to a folder made after the repair, `tokenwatch explain` says that the \
           token is fresh, and tokenwatch.finding.cleared arrives within seconds.",
    false_alarm: "The pod is being deleted, and ends before the deadline: kubelet rotates nothing \
                  for terminating pods.",
};

const EXPIRED: Runbook = Runbook {
    hurts: "The pod, now: every request with this token gets 401, within 70 s of its exp (60 s \
            leeway, 10 s of cache). A client that holds an older copy in memory may have failed \
            before.",
    check: &[TOKEN, KUBELET, DESCRIBE, MEASURE],
    repair: &[RESTART, DELETE],
    over: "The file holds a token that is fresh, and the pod's requests are answered again; \
           restart the container if its client never reads the file anew.",
    false_alarm: "Nobody uses the token: the pod has it mounted by default \
                  (automountServiceAccountToken) and talks to no API. It still says that kubelet \
                  stopped serving this pod.",
};

const NOT_YET_VALID: Runbook = Runbook {
    hurts: "The pod, now, wherever the verifier's clock is right: 401 \"not valid yet\". It lasts \
            until the verifier's clock reaches the token's nbf, or until the token is replaced.",
    check: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    repair: &[
        step(
            "Once the clocks agree, have kubelet ask for every token anew",
            "systemctl restart kubelet",
        ),
        DELETE,
    ],
    over: "`tokenwatch explain` shows an issue time that is past, and the finding clears.",
    false_alarm: "The node's clock is behind and the API server's is right: then the token is \
                  good, and what wants repair is the node (clock.offset says so beside it, where \
                  time servers tell).",
};

const FUTURE_DATED: Runbook = Runbook {
    hurts: "Nobody yet. If the API server's clock is set right, by more than a minute, every \
            token it signed before is refused until true time has caught up, and kubelet does not \
            replace it.",
    check: &[TOKEN, MEASURE, API_SERVER_CLOCK],
    repair: &[step(
        "On the control plane's hosts: what their time daemon says; let it slew, do not step it \
         back",
        "chronyc tracking && chronyc sources",
    )],
    over: "New tokens are issued at the node's own time, and the finding clears with the next \
           rotation.",
    false_alarm: "This node's clock is behind: clock.offset says so where time servers tell, and \
                  then this is not said. Where none are configured, `tokenwatch clock --server \
                  HOST` decides.",
};

const MALFORMED: Runbook = Runbook {
    hurts: "The pod, with its next request: no API server accepts these bytes.",
    check: &[TOKEN, VOLUME],
    repair: &[DELETE],
    over: "`tokenwatch explain` decodes the file.",
    false_alarm: "Something else than a service-account token was put where one was before, on \
                  purpose.",
};

const UNREADABLE: Runbook = Runbook {
    hurts: "Nobody by itself. Whatever happens to this token goes unsaid.",
    check: &[
        step(
            "Who may read it",
            "namei -l /var/lib/kubelet/pods/UID/volumes/kubernetes.io~projected/VOLUME/token",
        ),
        step(
            "What the agent may do: DAC_READ_SEARCH is bit 2 of CapEff",
            "grep Cap /proc/$(pgrep -xo tokenwatch)/status",
        ),
    ],
    repair: &[],
    over: "The finding clears with the agent's next look, within two minutes (files.rescan).",
    false_alarm: "None is known: a file that is being replaced, or a pod that is going, is waited \
                  for.",
};

const POD_TERMINATING: Runbook = Runbook {
    hurts: "The pod that is shutting down, from the finding's deadline until its end: what its \
            preStop hook or its shutdown asks of an API is refused.",
    check: &[
        step(
            "When it was told to go, and how long it may take",
            "kubectl get pod -n NAMESPACE POD -o jsonpath='{.metadata.deletionTimestamp} \
             {.metadata.deletionGracePeriodSeconds}'",
        ),
        TOKEN,
    ],
    repair: &[],
    over: "The pod is gone.",
    false_alarm: "The pod's shutdown needs no token. A longer expirationSeconds in its volume \
                  (above the grace period divided by 0.2) keeps this from being said again.",
};

const CLOCK_OFFSET: Runbook = Runbook {
    hurts: "From 60 s on every pod of the node, for the API server's leeway is used up; before \
            that, whoever compares this node's times with others'. A node that is behind by a \
            fifth of a token's lifetime lets it expire before kubelet replaces it.",
    check: &[MEASURE, DAEMON],
    repair: &[
        step("Let chrony step the clock, if it sees its servers", "chronyc makestep"),
        step(
            "Or restart what keeps the clock",
            "systemctl restart chrony || systemctl restart chronyd || systemctl restart \
             systemd-timesyncd",
        ),
    ],
    over: "`tokenwatch clock` exits with 0; the finding clears a minute after the clock is right, \
           so that it does not flap.",
    false_alarm: "The time servers that the agent asks are wrong together: compare with one of \
                  another origin, `tokenwatch clock --server HOST`. A node that was just resumed \
                  or started is right within minutes.",
};

const CLOCK_UNSYNCHRONIZED: Runbook = Runbook {
    hurts: "Nobody yet: a clock that nobody keeps drifts by seconds a day.",
    check: &[
        DAEMON,
        step(
            "Whether the kernel is told that its clock is kept",
            "timedatectl show -p NTPSynchronized",
        ),
    ],
    repair: &[step("Switch the host's own time daemon on", "timedatectl set-ntp true")],
    over: "timedatectl says NTPSynchronized=yes, some minutes after the daemon was started.",
    false_alarm: "The clock is kept by what does not tell the kernel: a hypervisor, or a daemon \
                  that steers with the kernel's discipline off. `tokenwatch clock` tells whether \
                  it is right.",
};

const CLOCK_STEPPED: Runbook = Runbook {
    hurts: "Whoever trusts this node's times across the step. kubelet replaces what has come due \
            by it within two minutes.",
    check: &[
        step(
            "Who set it",
            "journalctl --since -15m -u chrony -u chronyd -u ntpd -u ntpsec -u systemd-timesyncd",
        ),
        MEASURE,
    ],
    repair: &[],
    over: "By itself, once the clock was measured after the step.",
    false_alarm: "A first synchronisation after boot, a resumed virtual machine, or a leap second \
                  (which is told as one).",
};

const CLOCK_UNKNOWN: Runbook = Runbook {
    hurts: "Nobody by itself. Verdicts near a deadline become uncertain, and a clock that goes \
            wrong now is not seen.",
    check: &[
        MEASURE,
        DAEMON,
        step(
            "Which servers the agent asks, and by whose word",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch config | grep -A5 clock",
        ),
    ],
    repair: &[step(
        "Try a server that the node should reach",
        "kubectl exec -n tokenwatch AGENT -- tokenwatch clock --server HOST",
    )],
    over: "`tokenwatch clock` exits with 0 or 1; the finding clears a minute after a server has \
           answered.",
    false_alarm: "No server is configured and none is wanted: then it is only info, and can be \
                  left.",
};

const CLOCK_SERVERS_DISAGREE: Runbook = Runbook {
    hurts: "Nobody as long as a majority decides. Where none does, nobody can say whether the \
            node is right.",
    check: &[
        MEASURE,
        step(
            "What the host's daemon thinks of its sources (x is a falseticker)",
            "chronyc sources -v",
        ),
    ],
    repair: &[],
    over: "The server was repaired or is asked no more; the finding clears a minute later.",
    false_alarm: "A server that smears a leap second, beside others that do not, for a day around \
                  it.",
};

const AGENT_BLIND: Runbook = Runbook {
    hurts: "Nobody by itself. Whatever happens to the tokens of the pods that it names goes \
            unsaid.",
    check: &[
        LOOK,
        step(
            "How kubelet's directory is mounted for the agent: it wants HostToContainer",
            "kubectl get ds -A -l app.kubernetes.io/name=tokenwatch -o yaml | grep -B4 -A2 \
             mountPropagation",
        ),
        step(
            "What kubelet has mounted on the node",
            "findmnt -t tmpfs | grep kubernetes.io~projected",
        ),
    ],
    repair: &[step(
        "If its mounts were right when it was written, start the agent of this node anew",
        "kubectl delete pod -A -l app.kubernetes.io/name=tokenwatch --field-selector \
         spec.nodeName=NODE",
    )],
    over: "`tokenwatch check` lists the pods of the node, and the finding clears.",
    false_alarm: "A pod that is stuck in being made or deleted, whose volume kubelet itself has \
                  lost.",
};

const DELIVERY_DELAYED: Runbook = Runbook {
    hurts: "Whoever relies on the alerts: they wait on the node, and are lost when the agent's \
            memory for them is full or the agent is restarted.",
    check: &[
        step(
            "Where alerts go, and by whose word",
            "kubectl exec -n tokenwatch AGENT -- tokenwatch config | grep -A8 otlp",
        ),
        step(
            "Whether the collector is there",
            "kubectl get pod -n observability -l app.kubernetes.io/name=otel-collector",
        ),
        step(
            "Whether its Service leads to it",
            "kubectl get endpointslices -n observability -l \
             kubernetes.io/service-name=otel-collector",
        ),
        step(
            "What each of its pods says",
            "kubectl logs -n observability -l app.kubernetes.io/name=otel-collector --prefix \
             --since=15m --tail=30",
        ),
    ],
    repair: &[step(
        "Start the collector anew",
        "kubectl rollout restart -n observability deploy/otel-collector",
    )],
    over: "The waiting alerts arrive, with the times at which they were raised, and this one \
           clears.",
    false_alarm: "The collector is being rolled out: a minute's wait is no loss.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_is_looked_for_has_a_runbook() {
        for code in Code::ALL {
            assert!(code.is_reserved() || code.runbook().is_some(), "{code} has no runbook");
        }
    }

    fn commands() -> impl Iterator<Item = &'static str> {
        let runbooks = Code::ALL.iter().filter_map(|code| code.runbook());
        runbooks
            .flat_map(|runbook| runbook.check.iter().chain(runbook.repair))
            .map(|step| step.command)
    }

    /// With the chart the agent's pod is the only place where there is a tokenwatch, and the host's
    /// files are under /host there.
    #[test]
    fn tokenwatch_is_run_where_it_is_and_files_are_named_as_they_are_there() {
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
    fn the_collector_is_asked_for_by_labels_that_are_there() {
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
    fn commands_are_one_line_each_and_none_is_empty() {
        for code in Code::ALL {
            let Some(runbook) = code.runbook() else { continue };
            assert!(!runbook.check.is_empty(), "{code}: nothing to check by hand");
            for step in runbook.check.iter().chain(runbook.repair) {
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
