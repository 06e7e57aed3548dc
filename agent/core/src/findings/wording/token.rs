//! Findings about tokens.

use super::lifetime::time_left;
use super::parts::{GENERATION, Parts, identity_of};
use super::{
    audience, by_hand, kept, logged, logged_remedy, metrics, names, remedy, subpath, unsynced,
};
use crate::base::text::shown;
use crate::base::time::{Delta, Reading, Wall};
use crate::base::value::Attributes;
use crate::findings::{Finding, PodEnd, Remedy, Severity, Subject, TokenFault, TokenSymptom};
use crate::traces::generation::root;
use crate::world::clocks::ClockState;
use crate::world::cluster::{AccountLoss, AccountName, Known};
use crate::world::tokens::{CACHE, Generation, LEEWAY, Trouble};
use crate::world::{Conclusions, Facts};

/// The evidence that tells how a service account was lost.
pub(crate) const ACCOUNT_STATE: &str = "service_account_state";

/// The finding about `symptom`, with times relative to `now`.
pub(crate) fn token(
    symptom: TokenSymptom,
    facts: &Facts<'_>,
    readers: &Conclusions<'_>,
    now: &Reading,
) -> Finding {
    let (key, generation) = (&facts.tracked.key, facts.generation());
    let parts = kept::parts(symptom, facts, readers, now);
    let Parts { summary, deadline, evidence, remedy } =
        parts.unwrap_or_else(|| parts_of(symptom, facts, now.wall));
    Finding {
        code: symptom.fault.code(),
        severity: symptom.severity,
        summary,
        deadline,
        evidence: evidence.and(cluster_evidence(facts)),
        remedy,
        trace: generation.map(|generation| root(key, &generation.claims)),
        subject: Subject::token(key, facts.pod_ref()),
    }
}

fn parts_of(symptom: TokenSymptom, facts: &Facts<'_>, now: Wall) -> Parts {
    let fault = symptom.fault;
    let (logged, metrics) = (logged::of(fault, facts), metrics::of(fault, facts));
    let by_metrics = || metrics.as_ref().map(metrics::sentence);
    let why = logged.as_ref().map(logged::sentence).or_else(by_metrics).unwrap_or_default();
    let of_error = logged.map(|logged| logged::evidence(&logged, facts)).unwrap_or_default();
    let of_error = of_error.and(metrics.as_ref().map(metrics::evidence).unwrap_or_default());
    Parts {
        summary: summary(fault, facts, now) + &why,
        deadline: deadline(fault, facts),
        evidence: evidence(fault, facts, now).and(of_error),
        remedy: remedy_of(symptom, facts),
    }
}

/// The remedy for the cause that kubelet logged, or that its metrics show, or else for the symptom.
/// A token that is late for some minutes needs none yet.
fn remedy_of(symptom: TokenSymptom, facts: &Facts<'_>) -> Remedy {
    let (pod, generation) = (facts.pod_ref(), facts.generation());
    let is_pending =
        symptom.fault == TokenFault::RotationLate && symptom.severity == Severity::Info;
    let by_kubelet = logged::of(symptom.fault, facts).map(|logged| logged.error.cause);
    let by_metrics = || metrics::of(symptom.fault, facts)?.sign?.cause();
    let cause = by_kubelet.or_else(by_metrics).filter(|_| !is_pending);
    let account = facts.proven_account();
    cause
        .and_then(|cause| logged_remedy::of_token(cause, &pod, account.as_ref()))
        .unwrap_or_else(|| remedy::of_token(symptom, &pod, generation, account.as_ref()))
}

/// When requests start to fail: at `exp`. Verifiers without leeway refuse the token from then on,
/// and API servers some 60 s later. It does not move when a stalled token expires. A token that is
/// extended is stale from its effective deadline on. For a token that is not valid yet, it is when
/// requests stop failing. A token issued in the future fails at its effective deadline, because
/// kubelet rotates it late. Without its service account a token fails since a time that the agent
/// does not know.
fn deadline(fault: TokenFault, facts: &Facts<'_>) -> Option<Wall> {
    let deadlines = facts.generation().map(|generation| generation.deadlines);
    let effective = deadlines.map(|deadlines| deadlines.effective);
    match fault {
        TokenFault::SubjectReplaced(_) | TokenFault::Audience(_) => None,
        // The API server may refuse the token before it expires, because of its pod.
        TokenFault::PodTerminating(
            PodEnd::Overdue { .. } | PodEnd::Deleted(_) | PodEnd::Ended(_),
        ) => effective.map(|at| facts.rejected_from().map_or(at, |from| from.min(at))),
        TokenFault::Expired => deadlines.map(|deadlines| deadlines.expires),
        TokenFault::NotYetValid => deadlines.map(|deadlines| deadlines.accepted_from),
        TokenFault::Subpath => subpath::deadline(facts),
        TokenFault::RotationLate
        | TokenFault::RotationStalled
        | TokenFault::Unsynced(_)
        | TokenFault::FutureDated
        | TokenFault::PodTerminating(PodEnd::Ahead { .. })
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen => effective,
    }
}

