//! Remedies for faults of the clock: what to do fits the cause, and a command exists where one
//! helps.

use std::collections::BTreeSet;

use crate::findings::{ClockFault, Remedy};
use crate::world::clocks::{ClockFacts, ExchangeError, ServerName};

/// Prints what the time daemon of a host thinks of its sources.
const ASK_DAEMON: &str = "chronyc tracking || timedatectl timesync-status || ntpq -p";
/// Why an answer is not enough.
const MAJORITY: &str = "More than half of the configured time servers must answer, or a time \
                        daemon on this node must agree with those that do.";
const MEASURE: &str = "tokenwatch clock";
const MEASURE_OTHER: &str = "tokenwatch clock --server HOST";

/// The remedy for a fault of a clock.
pub(super) fn of_clock(fault: &ClockFault, facts: &ClockFacts<'_>) -> Remedy {
    match fault {
        ClockFault::Offset => of_offset(facts),
        ClockFault::Unsynchronized => remedy(
            "Start chrony, ntpd or systemd-timesyncd on this node.",
            "timedatectl set-ntp true",
        ),
        ClockFault::Stepped(_) => remedy(
            "Find what set the clock: the first synchronisation of a time daemon, a resumed \
             virtual machine, or a person.",
            "journalctl --since -15m -u chrony -u chronyd -u ntpd -u ntpsec -u systemd-timesyncd",
        ),
        ClockFault::LeapSecond(_) => Remedy {
            text: "No action needed: the clock followed an announced leap second.".to_owned(),
            command: None,
        },
        ClockFault::Unknown => of_unknown(facts),
        ClockFault::Contradiction | ClockFault::SecondCamp => of_camps(facts),
        ClockFault::Falseticker { .. } if facts.smear(&facts.camps()).is_some() => one_kind(),
        ClockFault::Falseticker { .. } => remedy(
            "Repair this server, or remove it from clock.servers and from the configuration of \
             the time daemon.",
            MEASURE,
        ),
    }
}

fn remedy(text: &str, command: &str) -> Remedy {
    Remedy { text: text.to_owned(), command: Some(command.to_owned()) }
}

/// One server proves nothing about who is wrong: nobody should correct a clock by it alone.
fn of_offset(facts: &ClockFacts<'_>) -> Remedy {
    if facts.only_server().is_some() {
        return remedy(
            "Find out which of the two is wrong before you correct either: compare with servers \
             of another origin, and name at least three in clock.servers.",
            MEASURE_OTHER,
        );
    }
    if facts.kernel_synchronised() == Some(false) {
        return remedy(
            "Start a time daemon on this node, or repair the one that runs: the kernel reports \
             that none disciplines the clock. Then let the daemon step the clock.",
            ASK_DAEMON,
        );
    }
    remedy(
        "Repair time synchronisation on this node: check the sources of its time daemon, then let \
         the daemon step the clock.",
        ASK_DAEMON,
    )
}

/// Servers that smear leap seconds, and servers that do not.
fn one_kind() -> Remedy {
    remedy(
        "Use at least three servers, all of one kind, in clock.servers and for the time daemon: \
         either all smear leap seconds (as clouds and large vendors do), or none does. Outside of \
         a leap second, find out which of them are wrong: compare with servers of another origin.",
        MEASURE_OTHER,
    )
}

fn of_camps(facts: &ClockFacts<'_>) -> Remedy {
    let camps = facts.camps();
    if facts.smear(&camps).is_some() {
        return one_kind();
    }
    if facts.split().next().is_some() {
        return remedy(
            "Find out which addresses of the name are wrong: compare with servers of another \
             origin. If the name stands for independent servers, name it in clock.pools.",
            MEASURE_OTHER,
        );
    }
    if camps.iter().any(|camp| !camp.is_one_voter()) {
        return remedy(
            "Find out which camp is wrong: compare with servers of another origin. Servers that \
             follow the same source count as one.",
            MEASURE_OTHER,
        );
    }
    remedy(
        "Configure at least three time servers, so that the others outvote one that is wrong.",
        MEASURE,
    )
}

