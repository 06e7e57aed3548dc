//! What is wrong with one token.

use super::{Context, remedy};
use crate::cluster::{AccountLoss, AccountName, Known, Pod};
use crate::findings::{Code, Finding, PodRef, Severity, Subject};
use crate::lifecycle::{Generation, Tracked, Trouble, root};
use crate::text::shown;
use crate::time::{Boot, Delta, Reading, Wall};
use crate::token::{CACHE, LEEWAY, State};
use crate::value::Attributes;

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
        let confirmed = corrects.map_or(seen, |true_now| both(seen, fact(generation, true_now, context)));
        clock_effect = match true_now {
            _ if seen.is_some() && confirmed.is_none() => ClockEffect::LooksWrong,
            Some(true_now) if is_refused_unseen(generation, now.wall, true_now) => ClockEffect::Refused,
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

/// What is wrong by both clocks: the milder of the two. What only one of them sees is the clock's fault, and the clock has its own finding.
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
        State::Stalled | State::Late if context.lost.is_some() => fact(Code::RotationStalled, Severity::Critical),
        State::Stalled => fact(Code::RotationStalled, stalled_severity(generation, now)),
        State::Late => fact(Code::RotationLate, Severity::Info),
        State::Fresh | State::Due => future_dated(generation, now, context),
    }
}

/// Whose account may be why this token was not replaced: worth a question.
pub fn in_question(generation: &Generation, now: Wall, context: Context<'_>) -> Option<AccountName> {
    let waits = matches!(generation.deadlines.state(now), State::Late | State::Stalled | State::Expired);
    (waits && context.deletion().is_none()).then(|| account_of(generation, context.pod())).flatten()
}

/// The account of a token that the cluster knows to be its pod's. Claims alone are not believed: whoever may write a file into a pod could have the
/// agent ask for anything, and say what was answered.
pub fn account_of(generation: &Generation, pod: Option<&Pod>) -> Option<AccountName> {
    let (claimed, pod) = (AccountName::of(&generation.claims), pod?);
    (pod.namespace == claimed.namespace && pod.service_account.as_ref() == Some(&claimed.name)).then_some(claimed)
}

