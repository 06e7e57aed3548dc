//! The trace of one generation of a token: a root span, and its phases as children.

use crate::base::ids::{TraceContext, TraceId};
use crate::base::schema;
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::traces::{Span, SpanKind, SpanLink};
use crate::world::cluster::PodRef;
use crate::world::tokens::{Claims, Generation, GenerationId, TokenKey};

/// How a generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The next generation replaced it.
    Replaced(GenerationId),
    /// It was still in the file at `exp`.
    Expired,
    /// The file no longer exists, alone or with its volume or pod.
    Gone,
}

/// The spans of a generation that ended at `end`, on the node's clock. The root is the first.
pub fn closed(
    key: &TokenKey,
    pod: &PodRef,
    generation: &Generation,
    end: Wall,
    ended: &Ended,
) -> Vec<Span> {
    // A token that was replaced before its own `iat` has a length of zero, not a negative one.
    let end = end.max(generation.claims.issued_at);
    let context = root(key, &generation.claims);
    let waited_from = generation.deadlines.due.min(end);
    let mut spans = vec![root_span(key, pod, generation, end, ended, context)];
    spans.push(phase(schema::SPAN_FRESH, context, generation.claims.issued_at, waited_from));
    spans.push(phase(schema::SPAN_REFRESH_WAIT, context, waited_from, end));
    for span in &mut spans[1..] {
        span.attributes = identity(key, pod, generation);
    }
    if *ended == Ended::Expired {
        mark_failed(&mut spans);
    }
    spans
}

/// The known part of a generation that is still in the file: a child of the root span, which a
/// later agent exports. Its span id contains when this agent first saw the generation, because
/// several agents may run during one generation.
pub fn open(key: &TokenKey, pod: &PodRef, generation: &Generation, now: Wall) -> Span {
    let context = root(key, &generation.claims);
    let mut span = phase(
        schema::SPAN_GENERATION,
        context,
        generation.claims.issued_at,
        now.max(generation.claims.issued_at),
    );
    span.context.span_id =
        context.trace_id.span(&format!("open/{}", generation.seen.wall.as_nanos()));
    span.attributes = described(key, pod, generation)
        .with(schema::TOKEN_OUTCOME, "open")
        .with(schema::TOKEN_STATE, generation.deadlines.state(now).name());
    span
}

fn root_span(
    key: &TokenKey,
    pod: &PodRef,
    generation: &Generation,
    end: Wall,
    ended: &Ended,
    context: TraceContext,
) -> Span {
    let delay = matches!(ended, Ended::Replaced(_)).then(|| rotation_delay(generation, end));
    Span {
        parent: None,
        context,
        attributes: described(key, pod, generation)
            .with(schema::TOKEN_OUTCOME, outcome_name(ended))
            .with(schema::TOKEN_STATE, generation.deadlines.state(end).name())
            .with_some(schema::TOKEN_ROTATION_DELAY, delay),
        links: links(key, generation, ended),
        ..phase(schema::SPAN_GENERATION, context, generation.claims.issued_at, end)
    }
}

