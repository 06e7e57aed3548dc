//! What is wrong with one token.

use super::{Context, remedy};
use crate::base::text::shown;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, Severity, Subject};
use crate::traces::generation::root;
use crate::world::cluster::PodRef;
use crate::world::cluster::{AccountLoss, AccountName, Known, Pod};
use crate::world::tokens::{CACHE, LEEWAY, State};
use crate::world::tokens::{Generation, Tracked, Trouble};

/// `iat` this far ahead is what two healthy clocks and the second that `iat` is cut to can explain.
const FUTURE_TOLERANCE: Delta = Delta::from_secs(10);
/// From here on the API server, set right, refuses the token: its leeway.
const FUTURE_WARNING: Delta = LEEWAY;

/// The judgement on one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What the node's clock, being wrong, does to it.
    pub clock_effect: ClockEffect,
}

/// What a wrong node clock does to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEffect {
    /// Nothing that matters.
    None,
    /// It only looks wrong.
    LooksWrong,
    /// It only looks good: the API server refuses it, and kubelet sees no reason to replace it.
    Refused,
}

/// A lifecycle finding before it is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fact {
    code: Code,
    severity: Severity,
}

/// Judges a token at `now`.
pub fn judge(tracked: &Tracked, now: &Reading, context: Context<'_>) -> Judged {
    let mut findings: Vec<_> = trouble(tracked, now, context).into_iter().collect();
    let mut clock_effect = ClockEffect::None;
    if let Some(generation) = &tracked.current {
        let seen = fact(generation, now.wall, context);
        let true_now = context.corrected(now.wall);
        // A lost account is the API server's own word, which no clock can explain.
        let corrects = true_now.filter(|_| context.lost.is_none());
        let confirmed =
            corrects.map_or(seen, |true_now| both(seen, fact(generation, true_now, context)));
        clock_effect = match true_now {
            _ if seen.is_some() && confirmed.is_none() => ClockEffect::LooksWrong,
            Some(true_now) if is_refused_unseen(generation, now.wall, true_now) => {
                ClockEffect::Refused
            }
            _ => ClockEffect::None,
        };
        findings.extend(confirmed.map(|fact| worded(tracked, generation, fact, now.wall, context)));
    }
    Judged { findings, clock_effect }
}

/// Dead by true time, and not by the clock that kubelet goes by.
fn is_refused_unseen(generation: &Generation, node_now: Wall, true_now: Wall) -> bool {
    true_now > generation.deadlines.hard && generation.deadlines.state(node_now) != State::Expired
}

/// What is wrong by both clocks: the milder of the two. What only one of them sees is the clock's
/// fault, and the clock has its own finding.
fn both(node: Option<Fact>, corrected: Option<Fact>) -> Option<Fact> {
    let (node, corrected) = (node?, corrected?);
    if node.code == corrected.code {
        return Some(Fact { severity: node.severity.min(corrected.severity), ..node });
    }
    let from_the_future = |fact: Fact| matches!(fact.code, Code::NotYetValid | Code::FutureDated);
    if from_the_future(node) != from_the_future(corrected) {
        return None; // too old by one clock, too new by the other: neither can be held against kubelet
    }
    Some(if rank(node.code) < rank(corrected.code) { node } else { corrected })
}

/// From mild to bad, within what is too old and what is too new.
fn rank(code: Code) -> u8 {
    match code {
        Code::RotationLate | Code::FutureDated => 0,
        Code::RotationStalled => 1,
        _ => 2,
    }
}

