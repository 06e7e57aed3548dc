//! Findings about the node's clock and the time servers.

use super::clock_answers::{direction, of_camps, reasons, smear_hint, sources};
use super::clock_remedy;
use crate::base::schema;
use crate::base::text::shown;
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::findings::{Affected, ClockFault, ClockSymptom, Finding, Subject};
use crate::traces::clock::attributes;
use crate::world::clocks::{ClockFacts, ClockState, Step, Vote};

/// Most pods that a sentence names. The evidence names more.
const IN_SENTENCE: usize = 3;

/// The finding about `symptom`. `affected` has the tokens that a wrong node clock affects.
pub(crate) fn clock(
    node: &str,
    symptom: &ClockSymptom,
    facts: &ClockFacts<'_>,
    affected: &Affected,
) -> Finding {
    let fault = &symptom.fault;
    let subject = subject(node, fault);
    let none = Affected::default();
    let affected = match subject {
        // The agent ignores this server. A file has no clock.
        Subject::Server { .. } | Subject::File { .. } => &none,
        Subject::Node { .. } | Subject::Token { .. } => affected,
    };
    Finding {
        code: fault.code(),
        severity: symptom.severity,
        subject,
        summary: format!("{}{}", summary(fault, facts), effects(affected, facts)),
        deadline: None::<Wall>,
        evidence: evidence(fault, facts).and(tokens_affected(affected)),
        remedy: clock_remedy::of_clock(fault, facts),
        trace: None,
    }
}

fn subject(node: &str, fault: &ClockFault) -> Subject {
    match fault {
        ClockFault::Falseticker { server, .. } => Subject::Server { server: server.to_string() },
        ClockFault::Offset
        | ClockFault::Unsynchronized
        | ClockFault::Stepped(_)
        | ClockFault::LeapSecond(_)
        | ClockFault::Unknown
        | ClockFault::Contradiction
        | ClockFault::SecondCamp => Subject::node(node),
    }
}

fn summary(fault: &ClockFault, facts: &ClockFacts<'_>) -> String {
    match fault {
        ClockFault::Offset => offset(facts),
        ClockFault::Unsynchronized => "The kernel reports that no time daemon disciplines this \
                                       node's clock. Without one, the clock drifts."
            .to_owned(),
        ClockFault::Stepped(step) => format!(
            "This node's clock was {}. {}. Tokens may look older or newer than they are.",
            set_by(step),
            state_since_step(facts)
        ),
        ClockFault::LeapSecond(step) => format!(
            "This node's clock was {}: the leap second that its time daemon had announced.",
            set_by(step)
        ),
        ClockFault::Unknown => format!(
            "No time source confirms this node's clock: {}. The agent judges tokens as if the \
             clock were right to ±{}.",
            reasons(facts),
            facts.estimate.bound
        ),
        ClockFault::Contradiction => format!(
            "{} No majority decides, and nothing shows whether this node's clock is right.",
            of_camps(facts)
        ),
        ClockFault::SecondCamp => {
            format!("{} The agent follows the camp of the majority.", of_camps(facts))
        }
        ClockFault::Falseticker { server, claim, .. } => format!(
            "Time server {server} is {}, according to {}. {}, and the agent ignores it.{}",
            direction(*claim - facts.estimate.offset),
            sources(facts),
            if facts.smear(&facts.camps()).is_some() { "It stands alone" } else { "It is wrong" },
            smear_hint(&facts.camps(), facts)
        ),
    }
}

fn offset(facts: &ClockFacts<'_>) -> String {
    let cause = facts.step.map(|step| format!(" It was {}.", set_by(&step))).unwrap_or_default();
    let (off, bound) = (direction(-facts.estimate.offset), facts.estimate.bound);
    let daemon = of_daemon(facts);
    match facts.only_server() {
        Some(server) => format!(
            "This node's clock is {off} (±{bound}), according to time server {server} alone. One \
             server does not show whether the node or the server is wrong, so the agent judges \
             tokens as if either may be right.{daemon}{cause}"
        ),
        None => format!(
            "This node's clock is {off} (±{bound}), according to {}. The node is wrong.{daemon}\
             {cause}",
            sources(facts)
        ),
    }
}

/// What the kernel reports about a clock that the servers contradict.
fn of_daemon(facts: &ClockFacts<'_>) -> String {
    match (facts.kernel_synchronised(), facts.contradicted_kernel()) {
        (Some(false), _) => " No time daemon disciplines it.".to_owned(),
        (_, Some(bound)) => format!(
            " The time daemon contradicts this: by its report to the kernel, the clock is right \
             to ±{bound}."
        ),
        (Some(true) | None, None) => String::new(),
    }
}