fn phase(name: &'static str, context: TraceContext, start: Wall, end: Wall) -> Span {
    Span {
        context: TraceContext { span_id: context.trace_id.span(name), ..context },
        parent: Some(context.span_id),
        name,
        kind: SpanKind::Internal,
        start,
        end,
        error: None,
        attributes: Attributes::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn outcome_name(ended: &Ended) -> &'static str {
    match ended {
        Ended::Replaced(_) => "replaced",
        Ended::Expired => "expired",
        Ended::Gone => "gone",
    }
}

fn links(key: &TokenKey, generation: &Generation, ended: &Ended) -> Vec<SpanLink> {
    let next = match ended {
        Ended::Replaced(next) => Some(trace_of(key, next)),
        Ended::Expired | Ended::Gone => None,
    };
    let next = next.map(|trace_id| link(context_of(trace_id), "next"));
    let previous = generation
        .previous
        .as_ref()
        .map(|previous| link(context_of(trace_of(key, previous)), "previous"));
    next.into_iter().chain(previous).collect()
}

fn link(to: TraceContext, relation: &str) -> SpanLink {
    SpanLink { to, attributes: Attributes::new().with(schema::LINK_RELATION, relation) }
}

fn mark_failed(spans: &mut [Span]) {
    for span in spans.iter_mut().filter(|span| span.name != schema::SPAN_FRESH) {
        span.error = Some("kubelet did not replace the token before it expired".to_owned());
    }
}

fn identity(key: &TokenKey, pod: &PodRef, generation: &Generation) -> Attributes {
    pod.attributes()
        .with(schema::K8S_VOLUME, &key.volume)
        .with(schema::TOKEN_PATH, &key.path)
        .with(schema::TOKEN_GENERATION, generation.claims.generation().as_str())
}

fn described(key: &TokenKey, pod: &PodRef, generation: &Generation) -> Attributes {
    let (claims, deadlines) = (&generation.claims, &generation.deadlines);
    identity(key, pod, generation)
        .with(schema::SERVICE_ACCOUNT, &claims.binding.service_account.name)
        .with(schema::TOKEN_AUDIENCES, claims.audiences.as_slice())
        .with(schema::TOKEN_ISSUER, &claims.issuer)
        .with(schema::TOKEN_ISSUED_AT, claims.issued_at)
        .with(schema::TOKEN_EXPIRES_AT, claims.expires_at)
        .with_some(schema::TOKEN_WARN_AFTER, claims.warn_after)
        .with(schema::TOKEN_REFRESH_DUE, deadlines.due)
        .with(schema::TOKEN_EFFECTIVE_DEADLINE, deadlines.effective)
        .with_some(schema::TOKEN_APPEARED_AT, generation.appeared_at)
}

/// The trace of a generation and its root span. The ids are derived from the token, so that a
/// restarted agent continues the same trace.
pub fn root(key: &TokenKey, claims: &Claims) -> TraceContext {
    context_of(trace_of(key, &claims.generation()))
}

/// The same, of a generation by its id.
pub(crate) fn context(key: &TokenKey, generation: &str) -> TraceContext {
    context_of(derived(key, generation))
}

fn context_of(trace_id: TraceId) -> TraceContext {
    TraceContext { trace_id, span_id: trace_id.span(schema::SPAN_GENERATION) }
}

fn trace_of(key: &TokenKey, generation: &GenerationId) -> TraceId {
    derived(key, generation.as_str())
}

fn derived(key: &TokenKey, generation: &str) -> TraceId {
    TraceId::derived(&["generation", &key.pod_uid, &key.volume, &key.path, generation])
}

/// How late the rotation of `old` was. Negative if kubelet rotated early: its jitter, or a restart.
pub fn rotation_delay(old: &Generation, at: Wall) -> Delta {
    at - old.deadlines.due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tokens::claims_for_tests as claims;
    use crate::world::tokens::testing::{IAT, key, see};
    use crate::world::tokens::{Change, Tracked};

    fn rotated_at(end: i64) -> Vec<Span> {
        let mut tracked = Tracked::new(key());
        let _ = see(&mut tracked, 0, None, 5);
        let Change::Rotated { old, at } = see(&mut tracked, end - 1, Some(end), end) else {
            panic!("no rotation")
        };
        closed(
            &key(),
            &PodRef::of(&tracked, None),
            &old,
            at,
            &Ended::Replaced(tracked.current.unwrap().claims.generation()),
        )
    }

    #[test]
    fn a_generation_is_one_complete_trace() {
        let spans = rotated_at(492);
        let names: Vec<_> = spans.iter().map(|span| span.name).collect();
        assert_eq!(names, [schema::SPAN_GENERATION, schema::SPAN_FRESH, schema::SPAN_REFRESH_WAIT]);
        assert!(spans.iter().all(|span| span.context.trace_id == spans[0].context.trace_id));
        assert!(spans[1..].iter().all(|span| span.parent == Some(spans[0].context.span_id)));
        assert_eq!(spans[2].end - spans[2].start, Delta::from_secs(12));
        assert_eq!(spans[0].start, Wall::from_secs(IAT));
        let next = root(&key(), &claims(IAT + 491, 600, None));
        assert_eq!(spans[0].links[0].to, next);
    }

    #[test]
    fn an_early_rotation_has_no_wait_and_the_phases_do_not_overlap() {
        let spans = rotated_at(100);
        assert_eq!(
            (spans[1].end, spans[2].start, spans[2].end),
            (spans[0].end, spans[0].end, spans[0].end)
        );
    }

    #[test]
    fn an_unfinished_generation_is_a_child_of_the_later_root() {
        let mut tracked = Tracked::new(key());
        let _ = see(&mut tracked, 0, None, 5);
        let span = open(
            &key(),
            &PodRef::of(&tracked, None),
            tracked.current.as_ref().unwrap(),
            Wall::from_secs(IAT + 60),
        );
        let root = root(&key(), &claims(IAT, 600, None));
        assert_eq!((span.context.trace_id, span.parent), (root.trace_id, Some(root.span_id)));
        assert_ne!(span.context.span_id, root.span_id);
    }
}