fn fact(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Fact> {
    let fact = |code, severity| Some(Fact { code, severity });
    match generation.deadlines.state(now) {
        _ if context.deletion().is_some() => going(generation, now, context),
        State::Expired => fact(Code::Expired, Severity::Critical),
        State::NotYetValid => fact(Code::NotYetValid, Severity::Critical),
        State::Stalled | State::Late if context.excuses(&generation.deadlines, now) => None,
        State::Stalled | State::Late if context.lost.is_some() => {
            fact(Code::RotationStalled, Severity::Critical)
        }
        State::Stalled => fact(Code::RotationStalled, stalled_severity(generation, now)),
        State::Late => fact(Code::RotationLate, Severity::Info),
        State::Fresh | State::Due => future_dated(generation, now, context),
    }
}

/// Whose account may be why this token was not replaced: worth a question.
pub fn in_question(
    generation: &Generation,
    now: Wall,
    context: Context<'_>,
) -> Option<AccountName> {
    let waits =
        matches!(generation.deadlines.state(now), State::Late | State::Stalled | State::Expired);
    (waits && context.deletion().is_none()).then(|| account_of(generation, context.pod())).flatten()
}

/// The account of a token that the cluster knows to be its pod's. Claims alone are not believed:
/// whoever may write a file into a pod could have the agent ask for anything, and say what was
/// answered.
pub fn account_of(generation: &Generation, pod: Option<&Pod>) -> Option<AccountName> {
    let (claimed, pod) = (AccountName::of(&generation.claims), pod?);
    (pod.namespace == claimed.namespace && pod.service_account.as_ref() == Some(&claimed.name))
        .then_some(claimed)
}

/// kubelet replaces no token of a pod that is going (it syncs the volumes of such a pod no more):
/// being late is no fault of its own then.
fn going(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Fact> {
    let effective = generation.deadlines.effective;
    let fails_before =
        context.deletion().is_some_and(|deletion| effective < deletion && now < deletion);
    let severity = if now >= effective && generation.claims.warn_after.is_none() {
        Severity::Critical
    } else {
        Severity::Warning
    };
    fails_before.then_some(Fact { code: Code::PodTerminating, severity })
}

/// Critical near the deadline; past it only without extension, for an extended token goes on
/// working.
fn stalled_severity(generation: &Generation, now: Wall) -> Severity {
    let extended = generation.claims.warn_after.is_some();
    let past = now >= generation.deadlines.effective;
    if now >= generation.deadlines.critical && !(past && extended) {
        Severity::Critical
    } else {
        Severity::Warning
    }
}

fn future_dated(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Fact> {
    let ahead = generation.claims.issued_at - now;
    if ahead <= FUTURE_TOLERANCE + proven_bound(context) {
        return None;
    }
    let severity = if ahead > FUTURE_WARNING { Severity::Warning } else { Severity::Info };
    Some(Fact { code: Code::FutureDated, severity })
}

/// An assumed bound proves nothing either way: that the signer's clock and the node's differ is a
/// fact without it.
fn proven_bound(context: Context<'_>) -> Delta {
    if context.clock.assumed { Delta::ZERO } else { context.clock.bound }
}

/// When the judgement may change by the passing of time alone.
pub fn next_change(tracked: &Tracked, now: &Reading, context: Context<'_>) -> Option<Monotonic> {
    let settles = tracked
        .trouble
        .as_ref()
        .map(|trouble| trouble.since.monotonic + context.settle)
        .filter(|at| *at > now.monotonic);
    let deadlines = tracked.current.iter().flat_map(|generation| {
        let clocks = [Some(now.wall), context.corrected(now.wall)];
        clocks.into_iter().flatten().filter_map(|wall| {
            Some(now.monotonic + (next_deadline(generation, wall, context)? - wall))
        })
    });
    let killed = context
        .deletion()
        .map(|at| now.monotonic + (at - now.wall))
        .filter(|at| *at > now.monotonic);
    let caught_up = context.catching_up.map(|step| step.until).filter(|at| *at > now.monotonic);
    settles.into_iter().chain(deadlines).chain(caught_up).chain(killed).min()
}

fn next_deadline(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Wall> {
    let issued = generation.claims.issued_at;
    // the deadline itself is one of these only where something changes there for a pod that stays
    let going = context.deletion().map(|_| generation.deadlines.effective).filter(|at| *at > now);
    let future = [issued - FUTURE_TOLERANCE - proven_bound(context), issued - FUTURE_WARNING];
    generation
        .deadlines
        .next_change(now)
        .into_iter()
        .chain(going)
        .chain(future.into_iter().filter(|at| *at > now))
        .min()
}

fn trouble(tracked: &Tracked, now: &Reading, context: Context<'_>) -> Option<Finding> {
    let trouble = tracked
        .trouble
        .as_ref()
        .filter(|trouble| now.monotonic - trouble.since.monotonic >= context.settle)?;
    let (code, word) = if trouble.malformed {
        (Code::Malformed, "does not hold a token")
    } else {
        (Code::Unreadable, "cannot be read")
    };
    let summary = format!("{} {word}: {}.", name_of(tracked, context), shown(&trouble.reason));
    Some(Finding {
        deadline: tracked.current.as_ref().map(|generation| generation.deadlines.effective),
        evidence: trouble_evidence(trouble).and(cluster_evidence(tracked, context)),
        trace: tracked.current.as_ref().map(|generation| root(&tracked.key, &generation.claims)),
        ..finding(tracked, code, Severity::Warning, summary, context)
    })
}

fn trouble_evidence(trouble: &Trouble) -> Attributes {
    Attributes::new().with("reason", &trouble.reason).with("since", trouble.since.wall)
}

fn worded(
    tracked: &Tracked,
    generation: &Generation,
    fact: Fact,
    now: Wall,
    context: Context<'_>,
) -> Finding {
    let lost = context.lost.filter(|_| matches!(fact.code, Code::RotationStalled | Code::Expired));
    let mut said = finding(
        tracked,
        fact.code,
        fact.severity,
        summary(tracked, generation, fact.code, now, context),
        context,
    );
    if let Some(lost) = lost {
        said.remedy = remedy::of_account(lost, &generation.claims, &tracked.pod(context.pod()));
    }
    Finding {
        deadline: Some(deadline(generation, fact.code)),
        evidence: evidence(generation, now)
            .with_some("service_account_state", lost.map(AccountLoss::name))
            .and(cluster_evidence(tracked, context)),
        trace: Some(root(&tracked.key, &generation.claims)),
        ..said
    }
}

/// What the cluster knows, and how old that is where it cannot be asked.
fn cluster_evidence(tracked: &Tracked, context: Context<'_>) -> Attributes {
    let evidence = |known: Known<'_>| {
        known.pod.evidence(&tracked.key.volume).with_some("cluster_age", known.age)
    };
    context.known.map(evidence).unwrap_or_default()
}

fn finding(
    tracked: &Tracked,
    code: Code,
    severity: Severity,
    summary: String,
    context: Context<'_>,
) -> Finding {
    let pod = tracked.pod(context.pod());
    Finding {
        code,
        severity,
        summary,
        deadline: None,
        evidence: Attributes::new(),
        remedy: remedy::of_token(code, &pod),
        subject: Subject::token(&tracked.key, pod),
        trace: None,
    }
}

/// When it starts to hurt; for a token that is not valid yet, when it stops. One from the future
/// hurts when its rotation, as late as it was early, fails.
fn deadline(generation: &Generation, code: Code) -> Wall {
    match code {
        Code::Expired => generation.deadlines.hard,
        Code::NotYetValid => generation.deadlines.accepted_from,
        _ => generation.deadlines.effective,
    }
}

fn evidence(generation: &Generation, now: Wall) -> Attributes {
    let (claims, deadlines) = (&generation.claims, &generation.deadlines);
    Attributes::new()
        .with("service_account", &claims.service_account.name)
        .with("audiences", claims.audiences.as_slice())
        .with("generation", claims.generation().as_str())
        .with("issued_at", claims.issued_at)
        .with("refresh_due", deadlines.due)
        .with("effective_deadline", deadlines.effective)
        .with("expires_at", claims.expires_at)
        .with("state", deadlines.state(now).name())
        .with("node_time", now)
        .with("seconds_left", deadlines.effective - now)
}

fn summary(
    tracked: &Tracked,
    generation: &Generation,
    code: Code,
    now: Wall,
    context: Context<'_>,
) -> String {
    let (token, deadlines) = (name_of(tracked, context), &generation.deadlines);
    match code {
        Code::RotationLate => {
            format!(
                "{token} should have been replaced {} ago; kubelet is late. {}",
                now - deadlines.due,
                time_left(generation, now)
            )
        }
        Code::RotationStalled => {
            let stopped =
                || format!("kubelet has stopped rotating it. {}", time_left(generation, now));
            let why = context
                .lost
                .map_or_else(stopped, |lost| format!("its {}", without(lost, generation)));
            format!("{token} should have been replaced {} ago: {why}", now - deadlines.due)
        }
        Code::Expired => {
            let why = context.lost.map(|lost| format!(" Its {}", without(lost, generation)));
            expired(&token, generation, now, context) + &why.unwrap_or_default()
        }
        Code::PodTerminating => going_away(&token, generation, now, context),
        Code::NotYetValid => format!(
            "{token} is not valid yet: the API server refuses it for another {} (until {}), and \
             kubelet will not replace it.",
            deadlines.accepted_from - now,
            deadlines.accepted_from.rfc3339()
        ),
        _ => format!(
            "{token} was issued {} in the future: the API server's clock is ahead of this node's, \
             or the node's is behind.",
            generation.claims.issued_at - now
        ),
    }
}

fn expired(token: &str, generation: &Generation, now: Wall, context: Context<'_>) -> String {
    let since = match now - generation.claims.expires_at {
        since if since < Delta::from_secs(1) => "just now".to_owned(),
        since => format!("{since} ago"),
    };
    let by = if context.clock.assumed {
        " by this node's own clock, for which nothing vouches: if it is right,"
    } else {
        ":"
    };
    if now < generation.deadlines.hard {
        let left = generation.deadlines.hard - now;
        return format!(
            "{token} expired {since}{by} the API server refuses it within {left} at the latest \
             (its leeway of {LEEWAY} and cache of {CACHE})."
        );
    }
    format!("{token} expired {since}{by} the API server answers 401 to every request with it.")
}

/// What became of the account: what is to be said after "its".
fn without(lost: AccountLoss, generation: &Generation) -> String {
    let AccountName { namespace, name } = AccountName::of(&generation.claims);
    let account = format!("service account {}/{}", shown(&namespace), shown(&name));
    match lost {
        AccountLoss::Missing => {
            format!(
                "{account} does not exist any more. kubelet gets no token for it, and the API \
                 server refuses this one."
            )
        }
        AccountLoss::Replaced => format!(
            "{account} was deleted and made anew. The API server refuses this token, which is of \
             the one before, and kubelet has not replaced it."
        ),
    }
}

fn going_away(token: &str, generation: &Generation, now: Wall, context: Context<'_>) -> String {
    let end = context.deletion().unwrap_or(now);
    let left = time_left(generation, now);
    format!(
        "{token} is not replaced any more, because its pod is going and has until {} to end. \
         {left}",
        end.rfc3339()
    )
}

fn time_left(generation: &Generation, now: Wall) -> String {
    let effective = generation.deadlines.effective;
    let left = effective - now;
    match (generation.claims.warn_after.is_some(), left > Delta::ZERO) {
        (false, false) => format!("It expired {} ago, and requests with it get 401.", -left),
        (false, true) => format!("It expires in {left}, at {}.", effective.rfc3339()),
        (true, true) => format!(
            "It goes stale in {left}, at {}; after that it works only thanks to the API server's \
             expiry extension.",
            effective.rfc3339()
        ),
        (true, false) => format!(
            "It went stale {} ago and works only thanks to the API server's expiry extension.",
            -left
        ),
    }
}

fn name_of(tracked: &Tracked, context: Context<'_>) -> String {
    named(&tracked.pod(context.pod()), &tracked.key.volume, &tracked.key.path)
}

/// `Token "token" of pod shop/cart-0 (volume kube-api-access-x)`.
pub(super) fn named(pod: &PodRef, volume: &str, path: &str) -> String {
    let whose = match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("pod {}/{}", shown(namespace), shown(name)),
        _ => format!("pod UID {}", shown(&pod.uid)),
    };
    format!("Token \"{}\" of {whose} (volume {})", shown(path), shown(volume))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
