//! Codes about the node's clock and the time servers.

use super::Entry;

pub(super) const CLOCK_OFFSET: Entry = Entry {
    meaning: "This node's clock differs from true time by more than the limit. kubelet rotates \
            tokens by this clock, so rotations come early or late by the same amount. Timestamps \
            from this node are wrong.",
    found_by: "More than half of the configured time servers agree on an interval for the offset, \
            and the whole interval is beyond the limit (clock.offset_limit, default 500 ms). If a \
            single server is configured, its answer alone raises it, and changes no finding about \
            a token.",
    severity: "warning; critical from 60 s on, which is the API server's leeway, unless one server \
            alone shows it",
    action: "Repair time synchronisation on the node. Start with `chronyc tracking` and `chronyc \
            sources`, or `timedatectl timesync-status`. If only one server is configured, \
            compare it with others first: alone it does not show who is wrong.",
};

pub(super) const CLOCK_UNSYNCHRONIZED: Entry = Entry {
    meaning: "The kernel reports that no time daemon synchronises this clock. The clock may be \
            right now, but it will drift.",
    found_by: "adjtimex(2) has reported STA_UNSYNC or TIME_ERROR for 150 s, while time servers \
            confirm the clock's offset.",
    severity: "info; a clock that is off raises clock.offset instead, and a clock that no time \
            source confirms raises clock.unknown instead",
    action: "Start chrony, ntpd or systemd-timesyncd on the node.",
};

pub(super) const CLOCK_STEPPED: Entry = Entry {
    meaning: "The wall clock jumped. Tokens may look expired or issued in the future, although \
            nothing happened to them.",
    found_by: "The kernel cancelled a timer that watches for changes of the clock \
            (TFD_TIMER_CANCEL_ON_SET). The size of the step is the wall clock's change against \
            CLOCK_BOOTTIME.",
    severity: "info below 10 s, warning from 10 s on; always info while clock.offset is active, \
            which then carries the warning",
    action: "Find out what set the clock: a time daemon's first synchronisation, a resumed virtual \
            machine, or a person.",
};

pub(super) const CLOCK_UNKNOWN: Entry = Entry {
    meaning: "The agent judges tokens with an assumed error bound (clock.assumed_bound, default 5 \
            min). Verdicts near a deadline are uncertain.",
    found_by: "Half of the configured time servers or more gave no usable answer for long enough, \
            and the kernel neither confirms the clock nor the answers of the others. The finding \
            quotes each answer.",
    severity: "info if no server is configured; warning if configured servers do not answer",
    action: "Do what the finding names for each kind of failure: a server that answers without \
            having the time needs repair itself, one that does not answer needs a path to it.",
};

pub(super) const CLOCK_SERVERS_DISAGREE: Entry = Entry {
    meaning: "At least one time server is wrong. If a majority of the configured ones contradicts \
            it, the agent names that server and ignores it. Without a majority, the agent cannot \
            decide which server is right. Servers that agree among themselves form a camp, and the \
            finding names the camps. Around a leap second, servers that smear it and servers that \
            do not are two camps, and the finding names the leap second.",
    found_by: "The intervals of the servers' answers do not all intersect (RFC 5905, section \
            11.2.1). A name has one vote, however many addresses it has, and none if its addresses \
            contradict each other. A leap second counts as announced for a day after a server's \
            leap indicator or the kernel announced it.",
    severity: "warning",
    action: "Repair or remove the server that the finding names. Configure at least three servers, \
            all of one kind: do not mix servers that smear leap seconds with others.",
};
