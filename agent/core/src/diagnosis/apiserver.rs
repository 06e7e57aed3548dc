//! The symptom of an API server whose clock differs: who is wrong, and what that breaks.
//!
//! A node whose clock is wrong while the API server's is right is `clock.offset` alone.

use crate::base::time::{Delta, Reading};
use crate::findings::{Severity, SkewEffect, SkewSymptom, WrongClock};
use crate::world::World;
use crate::world::clocks::{ClockFacts, Range, VerifierClock};
use crate::world::tokens::{Deadlines, LEEWAY};

/// Difference from which it is reported: the answers show a second, and some verifiers of a token
/// allow no more than that.
const NOTABLE: Delta = Delta::from_secs(2);
/// Difference from which it is a warning: kubelet's jitter. A smaller one moves no rotation
/// noticeably.
const WARNING: Delta = Delta::from_secs(10);

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
    of: VerifierClock,
}

/// The API server's clock.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    /// How far it is known.
    pub(super) known: VerifierKnown,
    /// The symptom, if it certainly differs by more than its limit.
    pub(super) skew: Option<SkewSymptom>,
}

/// What the answers of the API server show of its clock.
pub(super) fn verifier(world: &World, now: &Reading) -> Verifier {
    let clocks = world.cluster.verifiers.known(now);
    let facts = ClockFacts::new(&world.clock, now);
    let skew = against_truth(&clocks, &facts).or_else(|| undecided(&clocks, &facts));
    let skew = skew.map(|skew| symptom(&skew, world));
    Verifier { known: known(&clocks, &facts), skew }
}

fn known(clocks: &[VerifierClock], facts: &ClockFacts<'_>) -> VerifierKnown {
    let Some(last) = clocks.first() else { return VerifierKnown::No };
    match truth(facts) {
        Some(truth) if is_still(last, &truth) && is_measured(last, facts) => VerifierKnown::Yes,
        Some(_) | None => VerifierKnown::Undecided,
    }
}

fn symptom(skew: &Skew, world: &World) -> SkewSymptom {
    let effects = effects(skew, world);
    SkewSymptom {
        wrong: skew.wrong,
        ahead: skew.ahead.middle(),
        bound: skew.ahead.half(),
        ahead_of_node: skew.of.ahead.middle(),
        answers: skew.of.answers,
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
    let skew = |clock: &VerifierClock| Skew {
        wrong: if clock.alternates { WrongClock::OneApiServer } else { WrongClock::ApiServer },
        ahead: clock.ahead.against(truth),
        of: *clock,
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
    let apart = apart.map(|other| Skew {
        wrong: WrongClock::EitherApiServer,
        ahead: last.ahead.against(other.ahead),
        of: *last,
    });
    // A time server and the API server that agree are two witnesses against the node: clock.offset.
    let agrees = |truth: Range| last.ahead.against(truth).nearest() <= NOTABLE;
    let of_node = Skew { wrong: WrongClock::NodeOrApiServer, ahead: last.ahead, of: *last };
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
        SkewEffect::NotYetValid => skew.of.alternates, // for the other API servers
        SkewEffect::RefreshedEachSync(_) => false,
    });
    let is_small = skew.ahead.nearest() <= WARNING;
    match (breaks_now, is_small) {
        (true, _) => Severity::Critical,
        (false, true) => Severity::Info,
        (false, false) => Severity::Warning,
    }
}

fn effects(skew: &Skew, world: &World) -> Vec<SkewEffect> {
    let node = skew.of.ahead;
    let count = |is_hit: &dyn Fn(&Deadlines) -> bool| {
        let current = world.tokens.iter().filter_map(|tracked| tracked.current.as_ref());
        current.filter(|generation| is_hit(&generation.deadlines)).count()
    };
    // kubelet replaces a token by the node's clock, and the API server refuses it by its own.
    let dead = count(&|one| node.lo > (one.expires - one.due) + LEEWAY);
    let each_sync = count(&|one| -node.hi > one.due - one.issued);
    let early = skew.ahead.lo > LEEWAY && skew.wrong != WrongClock::NodeOrApiServer;
    let found = [
        early.then_some(SkewEffect::NotYetValid),
        (dead > 0).then_some(SkewEffect::DeadBeforeRefresh(dead)),
        (each_sync > 0).then_some(SkewEffect::RefreshedEachSync(each_sync)),
    ];
    found.into_iter().flatten().collect()
}
