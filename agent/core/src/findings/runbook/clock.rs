//! Runbooks about clocks.

use super::Runbook;
use super::steps::{DAEMON, MEASURE, step};

pub(super) const CLOCK_OFFSET: Runbook = Runbook {
    impact: "From 60 s on, every pod of the node, because the API server's leeway is used up. \
             Below that, everything that compares this node's timestamps with others. If the node \
             is behind by a fifth of a token's lifetime, the token expires before kubelet replaces \
             it.",
    diagnosis: &[MEASURE, DAEMON],
    mitigation: &[
        step(
            "Let chrony step the clock, if it reaches several servers and most of them agree. One \
             server alone may be the one that is wrong",
            "chronyc makestep",
        ),
        step(
            "Or restart the time daemon",
            "systemctl restart chrony || systemctl restart chronyd || systemctl restart \
             systemd-timesyncd",
        ),
    ],
    resolved_when: "`tokenwatch clock` exits with 0. The finding clears one minute after the clock \
                    is right, so that it does not flap.",
    false_positives: "The only time server is wrong, or most are in the same way: compare with \
                      servers of another origin, `tokenwatch clock --server HOST`. Whoever can \
                      change packets on the way can forge all answers: the agent has no NTS. A \
                      node that just started or resumed is right again within minutes.",
};

pub(super) const CLOCK_UNSYNCHRONIZED: Runbook = Runbook {
    impact: "None yet. A clock that nothing synchronises drifts by seconds a day.",
    diagnosis: &[
        DAEMON,
        step(
            "Whether the kernel considers its clock synchronised",
            "timedatectl show -p NTPSynchronized",
        ),
    ],
    mitigation: &[step("Start the host's own time daemon", "timedatectl set-ntp true")],
    resolved_when: "`timedatectl show -p NTPSynchronized` prints NTPSynchronized=yes for 150 s. So \
                    a daemon that starts or polls seldom does not make the finding come and go.",
    false_positives: "Something synchronises the clock without informing the kernel: a hypervisor, \
                      or a daemon that does not use the kernel's discipline. `tokenwatch clock` \
                      shows whether the clock is right.",
};

pub(super) const CLOCK_STEPPED: Runbook = Runbook {
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

pub(super) const CLOCK_UNKNOWN: Runbook = Runbook {
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
    resolved_when: "`tokenwatch clock` exits with 0 or 1. The finding clears one minute after more \
                    than half of the servers have answered.",
    false_positives: "You configured no server on purpose. The severity is then info, and nothing \
                      needs to be done.",
};

pub(super) const CLOCK_SERVERS_DISAGREE: Runbook = Runbook {
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
    false_positives: "Some servers smear a leap second and others do not: two camps, at most a \
                      second apart, for about a day. The finding then names the leap second. Use \
                      servers of one kind.",
};