/// kubelet replaces no token of a pod that is going (it syncs the volumes of such a pod no more): being late is no fault of its own then.
fn going(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Fact> {
    let effective = generation.deadlines.effective;
    let fails_before = context.deletion().is_some_and(|deletion| effective < deletion && now < deletion);
    let severity = if now >= effective && generation.claims.warn_after.is_none() { Severity::Critical } else { Severity::Warning };
    fails_before.then_some(Fact { code: Code::PodTerminating, severity })
}

/// Critical near the deadline; past it only without extension, for an extended token goes on working.
fn stalled_severity(generation: &Generation, now: Wall) -> Severity {
    let extended = generation.claims.warn_after.is_some();
    let past = now >= generation.deadlines.effective;
    if now >= generation.deadlines.critical && !(past && extended) { Severity::Critical } else { Severity::Warning }
}

fn future_dated(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Fact> {
    let ahead = generation.claims.issued_at - now;
    if ahead <= FUTURE_TOLERANCE + proven_bound(context) {
        return None;
    }
    let severity = if ahead > FUTURE_WARNING { Severity::Warning } else { Severity::Info };
    Some(Fact { code: Code::FutureDated, severity })
}

/// An assumed bound proves nothing either way: that the signer's clock and the node's differ is a fact without it.
fn proven_bound(context: Context<'_>) -> Delta {
    if context.clock.assumed { Delta::ZERO } else { context.clock.bound }
}

/// When the judgement may change by the passing of time alone.
pub fn next_change(tracked: &Tracked, now: &Reading, context: Context<'_>) -> Option<Boot> {
    let settles = tracked.trouble.as_ref().map(|trouble| trouble.since.boot + context.settle).filter(|at| *at > now.boot);
    let deadlines = tracked.current.iter().flat_map(|generation| {
        let clocks = [Some(now.wall), context.corrected(now.wall)];
        clocks.into_iter().flatten().filter_map(|wall| Some(now.boot + (next_deadline(generation, wall, context)? - wall)))
    });
    let killed = context.deletion().map(|at| now.boot + (at - now.wall)).filter(|at| *at > now.boot);
    let caught_up = context.catching_up.map(|step| step.until).filter(|at| *at > now.boot);
    settles.into_iter().chain(deadlines).chain(caught_up).chain(killed).min()
}

fn next_deadline(generation: &Generation, now: Wall, context: Context<'_>) -> Option<Wall> {
    let issued = generation.claims.issued_at;
    // the deadline itself is one of these only where something changes there for a pod that stays
    let going = context.deletion().map(|_| generation.deadlines.effective).filter(|at| *at > now);
    let future = [issued - FUTURE_TOLERANCE - proven_bound(context), issued - FUTURE_WARNING];
    generation.deadlines.next_change(now).into_iter().chain(going).chain(future.into_iter().filter(|at| *at > now)).min()
}

fn trouble(tracked: &Tracked, now: &Reading, context: Context<'_>) -> Option<Finding> {
    let trouble = tracked.trouble.as_ref().filter(|trouble| now.boot - trouble.since.boot >= context.settle)?;
    let (code, word) = if trouble.malformed { (Code::Malformed, "does not hold a token") } else { (Code::Unreadable, "cannot be read") };
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

fn worded(tracked: &Tracked, generation: &Generation, fact: Fact, now: Wall, context: Context<'_>) -> Finding {
    let lost = context.lost.filter(|_| matches!(fact.code, Code::RotationStalled | Code::Expired));
    let said = finding(tracked, fact.code, fact.severity, summary(tracked, generation, fact.code, now, context), context);
    Finding {
        deadline: Some(deadline(generation, fact.code)),
        evidence: evidence(generation, now)
            .with_some("service_account_state", lost.map(AccountLoss::name))
            .and(cluster_evidence(tracked, context)),
        trace: Some(root(&tracked.key, &generation.claims)),
        remedy: lost.map_or_else(|| said.remedy.clone(), |lost| remedy::of_account(lost, &generation.claims, &tracked.pod(context.pod()))),
        ..said
    }
}

/// What the cluster knows, and how old that is where it cannot be asked.
fn cluster_evidence(tracked: &Tracked, context: Context<'_>) -> Attributes {
    let evidence = |known: Known<'_>| known.pod.evidence(&tracked.key.volume).with_some("cluster_age", known.age);
    context.known.map(evidence).unwrap_or_default()
}

fn finding(tracked: &Tracked, code: Code, severity: Severity, summary: String, context: Context<'_>) -> Finding {
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

/// When it starts to hurt; for a token that is not valid yet, when it stops. One from the future hurts when its rotation, as late as it was early, fails.
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

fn summary(tracked: &Tracked, generation: &Generation, code: Code, now: Wall, context: Context<'_>) -> String {
    let (token, deadlines) = (name_of(tracked, context), &generation.deadlines);
    match code {
        Code::RotationLate => {
            format!("{token} should have been replaced {} ago; kubelet is late. {}", now - deadlines.due, time_left(generation, now))
        }
        Code::RotationStalled if context.lost.is_some() => {
            format!("{token} should have been replaced {} ago{}", now - deadlines.due, account(generation, context))
        }
        Code::RotationStalled => {
            format!(
                "{token} should have been replaced {} ago: kubelet has stopped rotating it. {}",
                now - deadlines.due,
                time_left(generation, now)
            )
        }
        Code::Expired => format!("{}{}", expired(&token, generation, now, context), because(generation, context)),
        Code::PodTerminating => going_away(&token, generation, now, context),
        Code::NotYetValid => format!(
            "{token} is not valid yet: the API server refuses it for another {} (until {}), and kubelet will not replace it.",
            deadlines.accepted_from - now,
            deadlines.accepted_from.rfc3339()
        ),
        _ => format!(
            "{token} was issued {} in the future: the API server's clock is ahead of this node's, or the node's is behind.",
            generation.claims.issued_at - now
        ),
    }
}

fn expired(token: &str, generation: &Generation, now: Wall, context: Context<'_>) -> String {
    let since = match now - generation.claims.expires_at {
        since if since < Delta::from_secs(1) => "just now".to_owned(),
        since => format!("{since} ago"),
    };
    let by = if context.clock.assumed { " by this node's own clock, for which nothing vouches: if it is right," } else { ":" };
    if now < generation.deadlines.hard {
        let left = generation.deadlines.hard - now;
        return format!(
            "{token} expired {since}{by} the API server refuses it within {left} at the latest (its leeway of {LEEWAY} and cache of {CACHE})."
        );
    }
    format!("{token} expired {since}{by} the API server answers 401 to every request with it.")
}

/// What became of the account, as the end of a sentence.
fn account(generation: &Generation, context: Context<'_>) -> String {
    let AccountName { namespace, name } = AccountName::of(&generation.claims);
    let account = format!("service account {}/{}", shown(&namespace), shown(&name));
    match context.lost {
        Some(AccountLoss::Missing) => {
            format!(": its {account} does not exist any more. kubelet gets no token for it, and the API server refuses this one.")
        }
        Some(AccountLoss::Replaced) => format!(
            ": its {account} was deleted and made anew. The API server refuses this token, which is of the one before, and kubelet has not replaced it."
        ),
        None => String::new(),
    }
}

/// The same, after a sentence that stands by itself.
fn because(generation: &Generation, context: Context<'_>) -> String {
    match account(generation, context).strip_prefix(": its ") {
        Some(rest) => format!(" Its {rest}"),
        None => String::new(),
    }
}

fn going_away(token: &str, generation: &Generation, now: Wall, context: Context<'_>) -> String {
    let end = context.deletion().unwrap_or(now);
    let left = time_left(generation, now);
    format!("{token} is not replaced any more, because its pod is going and has until {} to end. {left}", end.rfc3339())
}

fn time_left(generation: &Generation, now: Wall) -> String {
    let effective = generation.deadlines.effective;
    let left = effective - now;
    match (generation.claims.warn_after.is_some(), left > Delta::ZERO) {
        (false, false) => format!("It expired {} ago, and requests with it get 401.", -left),
        (false, true) => format!("It expires in {left}, at {}.", effective.rfc3339()),
        (true, true) => format!(
            "It goes stale in {left}, at {}; after that it works only thanks to the API server's expiry extension.",
            effective.rfc3339()
        ),
        (true, false) => format!("It went stale {} ago and works only thanks to the API server's expiry extension.", -left),
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
mod tests {
    use super::*;
    use crate::clock::{ClockState, Estimate};
    use crate::diagnosis::CatchingUp;
    use crate::observation::{FileContent, FileSeen};
    use crate::token::{KubeletPolicy, TokenKey, claims_for_tests as claims};

    const IAT: i64 = 1_800_000_000;

    fn at(age: i64) -> Reading {
        Reading { wall: Wall::from_secs(IAT + age), boot: Boot::from_nanos((age + 10_000) * 1_000_000_000) }
    }

    fn tracked(lifetime: i64, warn_after: Option<i64>) -> Tracked {
        let key = TokenKey { pod_uid: "pod-uid".into(), volume: "v".into(), path: "token".into() };
        let mut tracked = Tracked::new(key.clone());
        let content = FileContent::Token(Box::new(claims(IAT, lifetime, warn_after)));
        let _ = tracked.see(FileSeen { key, written_at: None, content }, &at(0), KubeletPolicy::default());
        tracked
    }

    fn clock(state: ClockState, offset: i64, assumed: bool) -> Estimate {
        Estimate { offset: Delta::from_secs(offset), bound: Delta::from_secs(1), assumed, state }
    }

    fn context(clock: &Estimate) -> Context<'_> {
        Context { clock, settle: Delta::ZERO, catching_up: None, known: None, lost: None }
    }

    fn found(tracked: &Tracked, age: i64, clock: &Estimate) -> Vec<(Code, Severity)> {
        let judged = judge(tracked, &at(age), context(clock));
        judged.findings.iter().map(|finding| (finding.code, finding.severity)).collect()
    }

    #[test]
    fn severity_grows_with_nearness() {
        use Code::{Expired, FutureDated, NotYetValid, RotationLate, RotationStalled};
        use Severity::{Critical, Info, Warning};
        let good = clock(ClockState::Synchronised, 0, false);
        let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
        let table = [
            (&plain, -80, Some((NotYetValid, Critical))),
            (&plain, -50, Some((FutureDated, Info))),
            (&plain, -11, None),
            (&plain, 100, None),
            (&plain, 2_900, None),
            (&plain, 3_000, Some((RotationLate, Info))),
            (&plain, 3_180, Some((RotationStalled, Warning))),
            (&plain, 3_360, Some((RotationStalled, Critical))),
            (&plain, 3_600, Some((Expired, Critical))),
            (&extended, 3_370, Some((RotationStalled, Critical))),
            (&extended, 3_700, Some((RotationStalled, Warning))),
        ];
        for (token, age, expected) in table {
            assert_eq!(found(token, age, &good), Vec::from_iter(expected), "age {age}");
        }
    }

    #[test]
    fn the_deadline_is_when_it_starts_to_hurt() {
        let good = clock(ClockState::Synchronised, 0, false);
        let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
        let table = [
            (&plain, -80, Code::NotYetValid, -60), // there: when it stops
            (&plain, -50, Code::FutureDated, 3_600),
            (&plain, 3_000, Code::RotationLate, 3_600),
            (&extended, 3_200, Code::RotationStalled, 3_607),
            (&plain, 3_600, Code::Expired, 3_670),
        ];
        for (token, age, code, deadline) in table {
            let finding = judge(token, &at(age), context(&good)).findings.remove(0);
            assert_eq!((finding.code, finding.deadline), (code, Some(Wall::from_secs(IAT + deadline))), "age {age}");
        }
    }

    #[test]
    fn a_future_iat_with_an_early_nbf_is_a_warning() {
        let mut token = tracked(3_600, None);
        let generation = token.current.as_mut().unwrap();
        generation.claims.not_before = Wall::from_secs(IAT - 3_600);
        generation.deadlines = crate::token::Deadlines::of(&generation.claims, &KubeletPolicy::default());
        let good = clock(ClockState::Synchronised, 0, false);
        assert_eq!(found(&token, -100, &good), [(Code::FutureDated, Severity::Warning)]);
    }

    #[test]
    fn a_clock_that_is_off_is_not_held_against_tokens() {
        let token = tracked(600, None);
        // (age on the node's clock, true minus node, finding by node clock alone)
        for (age, offset) in [(585, -90), (640, -200), (-90, 90), (-30, 40)] {
            let off = clock(ClockState::Off, offset, false);
            let judged = judge(&token, &at(age), context(&off));
            assert_eq!(judged.findings, [], "age {age}");
            assert_eq!(judged.clock_effect, ClockEffect::LooksWrong, "age {age}");
        }
    }

    #[test]
    fn what_both_clocks_see_stays_and_the_milder_word_counts() {
        let token = tracked(600, None);
        assert_eq!(found(&token, 700, &clock(ClockState::Off, -5, false)), [(Code::Expired, Severity::Critical)]);
        assert_eq!(found(&token, 605, &clock(ClockState::Off, -20, false)), [(Code::RotationLate, Severity::Info)]);
        assert_eq!(found(&token, 300, &clock(ClockState::Off, 400, false)), [], "kubelet goes by the node's clock");
    }

    #[test]
    fn a_token_that_only_looks_good_is_counted() {
        let token = tracked(600, None);
        // (age on the node's clock, true minus node, what the clock does to it)
        for (age, offset, effect) in [(450, 225, ClockEffect::Refused), (450, 215, ClockEffect::None), (605, 90, ClockEffect::None)] {
            let off = clock(ClockState::Off, offset, false);
            assert_eq!(judge(&token, &at(age), context(&off)).clock_effect, effect, "age {age}, offset {offset}");
        }
    }

    #[test]
    fn kubelet_may_catch_up_after_the_clock_was_set_forward() {
        let (token, good) = (tracked(3_600, None), clock(ClockState::Synchronised, 0, false));
        let until = at(3_300).boot;
        let after = |size| Context { catching_up: Some(CatchingUp { size: Delta::from_secs(size), until }), ..context(&good) };
        let codes = |age, size| judge(&token, &at(age), after(size)).findings.iter().map(|finding| finding.code).collect::<Vec<_>>();
        assert_eq!(codes(3_200, 400), [], "not even due before the clock was set");
        assert_eq!(codes(3_200, 100), [Code::RotationStalled], "late before as well");
        assert_eq!(codes(3_700, 900), [Code::Expired], "dead is dead");
        assert_eq!(next_change(&token, &at(3_200), after(400)), Some(until));
    }

    #[test]
    fn trouble_is_said_once_it_has_settled() {
        let mut token = tracked(600, None);
        let content = FileContent::Malformed { reason: "its payload is cut off".into() };
        let _ = token.see(FileSeen { key: token.key.clone(), written_at: None, content }, &at(10), KubeletPolicy::default());
        let good = clock(ClockState::Synchronised, 0, false);
        let context = Context { settle: Delta::from_secs(10), ..context(&good) };
        assert_eq!(judge(&token, &at(15), context).findings, []);
        assert_eq!(next_change(&token, &at(15), context), Some(at(20).boot));
        let finding = &judge(&token, &at(20), context).findings[0];
        assert_eq!(finding.summary, "Token \"token\" of pod shop/cart-0 (volume v) does not hold a token: its payload is cut off.");
    }

    #[test]
    fn sentences_say_who_what_and_how_long() {
        let token = tracked(600, None);
        let good = clock(ClockState::Synchronised, 0, false);
        let say = |age| judge(&token, &at(age), context(&good)).findings[0].summary.clone();
        assert_eq!(
            say(592),
            "Token \"token\" of pod shop/cart-0 (volume v) should have been replaced 1m 52s ago: kubelet has stopped rotating it. \
             It expires in 8.0s, at 2027-01-15T08:10:00Z."
        );
        assert_eq!(
            say(672),
            "Token \"token\" of pod shop/cart-0 (volume v) expired 1m 12s ago: the API server answers 401 to every request with it."
        );
    }

    fn going_at(deletion: i64) -> crate::cluster::Pod {
        let owner = Some(crate::cluster::Owner { kind: "Job".into(), name: "report".into() });
        let deletion = Some(Wall::from_secs(IAT + deletion));
        crate::cluster::Pod { namespace: "shop".into(), name: "report-x".into(), owner, deletion, ..crate::cluster::Pod::default() }
    }

    #[test]
    fn a_pod_that_is_going_is_the_cause_and_kubelet_is_not_accused() {
        use Severity::{Critical, Warning};
        let good = clock(ClockState::Synchronised, 0, false);
        let (plain, extended) = (tracked(600, None), tracked(31_536_000, Some(3_607)));
        // (token, its age, when the grace period ends, what is found)
        let table = [
            (&plain, 100, 700, Some(Warning)),
            (&plain, 100, 600, None), // it lasts until the end
            (&plain, 595, 600, None), // late by far, and that is no fault
            (&plain, 595, 700, Some(Warning)),
            (&plain, 650, 700, Some(Critical)),
            (&plain, 750, 700, None), // nobody is left who would use it
            (&extended, 3_700, 4_000, Some(Warning)),
        ];
        for (token, age, deletion, expected) in table {
            let pod = going_at(deletion);
            let context = Context { known: Some(Known { pod: &pod, age: None }), ..context(&good) };
            let found: Vec<_> = judge(token, &at(age), context).findings.iter().map(|f| (f.code, f.severity)).collect();
            assert_eq!(found, Vec::from_iter(expected.map(|severity| (Code::PodTerminating, severity))), "age {age}, until {deletion}");
        }
    }

    #[test]
    fn a_pod_that_is_going_is_judged_again_when_its_token_and_when_itself_ends() {
        let (token, good, pod) = (tracked(600, None), clock(ClockState::Synchronised, 0, false), going_at(700));
        let context = Context { known: Some(Known { pod: &pod, age: None }), ..context(&good) };
        let wakes: Vec<_> = [595, 600, 670].map(|age| next_change(&token, &at(age), context)).into();
        assert_eq!(wakes, [600, 670, 700].map(|age| Some(at(age).boot)));
    }

    #[test]
    fn what_the_cluster_knows_is_told_with_its_age() {
        let (token, good, pod) = (tracked(600, None), clock(ClockState::Synchronised, 0, false), going_at(700));
        let context = Context { known: Some(Known { pod: &pod, age: Some(Delta::from_secs(90)) }), ..context(&good) };
        let finding = &judge(&token, &at(595), context).findings[0];
        assert_eq!(
            finding.summary,
            "Token \"token\" of pod shop/report-x (volume v) is not replaced any more, because its pod is going and has until \
             2027-01-15T08:11:40Z to end. It expires in 5.0s, at 2027-01-15T08:10:00Z."
        );
        assert_eq!(finding.evidence.get("owner"), Some(&"Job report".into()));
        assert_eq!(finding.evidence.get("cluster_age"), Some(&90.0.into()));
    }

    #[test]
    fn an_account_that_is_gone_is_the_cause_with_a_remedy_of_its_own() {
        let (token, good) = (tracked(600, None), clock(ClockState::Synchronised, 0, false));
        // (what became of it, the token's age, the code, how the sentence ends, the command)
        let table = [
            (
                AccountLoss::Missing,
                580,
                Code::RotationStalled,
                "ago: its service account shop/cart does not exist any more. kubelet gets no token for it, and the API server refuses this one.",
                "kubectl create serviceaccount -n shop cart",
            ),
            (
                AccountLoss::Missing,
                680,
                Code::Expired,
                " Its service account shop/cart does not exist any more. kubelet gets no token for it, and the API server refuses this one.",
                "kubectl create serviceaccount -n shop cart",
            ),
            (
                AccountLoss::Replaced,
                580,
                Code::RotationStalled,
                "which is of the one before, and kubelet has not replaced it.",
                "journalctl -u kubelet --since -1h | grep -E \"Couldn't update token|pod-uid\" | tail -n 20",
            ),
        ];
        for (lost, age, code, words, command) in table {
            let context = Context { lost: Some(lost), ..context(&good) };
            let finding = judge(&token, &at(age), context).findings.remove(0);
            assert_eq!((finding.code, finding.severity), (code, Severity::Critical));
            assert!(finding.summary.ends_with(words), "{}", finding.summary);
            assert_eq!(finding.remedy.command.as_deref(), Some(command));
            assert_eq!(finding.evidence.get("service_account_state"), Some(&lost.name().into()));
        }
        assert_eq!(
            judge(&token, &at(100), Context { lost: Some(AccountLoss::Missing), ..context(&good) }).findings,
            [],
            "not asked about yet"
        );
    }

    #[test]
    fn a_clock_that_nothing_vouches_for_is_named_as_the_witness() {
        let (token, alone) = (tracked(600, None), clock(ClockState::Unknown, 0, true));
        for (age, outcome) in [(672, "answers 401"), (610, "refuses it within 1m 00s")] {
            let finding = judge(&token, &at(age), context(&alone)).findings.remove(0);
            assert_eq!((finding.code, finding.severity), (Code::Expired, Severity::Critical));
            let words = "ago by this node's own clock, for which nothing vouches: if it is right, the API server ";
            assert!(finding.summary.contains(&format!("{words}{outcome}")), "{}", finding.summary);
        }
    }

    #[test]
    fn nothing_changes_between_the_moments_that_are_woken_for() {
        let (token, off) = (tracked(600, None), clock(ClockState::Off, -25, false));
        let context = context(&off);
        let mut now = at(-120);
        while let Some(next) = next_change(&token, &now, context) {
            let until = now.after(next - now.boot - Delta::from_millis(1));
            let kinds =
                |reading: &Reading| judge(&token, reading, context).findings.iter().map(|f| (f.code, f.severity)).collect::<Vec<_>>();
            assert_eq!(kinds(&now), kinds(&until));
            now = now.after(next - now.boot);
        }
        assert!(now.wall > Wall::from_secs(IAT + 670));
    }
}
