//! The trace of one measurement of the clock: `clock.measure` with one CLIENT span per exchange.

use crate::base::ids::{SpanId, TraceContext, TraceId};
use crate::base::schema;
use crate::base::time::{Delta, Reading};
use crate::base::value::Attributes;
use crate::traces::{Span, SpanKind};
use crate::world::clocks::{ClockModel, Estimate, Exchange, Round, Sample, Selection, Vote};

/// The spans of `round`, which `model` has already taken. None for a round without exchanges.
pub fn spans(node: &str, model: &ClockModel, round: &Round) -> Vec<Span> {
    if round.exchanges.is_empty() {
        return Vec::new();
    }
    // With both clocks: the wall clock alone can show the same time twice.
    let trace_id = TraceId::derived(&[
        "clock",
        node,
        &round.started.wall.as_nanos().to_string(),
        &round.started.monotonic.as_nanos().to_string(),
    ]);
    let root = root(model, round, trace_id);
    let parent = root.context.span_id;
    let child = |exchange: &Exchange| {
        child(round, exchange, model.vote_of(&exchange.server), trace_id, parent)
    };
    std::iter::once(root).chain(round.exchanges.iter().map(child)).collect()
}

fn root(model: &ClockModel, round: &Round, trace_id: TraceId) -> Span {
    let selection = model.selection(&round.ended);
    let estimate = model.estimate(&round.ended);
    let known = (!estimate.assumed).then_some(estimate.offset);
    let servers = round.exchanges.iter().map(|exchange| &exchange.server);
    let wrong: Vec<_> = servers
        .filter(|server| model.vote_of(server) == Vote::Falseticker)
        .map(ToString::to_string)
        .collect();
    let unanswered = round.exchanges.iter().all(|exchange| exchange.result.is_err());
    Span {
        error: unanswered.then(|| "no time server gave a usable answer".to_owned()),
        attributes: attributes(&estimate, known, &selection)
            .with(schema::CLOCK_FALSETICKERS, wrong.as_slice())
            .with(schema::CLOCK_SOURCE, model.source(&round.ended).name()),
        ..span(
            round,
            (&round.started, &round.ended),
            trace_id,
            trace_id.span(schema::SPAN_CLOCK),
            schema::SPAN_CLOCK,
        )
    }
}

fn child(
    round: &Round,
    exchange: &Exchange,
    vote: Vote,
    trace_id: TraceId,
    parent: SpanId,
) -> Span {
    let server = &exchange.server;
    let id = trace_id.span(&format!("{} {server}", schema::SPAN_NTP));
    let about = Attributes::new()
        .with(schema::SERVER_ADDRESS, &server.host)
        .with(schema::SERVER_PORT, i64::from(server.port))
        .with_some(schema::NETWORK_PEER, server.address.as_ref())
        .with(schema::NTP_VERDICT, vote.name());
    Span {
        parent: Some(parent),
        kind: SpanKind::Client,
        error: exchange.result.as_ref().err().map(ToString::to_string),
        attributes: match &exchange.result {
            Ok(sample) => sample_attributes(about, sample),
            Err(error) => about.with(schema::ERROR_TYPE, error.kind()),
        },
        ..span(round, (&exchange.started, &exchange.ended), trace_id, id, schema::SPAN_NTP)
    }
}

fn sample_attributes(about: Attributes, sample: &Sample) -> Attributes {
    about
        .with(schema::NTP_OFFSET, sample.offset)
        .with(schema::NTP_DELAY, sample.delay)
        .with(schema::NTP_ROOT_DISTANCE, sample.root_distance)
        .with(schema::NTP_STRATUM, i64::from(sample.stratum))
        .with(schema::NTP_REFERENCE_ID, &sample.reference_id)
}

/// A span without attributes. Its times are those of the monotonic clock since the start of the
/// round: a step of the wall clock must not make a span end before it starts.
fn span(
    round: &Round,
    (started, ended): (&Reading, &Reading),
    trace_id: TraceId,
    span_id: SpanId,
    name: &'static str,
) -> Span {
    Span {
        context: TraceContext { trace_id, span_id },
        parent: None,
        name,
        kind: SpanKind::Internal,
        start: round.started.wall_at(started.monotonic),
        end: round.started.wall_at(ended.monotonic),
        error: None,
        attributes: Attributes::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// The attributes of the clock as a whole, for findings and spans.
pub(crate) fn attributes(
    estimate: &Estimate,
    offset: Option<Delta>,
    selection: &Selection,
) -> Attributes {
    Attributes::new()
        .with_some(schema::CLOCK_OFFSET, offset)
        .with(schema::CLOCK_ERROR_BOUND, estimate.bound)
        .with(schema::CLOCK_STATE, estimate.state.name())
        .with(schema::CLOCK_AGREEING, selection.agreeing)
        .with(schema::CLOCK_SERVERS, selection.ballots.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clocks::ExchangeError;
    use crate::world::clocks::testing::{at, model, offset_ms, round};

    #[test]
    fn the_spans_of_a_round_are_one_trace() {
        let measured = round(
            at(100),
            &[
                ("a", offset_ms(0)),
                ("b", offset_ms(0)),
                ("c", offset_ms(37_250)),
                ("d", Err(ExchangeError::Timeout)),
                ("e", offset_ms(0)),
            ],
        );
        let mut model = model();
        model.round(&measured);
        let exported = spans("n1", &model, &measured);
        assert_eq!(exported.len(), 6);
        assert!(exported[1..].iter().all(|span| span.parent == Some(exported[0].context.span_id)
            && span.context.trace_id == exported[0].context.trace_id));
        assert!(exported[1..].iter().all(|span| span.start >= exported[0].start
            && span.end <= exported[0].end
            && span.kind == SpanKind::Client));
        assert_eq!(exported[3].attributes.get(schema::NTP_VERDICT), Some(&"falseticker".into()));
        assert_eq!(exported[4].attributes.get(schema::ERROR_TYPE), Some(&"timeout".into()));
        assert!(exported[4].error.is_some() && exported[0].error.is_none());
        assert_eq!(spans("n1", &model, &measured), exported, "ids are derived, not random");
        let without_servers = round(at(100), &[]);
        assert!(spans("n1", &model, &without_servers).is_empty());
        let elsewhere = spans("n2", &model, &measured);
        assert_ne!(
            elsewhere[0].context.trace_id, exported[0].context.trace_id,
            "two nodes may share a virtual clock"
        );
    }
}