fn state_since_step(facts: &ClockFacts<'_>) -> &'static str {
    match (facts.is_off(), facts.estimate.alone) {
        (true, true) => {
            return "By the only time server, it has been wrong since then (see clock.offset)";
        }
        (true, false) => return "It has been wrong since then (see clock.offset)",
        (false, _) => {}
    }
    match facts.state() {
        ClockState::Stepped => "No source has measured it since then",
        ClockState::Unknown | ClockState::Disagreeing => {
            "No source shows whether it is correct now"
        }
        ClockState::Synchronised | ClockState::Off | ClockState::Drifting => "It is correct now",
    }
}

fn names_of(facts: &ClockFacts<'_>, vote: Vote) -> Vec<String> {
    facts.voting(vote).map(ToString::to_string).collect()
}

/// The tokens that a wrong clock affects. With one server alone, it may be the server that is
/// wrong.
fn effects(affected: &Affected, facts: &ClockFacts<'_>) -> String {
    let tokens = tokens_of(affected);
    if tokens.is_empty() || facts.only_server().is_none() {
        return tokens;
    }
    format!(" The following holds if the server is right.{tokens}")
}

fn tokens_of(affected: &Affected) -> String {
    let looking_wrong = match affected.look_wrong {
        0 => String::new(),
        1 => " It makes 1 healthy token look wrong.".to_owned(),
        tokens => format!(" It makes {tokens} healthy tokens look wrong."),
    };
    looking_wrong + &refusals(affected.refused, &affected.refused_pods)
}

fn refusals(tokens: usize, pods: &[String]) -> String {
    let (noun, pronoun) = match tokens {
        0 => return String::new(),
        1 => ("token that has", "it"),
        _ => ("tokens that have", "them"),
    };
    format!(
        " The API server refuses {tokens} {noun} expired by true time ({}). kubelet uses this \
         clock and therefore does not replace {pronoun}.",
        first_of(tokens, pods)
    )
}

/// `pod shop/cart-0`, `pods shop/cart-0, shop/cart-1 and 3 more`.
fn first_of(tokens: usize, pods: &[String]) -> String {
    let named: Vec<_> = pods.iter().take(IN_SENTENCE).map(|pod| shown(pod)).collect();
    let noun = if tokens == 1 { "pod" } else { "pods" };
    let more = match tokens - named.len().min(tokens) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{noun} {}{more}", named.join(", "))
}

fn tokens_affected(affected: &Affected) -> Attributes {
    let some = |tokens: usize| (tokens > 0).then_some(tokens);
    Attributes::new()
        .with_some("tokens_affected", some(affected.look_wrong))
        .with_some("tokens_refused", some(affected.refused))
        .with_some(
            "refused_pods",
            (!affected.refused_pods.is_empty()).then_some(affected.refused_pods.as_slice()),
        )
}

fn evidence(fault: &ClockFault, facts: &ClockFacts<'_>) -> Attributes {
    let known = (!facts.estimate.assumed).then_some(facts.estimate.offset);
    let common = attributes(&facts.estimate, known, &facts.selection)
        .with(schema::CLOCK_FALSETICKERS, names_of(facts, Vote::Falseticker).as_slice())
        .with(schema::CLOCK_SOURCE, facts.source().name())
        .with_some(schema::CLOCK_ANSWER_AGE, facts.answer_age())
        .with_some(schema::CLOCK_KERNEL_SYNCHRONISED, facts.kernel_synchronised())
        .with_some(schema::CLOCK_KERNEL_MAX_ERROR, facts.kernel_max_error())
        .with_some(schema::CLOCK_STEP, facts.step.map(|step| step.size))
        .with_some(schema::CLOCK_STEP_AT, facts.step.map(|step| step.after.wall));
    match fault {
        ClockFault::Falseticker { claim, bound, .. } => {
            common.with(schema::NTP_OFFSET, *claim).with(schema::NTP_ROOT_DISTANCE, *bound)
        }
        ClockFault::Offset
        | ClockFault::Unsynchronized
        | ClockFault::Stepped(_)
        | ClockFault::LeapSecond(_)
        | ClockFault::Unknown
        | ClockFault::Contradiction
        | ClockFault::SecondCamp => common,
    }
}

fn set_by(step: &Step) -> String {
    let side = if step.size < Delta::ZERO { "back" } else { "forward" };
    format!("set {side} by {} at {}", step.size.abs(), step.after.wall.clock_time())
}
