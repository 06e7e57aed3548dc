//! The symptom of an API server whose clock differs: who is wrong, and what that breaks.
//!
//! A node whose clock is wrong while the API server's is right is `clock.offset` alone. Where the
//! answers of an API server show nothing, the tokens that one signed may show that it is ahead.

use super::token::FUTURE_TOLERANCE;
use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{Severity, ShownBy, SkewEffect, SkewSymptom, WrongClock};
use crate::world::clocks::{ClockFacts, IssuedClock, Range, VerifierClock};
use crate::world::tokens::{Deadlines, LEEWAY};
use crate::world::{AheadClock, World};

/// Difference from which it is reported: the answers show a second, and some verifiers of a token
/// allow no more than that.
const NOTABLE: Delta = Delta::from_secs(2);
/// Difference from which it is a warning: kubelet's jitter. A smaller one moves no rotation
/// noticeably.
const WARNING: Delta = Delta::from_secs(10);

/// How long the finding about a clock that differs waits for a time server to show whose it is: two
/// rounds of queries at the default interval of 64 s, and a margin.
const AWAITED: Delta = Delta::from_secs(150);

/// How far the API server's clock is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifierKnown {
    /// Too few answers show it.
    #[default]
    No,
    /// It is known, and no time source decides who is wrong.
    Undecided,
    /// It is known, and true time is, too.
    Yes,
}

/// A clock of an API server that differs, what it is compared with, and by how much.
struct Skew {
    wrong: WrongClock,
    ahead: Range,
    /// How far it is ahead of the node's clock.
    of_node: Range,
    /// Whether it and another one answer in turn.
    alternates: bool,
    shown_by: ShownBy,
    /// The names that tell the API servers apart that are meant.
    names: Vec<String>,
}

impl Skew {
    fn of(clock: &VerifierClock, wrong: WrongClock, ahead: Range) -> Self {
        let VerifierClock { ahead: of_node, answers, alternates, .. } = *clock;
        let names = clock.names.clone();
        Self { wrong, ahead, of_node, alternates, shown_by: ShownBy::Answers(answers), names }
    }

    /// Tokens show only how far it is ahead at least.
    fn of_tokens(issued: &IssuedClock, wrong: WrongClock, ahead: Delta) -> Self {
        let at_least = |ahead| Range { lo: ahead, hi: ahead };
        let (ahead, of_node) = (at_least(ahead), at_least(issued.ahead));
        let shown_by = ShownBy::Tokens(issued.tokens);
        Self { wrong, ahead, of_node, alternates: false, shown_by, names: Vec::new() }
    }

    /// Of two of which one is wrong. Either both have names, or neither.
    fn between(last: &VerifierClock, other: &VerifierClock) -> Self {
        let ahead = last.ahead.against(other.ahead);
        let mut skew = Self::of(last, WrongClock::EitherApiServer, ahead);
        if skew.names.is_empty() || other.names.is_empty() {
            skew.names.clear();
        } else {
            skew.names.extend(other.names.iter().cloned());
        }
        skew
    }
}

/// The API server's clock.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    /// How far it is known by its answers.
    pub(super) known: VerifierKnown,
    /// How far it is known by the tokens that it signed.
    pub(super) by_tokens: VerifierKnown,
    /// The symptom, if it certainly differs by more than its limit.
    pub(super) skew: Option<SkewSymptom>,
    /// If the symptom is that it is ahead.
    pub(super) ahead: Option<AheadClock>,
}

/// What the answers of the API server and its tokens show of its clock.
pub(super) fn verifier(world: &World, now: &Reading) -> Verifier {
    let clocks = world.cluster.verifiers.known(now);
    let facts = ClockFacts::new(&world.clock, now);
    let issued = world.cluster.issued.known(now);
    let skew = against_truth(&clocks, &facts).or_else(|| undecided(&clocks, &facts));
    let skew = skew.or_else(|| by_tokens(&issued?, &clocks, &facts));
    let ahead = skew.as_ref().and_then(ahead);
    let skew = skew.filter(|skew| !will_be_decided(skew, &clocks, &facts, now));
    Verifier {
        known: known(&clocks, &facts),
        by_tokens: issued.map_or(VerifierKnown::No, |issued| known_by_tokens(&issued, &facts)),
        ahead,
        skew: skew.map(|skew| symptom(&skew, world, now)),
    }
}