fn evidence(fault: TokenFault, facts: &Facts<'_>, now: Wall) -> Attributes {
    match fault {
        TokenFault::Malformed | TokenFault::Unreadable => {
            let trouble = facts.tracked.trouble.as_ref().map(of_trouble).unwrap_or_default();
            trouble.and(of_signature(facts))
        }
        TokenFault::Subpath => generation_evidence(facts, now).and(subpath::evidence(facts)),
        TokenFault::Audience(misfit) => {
            generation_evidence(facts, now).and(audience::evidence(misfit))
        }
        TokenFault::Unsynced(silence) => {
            generation_evidence(facts, now).and(unsynced::evidence(&silence))
        }
        TokenFault::RotationLate | TokenFault::RotationStalled => generation_evidence(facts, now)
            .with_some("failed_renewals", facts.kubelet.failed_renewals.map(i64::from)),
        TokenFault::Expired
        | TokenFault::SubjectReplaced(_)
        | TokenFault::NotYetValid
        | TokenFault::FutureDated
        | TokenFault::PodTerminating(_)
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen => generation_evidence(facts, now)
            .with_some(ACCOUNT_STATE, fault.lost().map(AccountLoss::name)),
    }
}

fn generation_evidence(facts: &Facts<'_>, now: Wall) -> Attributes {
    facts.generation().map(|generation| of_generation(generation, now)).unwrap_or_default()
}

/// Of a token with a wrong signature: which generation it is, and by which keys.
fn of_signature(facts: &Facts<'_>) -> Attributes {
    let Some((signature, generation)) = facts.tracked.signature.zip(facts.generation()) else {
        return Attributes::new();
    };
    Attributes::new()
        .with(GENERATION, generation.claims.generation().as_str())
        .with("keys_at", signature.keys_at)
}

fn of_trouble(trouble: &Trouble) -> Attributes {
    Attributes::new().with("reason", &trouble.reason).with("since", trouble.since.wall)
}

fn of_generation(generation: &Generation, now: Wall) -> Attributes {
    let (claims, deadlines) = (&generation.claims, &generation.deadlines);
    identity_of(generation)
        .with("refresh_due", deadlines.due)
        .with("effective_deadline", deadlines.effective)
        .with("expires_at", claims.expires_at)
        .with("state", deadlines.state(now).name())
        .with("node_time", now)
        .with("seconds_left", deadlines.effective - now)
}

/// What the cluster knows of the pod, with its age while the API server cannot be reached.
fn cluster_evidence(facts: &Facts<'_>) -> Attributes {
    let volume = &facts.tracked.key.volume;
    let evidence =
        |known: Known<'_>| known.pod.evidence(volume).with_some("cluster_age", known.age);
    facts.known.map(evidence).unwrap_or_default()
}

fn summary(fault: TokenFault, facts: &Facts<'_>, now: Wall) -> String {
    let key = &facts.tracked.key;
    let token = names::token(&facts.pod_ref(), &key.volume, &key.path);
    match (fault, facts.generation()) {
        (TokenFault::Malformed, _) => broken(&token, of_malformed(facts), facts),
        (TokenFault::Unreadable, _) => broken(&token, "cannot be read", facts),
        (TokenFault::Subpath, _) => subpath::summary(&token, facts, now),
        (TokenFault::Audience(misfit), _) => audience::summary(&token, misfit, facts),
        (_, Some(generation)) => lifecycle(&token, fault, generation, facts, now),
        (_, None) => token, // every other fault needs a generation
    }
}