/// What to do about each kind of failure, once, in a fixed order.
fn of_unknown(facts: &ClockFacts<'_>) -> Remedy {
    if !facts.servers_configured() {
        return remedy(
            "Set clock.servers to time servers that this node can reach, or start a time daemon \
             on it.",
            MEASURE_OTHER,
        );
    }
    let failures: Vec<_> = facts.failures().collect();
    let advice: BTreeSet<(u8, String)> =
        failures.iter().map(|(_, error)| advice(error, &servers_with(error, &failures))).collect();
    let majority = facts.are_too_few().then(|| MAJORITY.to_owned());
    let texts: Vec<String> =
        majority.into_iter().chain(advice.into_iter().map(|(_, text)| text)).collect();
    let only_names = failures.iter().all(|(_, error)| matches!(error, ExchangeError::Resolve(_)));
    match texts.as_slice() {
        [] => remedy("Look at the answers of the time servers.", MEASURE),
        _ if only_names => remedy(&texts.join(" "), "tokenwatch clock --server ADDRESS"),
        _ => remedy(&texts.join(" "), MEASURE),
    }
}

/// The servers that failed in the same way.
fn servers_with<'a>(
    error: &ExchangeError,
    failures: &[(&'a ServerName, &ExchangeError)],
) -> Vec<&'a ServerName> {
    let same = failures.iter().filter(|(_, other)| other.kind() == error.kind());
    same.map(|(server, _)| *server).collect()
}

/// What to do about one kind of failure, and its place among the others.
fn advice(error: &ExchangeError, servers: &[&ServerName]) -> (u8, String) {
    let names = names(servers);
    match error {
        ExchangeError::Resolve(_) => (
            0,
            "Repair name resolution on this node, or set clock.servers to addresses instead of \
             names."
                .to_owned(),
        ),
        ExchangeError::Timeout => (
            1,
            format!(
                "Open {} from this node to {names}, or set clock.servers to servers that it can \
                 reach.",
                ports(servers)
            ),
        ),
        ExchangeError::Network(_) => (
            2,
            format!(
                "Repair the network path to {names}: a refused connection means that no NTP \
                 server listens there, and an unreachable network that this node has no route."
            ),
        ),
        ExchangeError::Unsynchronised => (
            3,
            format!(
                "Repair the time source of {names}, with `chronyc sources` or `ntpq -p` there: an \
                 answer came, and says that it has no time. This node's network is not the cause."
            ),
        ),
        ExchangeError::KissOfDeath(code) => (4, of_kiss(code, &names)),
        ExchangeError::RootDistanceExceeded(_) => (
            5,
            format!(
                "Use servers that are closer to their time source than {names}, or repair the \
                 synchronisation there: the error bound in the answer is too wide."
            ),
        ),
        ExchangeError::InvalidResponse(_) => {
            (6, format!("Check what answers at {names}: the answer is not that of an NTP server."))
        }
        ExchangeError::ClockStepped => (
            7,
            "Find what sets this node's clock during the measurements: two time daemons may \
             compete for it."
                .to_owned(),
        ),
    }
}

/// What a kiss code demands (RFC 5905, section 7.4).
fn of_kiss(code: &str, names: &str) -> String {
    match code {
        "RATE" => format!(
            "Poll {names} less often (clock.interval), or use servers of your own: the requests of \
             this node or of its network address are limited there."
        ),
        "DENY" | "RSTR" => format!(
            "Ask the operator of {names} to allow this node, or set clock.servers to others: its \
             requests are refused there."
        ),
        "AUTH" | "AUTO" | "CRYP" | "NKEY" | "NTSN" => format!(
            "Set clock.servers to servers that answer without authentication: the agent has no \
             keys for {names}."
        ),
        _ => format!(
            "Ask the operator of {names} why it refuses this node, or set clock.servers to others."
        ),
    }
}

/// At most three names, because a sentence has to end.
fn names(servers: &[&ServerName]) -> String {
    let shown: Vec<String> = servers.iter().take(3).map(ToString::to_string).collect();
    match servers.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn ports(servers: &[&ServerName]) -> String {
    let ports: BTreeSet<u16> = servers.iter().map(|server| server.port).collect();
    let listed: Vec<String> = ports.iter().take(3).map(u16::to_string).collect();
    let noun = if listed.len() == 1 { "port" } else { "ports" };
    format!("UDP {noun} {}", listed.join(", "))
}
