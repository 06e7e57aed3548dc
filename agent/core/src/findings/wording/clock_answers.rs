//! What the time servers answered, in the sentences of findings about the clock.

use std::collections::BTreeMap;

use crate::base::time::Delta;
use crate::world::clocks::{
    Camp, ClockFacts, ExchangeError, Range, ServerName, Smear, TimeSource, distance,
};

/// Most servers that a sentence names for one reason.
const IN_SENTENCE: usize = 4;

/// Which servers agree with each other, what each camp claims, and who did not answer.
pub(super) fn of_camps(facts: &ClockFacts<'_>) -> String {
    let camps = facts.camps();
    let claims: Vec<String> = camps.iter().map(claim).collect();
    let (claims, apart) = (claims.join("; "), distance(&camps));
    let mut servers = camps.iter().flat_map(|camp| &camp.servers);
    let first = servers.next();
    let is_one_name = first.is_some_and(|first| servers.all(|one| one.voter() == first.voter()));
    let who = match first.filter(|_| is_one_name) {
        Some(name) => format!("The addresses of time server {}", of_name(name)),
        None => "The time servers".to_owned(),
    };
    let how = if camps.iter().all(Camp::is_one_voter) {
        format!("contradict each other by {apart}")
    } else {
        format!("form {} camps, {apart} apart", camps.len())
    };
    let rest = if is_one_name { String::new() } else { split(facts) };
    format!("{who} {how}: {claims}.{}{rest}{}", smear_hint(&camps, facts), missing(facts))
}

/// Why servers that are right may differ by up to a second.
pub(super) fn smear_hint(camps: &[Camp], facts: &ClockFacts<'_>) -> &'static str {
    match facts.smear(camps) {
        Some(Smear::Announced) => {
            " A leap second is announced: servers that smear it and servers that do not look like \
             this."
        }
        Some(Smear::Date) => {
            " The agent saw no leap second announced. If there was one at the end of this half \
             year, servers that smear it and servers that do not look like this."
        }
        None => "",
    }
}

/// The sources that the estimate is based on, for a sentence.
pub(super) fn sources(facts: &ClockFacts<'_>) -> String {
    let count = format!("{} of {} time servers", facts.agreeing(), facts.voters());
    match facts.source() {
        TimeSource::Kernel => "the kernel's time before the clock was set".to_owned(),
        TimeSource::ServersAndKernel => format!("{count}, with which the kernel agrees"),
        TimeSource::Servers if facts.voters() == 1 => "the other addresses of its name".to_owned(),
        TimeSource::Servers | TimeSource::Nothing => count,
    }
}

/// Why no source confirms the clock, and what each server answered.
pub(super) fn reasons(facts: &ClockFacts<'_>) -> String {
    format!("{}, and {}", of_servers(facts), of_kernel(facts))
}

fn of_kernel(facts: &ClockFacts<'_>) -> String {
    match (facts.kernel_synchronised(), facts.kernel_bound()) {
        (_, Some(bound)) => {
            format!("the kernel's report contradicts them: by it, the clock is right to ±{bound}")
        }
        (Some(true), None) => "the kernel's own bound is too wide or too old".to_owned(),
        (Some(false), None) => "the kernel reports that no time daemon disciplines it".to_owned(),
        (None, None) => "the kernel reports nothing".to_owned(),
    }
}

fn of_servers(facts: &ClockFacts<'_>) -> String {
    if facts.are_too_few() {
        return too_few(facts);
    }
    let age = facts.answer_age().map(|age| format!(" for {age}")).unwrap_or_default();
    match facts.voters() {
        0 if facts.servers_configured() => "no time server answers".to_owned(),
        0 => "no time server is configured".to_owned(),
        1 => format!("the only time server gave no usable answer{age} ({})", failures(facts)),
        count => {
            let failures = failures(facts);
            format!("none of {count} time servers gave a usable answer{age} ({failures})")
        }
    }
}

/// `2 of 5 time servers answered, which is no majority: …`
fn too_few(facts: &ClockFacts<'_>) -> String {
    let answered = facts.answering();
    let claims: Vec<String> = facts.camps().iter().map(claim).collect();
    format!(
        "only {answered} of {} time servers gave a usable answer, which is no majority ({}; {})",
        facts.voters(),
        claims.join("; "),
        silent(facts)
    )
}

/// The servers without a usable answer, where others answer.
fn missing(facts: &ClockFacts<'_>) -> String {
    let silent = silent(facts);
    if silent.is_empty() { silent } else { format!(" No usable answer: {silent}.") }
}

fn split(facts: &ClockFacts<'_>) -> String {
    let names: Vec<String> = facts.split().map(of_name).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => format!(" The addresses of {name} contradict each other: it has no vote."),
        names => {
            let names = names.join(", ");
            format!(" The addresses of each of {names} contradict each other: they have no vote.")
        }
    }
}

/// Each voter without a usable answer, by the reason: `b:123, c:123: no answer in time`.
fn silent(facts: &ClockFacts<'_>) -> String {
    let mut by_reason = BTreeMap::<String, Vec<String>>::new();
    for server in facts.silent() {
        let is_of = |(other, _): &(&ServerName, &ExchangeError)| other.voter() == server.voter();
        let reason = facts.failures().find(is_of).map(|(_, error)| error.to_string());
        let reason = reason.unwrap_or_else(|| "no recent answer".to_owned());
        by_reason.entry(reason).or_default().push(server.to_string());
    }
    let of = |(reason, names): (String, Vec<String>)| format!("{}: {reason}", first_of(&names));
    by_reason.into_iter().map(of).collect::<Vec<_>>().join("; ")
}

fn first_of(names: &[String]) -> String {
    let shown = names.iter().take(IN_SENTENCE).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(IN_SENTENCE) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Each reason for which an exchange failed, with the number of servers if there are several
/// reasons.
fn failures(facts: &ClockFacts<'_>) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for (_, error) in facts.failures() {
        *counts.entry(error.to_string()).or_default() += 1;
    }
    let is_one = counts.len() == 1;
    let shown =
        |(reason, count)| if is_one { reason } else { format!("{count} of them: {reason}") };
    counts.into_iter().map(shown).collect::<Vec<_>>().join("; ")
}

/// What servers that agree claim about this node's clock.
fn claim(camp: &Camp) -> String {
    let names: Vec<String> = camp.servers.iter().map(ServerName::to_string).collect();
    let names = names.join(", ");
    let (verb_s, range) = (if camp.servers.len() == 1 { "s" } else { "" }, &camp.range);
    if range.meets(&Range::around(Delta::ZERO, Delta::ZERO)) {
        return format!("{names} confirm{verb_s} this node's clock (to ±{})", range.farthest());
    }
    format!("{names} put{verb_s} it {}", direction(-range.middle()))
}

/// A name without one of its addresses.
fn of_name(server: &ServerName) -> String {
    ServerName { address: None, ..server.clone() }.to_string()
}

/// Which side of true time the clock is on.
pub(super) fn direction(ahead: Delta) -> String {
    let side = if ahead < Delta::ZERO { "behind" } else { "ahead of" };
    format!("{} {side} true time", ahead.abs())
}