/// A token with a wrong signature has claims, and nobody accepts it.
fn of_malformed(facts: &Facts<'_>) -> &'static str {
    let is_checked = facts.tracked.signature.is_some();
    if is_checked { "holds a token that no API server accepts" } else { "does not hold a token" }
}

fn broken(token: &str, what: &str, facts: &Facts<'_>) -> String {
    let reason = facts.tracked.trouble.as_ref().map_or("", |trouble| &trouble.reason);
    format!("{token} {what}: {}.", shown(reason))
}

fn lifecycle(
    token: &str,
    fault: TokenFault,
    generation: &Generation,
    facts: &Facts<'_>,
    now: Wall,
) -> String {
    match fault {
        TokenFault::RotationLate | TokenFault::RotationStalled
            if !generation.claims.binding.is_of_kubelet() =>
        {
            by_hand::summary(token, generation, now)
        }
        TokenFault::RotationLate => format!(
            "{token} should have been replaced {} ago; kubelet is late. {}{}",
            now - generation.deadlines.due,
            unsynced::renewals(facts.kubelet.failed_renewals),
            time_left(generation, now)
        ),
        TokenFault::RotationStalled => format!(
            "{token} should have been replaced {} ago: kubelet has stopped rotating it. {}{}",
            now - generation.deadlines.due,
            unsynced::renewals(facts.kubelet.failed_renewals),
            time_left(generation, now)
        ),
        TokenFault::Unsynced(silence) => unsynced::summary(token, &silence, generation, now),
        TokenFault::Expired => expired(token, generation, facts, now),
        TokenFault::SubjectReplaced(lost) => without_account(token, generation, lost, now),
        TokenFault::PodTerminating(end) => pod_end(token, end, generation, facts, now),
        TokenFault::NotYetValid => format!(
            "{token} is not valid yet: the API server refuses it for another {} (until {}), and \
             kubelet does not replace it.",
            generation.deadlines.accepted_from - now,
            generation.deadlines.accepted_from.rfc3339()
        ),
        TokenFault::FutureDated => format!(
            "{token} was issued {} in the future: either the API server's clock is ahead, or this \
             node's clock is behind.",
            generation.claims.issued_at - now
        ),
        TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::Audience(_)
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen => token.to_owned(),
    }
}

fn pod_end(
    token: &str,
    end: PodEnd,
    generation: &Generation,
    facts: &Facts<'_>,
    now: Wall,
) -> String {
    let left = time_left(generation, now);
    match end {
        PodEnd::Ahead { deletion } => format!(
            "{token} will not be replaced: its pod is terminating and has until {} to end. {left}",
            deletion.rfc3339()
        ),
        PodEnd::Overdue { deletion } => format!(
            "{token}: terminating, still running, token {}. The pod should have ended {} ago, and \
             kubelet has not removed its files, so its containers probably still run. {}",
            if is_dead(generation, facts, now) { "dead" } else { "stale" },
            now - deletion,
            refused_since(generation, facts, now),
        ),
        PodEnd::Deleted(deleted) => format!(
            "{token} is left on the node: the API server does not know its pod{}, and refuses the \
             token.",
            if deleted.ran { " any more" } else { "" }
        ),
        PodEnd::Ended(phase) => format!(
            "{token} is left on the node: the containers of its pod have ended (phase {}), so \
             nothing uses it.",
            phase.name()
        ),
    }
}

/// Whether the API server refuses the token, because it expired or because of its pod.
fn is_dead(generation: &Generation, facts: &Facts<'_>, now: Wall) -> bool {
    let rejected = facts.rejected_from().is_some_and(|from| now >= from);
    rejected || now >= generation.claims.expires_at
}

fn refused_since(generation: &Generation, facts: &Facts<'_>, now: Wall) -> String {
    match facts.rejected_from() {
        Some(from) if now >= from && from < generation.claims.expires_at => format!(
            "The API server has refused the token for {}: it accepts tokens of a deleted pod for \
             {LEEWAY} after its end.",
            now - from
        ),
        Some(_) | None => time_left(generation, now),
    }
}

fn expired(token: &str, generation: &Generation, facts: &Facts<'_>, now: Wall) -> String {
    let since = match now - generation.claims.expires_at {
        since if since < Delta::from_secs(1) => "just now".to_owned(),
        since => format!("{since} ago"),
    };
    let by = if facts.clock.assumed {
        " by this node's own clock, which no time source confirms. If that clock is right,"
    } else if facts.clock.alone && facts.clock.state == ClockState::Off {
        " by this node's own clock, which the only time server contradicts. If that clock is right,"
    } else {
        ":"
    };
    format!("{token} expired {since}{by} {}", refusal(generation, now))
}

fn refusal(generation: &Generation, now: Wall) -> String {
    let left = generation.deadlines.hard - now;
    if left > Delta::ZERO {
        format!(
            "the API server refuses it within {left} at the latest (its leeway of {LEEWAY} and \
             cache of {CACHE})."
        )
    } else {
        "the API server answers 401 to every request with it.".to_owned()
    }
}

/// The API server looks up the account with each request. kubelet looks at the token's age alone.
fn without_account(token: &str, generation: &Generation, lost: AccountLoss, now: Wall) -> String {
    let AccountName { namespace, name } = AccountName::of(&generation.claims);
    let account = format!("service account {}/{}", shown(&namespace), shown(&name));
    let what = match lost {
        AccountLoss::Missing => "does not exist any more",
        AccountLoss::Replaced => {
            "was deleted and created again, and this token belongs to the old account"
        }
    };
    let kubelet = replacement(generation, lost, now);
    format!("{token} is refused by the API server: its {account} {what}. {kubelet}")
}

/// What kubelet does about a token whose account was lost.
fn replacement(generation: &Generation, lost: AccountLoss, now: Wall) -> String {
    let due = generation.deadlines.due;
    match lost {
        AccountLoss::Missing => "kubelet gets no token for it.".to_owned(),
        AccountLoss::Replaced if now < due => format!(
            "kubelet keeps it until it is due for replacement in {}, at {}.",
            due - now,
            due.rfc3339()
        ),
        AccountLoss::Replaced => format!("kubelet should have replaced it {} ago.", now - due),
    }
}