/// Whether time servers were known to answer until now, and have had no time to show who is wrong.
fn will_be_decided(
    skew: &Skew,
    clocks: &[VerifierClock],
    facts: &ClockFacts<'_>,
    now: &Reading,
) -> bool {
    let is_open = match skew.wrong {
        WrongClock::NodeOrApiServer | WrongClock::EitherApiServer => truth(facts).is_some(),
        WrongClock::ApiServer | WrongClock::OneApiServer => false,
    };
    let since = clocks.first().and_then(|last| last.differs_since);
    is_open && since.is_some_and(|since| now.monotonic - since < AWAITED)
}

fn ahead(skew: &Skew) -> Option<AheadClock> {
    let answers = matches!(skew.shown_by, ShownBy::Answers(_));
    (skew.of_node.lo > Delta::ZERO).then_some(AheadClock { by: skew.of_node.hi, answers })
}

/// Whether a clock that is ahead explains the `iat` of a token that is ahead of the node's clock by
/// `lead`.
pub(super) fn is_dated_by(clock: AheadClock, lead: Delta) -> bool {
    lead > FUTURE_TOLERANCE && lead <= clock.by + FUTURE_TOLERANCE
}

/// The clock of an API server that signs tokens and is ahead, if its answers do not show that: it
/// does not answer the agent, or another one does.
fn by_tokens(
    issued: &IssuedClock,
    clocks: &[VerifierClock],
    facts: &ClockFacts<'_>,
) -> Option<Skew> {
    // A clock that answers, or did before it was set, signed them.
    if clocks.iter().any(|clock| issued.ahead <= clock.ahead.hi + NOTABLE) {
        return None;
    }
    let others = clocks.iter().map(|clock| clock.ahead.hi).max();
    let (wrong, ahead) = match truth(facts) {
        Some(truth) if facts.answered_since(issued.last) => {
            let wrong = others.map_or(WrongClock::ApiServer, |_| WrongClock::OneApiServer);
            (wrong, issued.ahead - truth.hi)
        }
        // What was known of true time may be from before a pause of the machine.
        Some(_) => return None,
        None => undecided_by_tokens(issued, others, facts)?,
    };
    (ahead > NOTABLE).then(|| Skew::of_tokens(issued, wrong, ahead))
}

/// What it is compared with while no time source shows true time: the clocks of `others`, or the
/// node's.
fn undecided_by_tokens(
    issued: &IssuedClock,
    others: Option<Delta>,
    facts: &ClockFacts<'_>,
) -> Option<(WrongClock, Delta)> {
    if let Some(others) = others {
        return Some((WrongClock::EitherApiServer, issued.ahead - others));
    }
    // One time server and the API server that agree are two witnesses: clock.offset.
    let agrees = |alone: Range| issued.ahead <= alone.hi + NOTABLE;
    let is_nodes = facts.truth().is_some_and(agrees);
    (!is_nodes).then_some((WrongClock::NodeOrApiServer, issued.ahead))
}

fn known_by_tokens(issued: &IssuedClock, facts: &ClockFacts<'_>) -> VerifierKnown {
    match truth(facts) {
        Some(_) if facts.answered_since(issued.last) => VerifierKnown::Yes,
        Some(_) | None => VerifierKnown::Undecided,
    }
}

fn known(clocks: &[VerifierClock], facts: &ClockFacts<'_>) -> VerifierKnown {
    let Some(last) = clocks.first() else { return VerifierKnown::No };
    match truth(facts) {
        Some(truth) if is_still(last, &truth) && is_measured(last, facts) => VerifierKnown::Yes,
        Some(_) | None => VerifierKnown::Undecided,
    }
}

fn symptom(skew: &Skew, world: &World, now: &Reading) -> SkewSymptom {
    let effects = effects(skew, world, now.wall);
    SkewSymptom {
        wrong: skew.wrong,
        ahead: skew.ahead.middle(),
        bound: skew.ahead.half(),
        ahead_of_node: skew.of_node.middle(),
        shown_by: skew.shown_by,
        names: skew.names.clone(),
        severity: severity(skew, &effects),
        effects,
    }
}

/// True time against the node's clock, where time servers show it. One time server alone, which
/// contradicts the node, shows nothing.
fn truth(facts: &ClockFacts<'_>) -> Option<Range> {
    let alone = facts.only_server().is_some() && facts.estimate.offset.abs() >= NOTABLE;
    facts.truth().filter(|_| !alone)
}

/// Whether true time has gone on evenly since the clock was read. After a pause of the machine that
/// its clocks do not show, it has not.
fn is_still(clock: &VerifierClock, truth: &Range) -> bool {
    clock.truth.is_some_and(|then| then.meets(truth))
}

/// Whether a time server has answered since the clock was first read, if it took the place of
/// another one: else the node may have stood still, and what is known of true time is from before.
fn is_measured(clock: &VerifierClock, facts: &ClockFacts<'_>) -> bool {
    clock.differs_since.is_none_or(|since| facts.answered_since(since))
}

fn against_truth(clocks: &[VerifierClock], facts: &ClockFacts<'_>) -> Option<Skew> {
    let truth = truth(facts)?;
    let skew = |clock: &VerifierClock| {
        let wrong = if clock.alternates { WrongClock::OneApiServer } else { WrongClock::ApiServer };
        Skew::of(clock, wrong, clock.ahead.against(truth))
    };
    // One that was set is known by its last answers; before, it was another clock.
    let current = clocks.iter().enumerate().filter(|(nth, clock)| *nth == 0 || clock.alternates);
    let is_known = |clock: &&VerifierClock| is_still(clock, &truth) && is_measured(clock, facts);
    let current = current.map(|(_, clock)| clock).filter(is_known);
    current.map(skew).filter(is_notable).max_by_key(|skew| skew.ahead.nearest())
}

fn undecided(clocks: &[VerifierClock], facts: &ClockFacts<'_>) -> Option<Skew> {
    let is_open = |last: &&VerifierClock| truth(facts).is_none() || !is_measured(last, facts);
    let last = clocks.first().filter(is_open)?;
    let apart = clocks.iter().filter(|clock| clock.alternates && last.alternates);
    let apart = apart.map(|other| Skew::between(last, other));
    // A time server and the API server that agree are two witnesses against the node: clock.offset.
    let agrees = |truth: Range| last.ahead.against(truth).nearest() <= NOTABLE;
    let of_node = Skew::of(last, WrongClock::NodeOrApiServer, last.ahead);
    let of_node = Some(of_node).filter(|_| !facts.truth().is_some_and(agrees));
    let widest = apart.filter(is_notable).max_by_key(|skew| skew.ahead.nearest());
    widest.or(of_node.filter(is_notable))
}

fn is_notable(skew: &Skew) -> bool {
    skew.ahead.nearest() > NOTABLE
}

fn severity(skew: &Skew, effects: &[SkewEffect]) -> Severity {
    let breaks_now = effects.iter().any(|effect| match effect {
        SkewEffect::DeadBeforeRefresh(_) => true,
        SkewEffect::NotYetValid => skew.alternates, // for the other API servers
        SkewEffect::RefreshedEachSync(_) | SkewEffect::FutureDated(_) => false,
    });
    let is_small = skew.ahead.nearest() <= WARNING;
    match (breaks_now, is_small) {
        (true, _) => Severity::Critical,
        (false, true) => Severity::Info,
        (false, false) => Severity::Warning,
    }
}

fn effects(skew: &Skew, world: &World, now: Wall) -> Vec<SkewEffect> {
    let node = skew.of_node;
    let count = |is_hit: &dyn Fn(&Deadlines) -> bool| {
        let current = world.tokens.iter().filter_map(|tracked| tracked.current.as_ref());
        current.filter(|generation| is_hit(&generation.deadlines)).count()
    };
    // kubelet replaces a token by the node's clock, and the API server refuses it by its own.
    let dead = count(&|one| node.lo > (one.expires - one.due) + LEEWAY);
    let each_sync = count(&|one| -node.hi > one.due - one.issued);
    let ahead = ahead(skew);
    let dated = count(&|one| ahead.is_some_and(|clock| is_dated_by(clock, one.issued - now)));
    let early = skew.ahead.lo > LEEWAY && skew.wrong != WrongClock::NodeOrApiServer;
    let found = [
        early.then_some(SkewEffect::NotYetValid),
        (dead > 0).then_some(SkewEffect::DeadBeforeRefresh(dead)),
        (each_sync > 0).then_some(SkewEffect::RefreshedEachSync(each_sync)),
        (dated > 0).then_some(SkewEffect::FutureDated(dated)),
    ];
    found.into_iter().flatten().collect()
}
