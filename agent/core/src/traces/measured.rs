//! Which measurements of the clock become traces: those that show something new, and one an hour.

use std::collections::{BTreeMap, BTreeSet};

use super::{Span, clock};
use crate::base::time::{Delta, Monotonic};
use crate::world::clocks::{ClockModel, Estimate, Exchange, Round, ServerName, Step, TimeSource};

/// A measurement without news is exported this often, so that a trace shows how the node measures.
/// At one round in 64 s, all of them would be 225 spans an hour with three servers.
const SAMPLE_EVERY: Delta = Delta::from_secs(3_600);

/// What the last exported measurement showed.
#[derive(Debug, Default)]
pub(super) struct Measurements(Option<Shown>);

#[derive(Debug)]
struct Shown {
    at: Monotonic,
    estimate: Estimate,
    source: TimeSource,
    step: Option<Step>,
    answers: BTreeMap<Name, Kinds>,
}

/// Host and port. The addresses of a name may be others in each round.
type Name = (String, u16);

/// The kinds of answers of a name's addresses: the vote on each, or why there was none.
type Kinds = BTreeSet<&'static str>;

impl Measurements {
    /// The spans of `round`, which `model` has already taken. None if it shows nothing new.
    pub(super) fn spans(&mut self, node: &str, model: &ClockModel, round: &Round) -> Vec<Span> {
        let shown = Shown::of(model, round, self.0.as_ref());
        if self.0.as_ref().is_some_and(|last| !shown.is_news_after(last)) {
            return Vec::new();
        }
        self.0 = Some(shown);
        clock::spans(node, model, round)
    }
}

impl Shown {
    fn of(model: &ClockModel, round: &Round, last: Option<&Self>) -> Self {
        let mut answers = last.map(|last| last.kept(model)).unwrap_or_default();
        answers.extend(queried(model, round));
        Self {
            at: round.ended.monotonic,
            estimate: model.estimate(&round.ended),
            source: model.source(&round.ended),
            step: model.last_step,
            answers,
        }
    }

    /// The answers of the names that the model still has: not each is queried in every round.
    fn kept(&self, model: &ClockModel) -> BTreeMap<Name, Kinds> {
        let known: BTreeSet<Name> =
            model.servers().iter().map(|report| name(&report.server)).collect();
        let all = self.answers.iter().filter(|(name, _)| known.contains(*name));
        all.map(|(name, kinds)| (name.clone(), kinds.clone())).collect()
    }

    fn is_news_after(&self, last: &Self) -> bool {
        let verdict = |shown: &Self| {
            let Estimate { assumed, alone, state, .. } = shown.estimate;
            (state, assumed, alone, shown.source, shown.step)
        };
        let moved = (self.estimate.offset - last.estimate.offset).abs() > last.estimate.bound;
        self.at - last.at >= SAMPLE_EVERY
            || verdict(self) != verdict(last)
            || moved
            || self.answers != last.answers
    }
}

fn queried(model: &ClockModel, round: &Round) -> BTreeMap<Name, Kinds> {
    let mut answers: BTreeMap<Name, Kinds> = BTreeMap::new();
    for exchange in &round.exchanges {
        answers.entry(name(&exchange.server)).or_default().insert(kind(model, exchange));
    }
    answers
}

fn kind(model: &ClockModel, exchange: &Exchange) -> &'static str {
    match &exchange.result {
        Ok(_) => model.vote_of(&exchange.server).name(),
        Err(error) => error.kind(),
    }
}

fn name(server: &ServerName) -> Name {
    (server.host.clone(), server.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Reading;
    use crate::world::clocks::ExchangeError;
    use crate::world::clocks::testing::{Answer, at, model, offset_ms, round, set, step};

    /// Interval between two rounds, seconds.
    const ROUND: i64 = 64;

    struct Node {
        model: ClockModel,
        measurements: Measurements,
    }

    impl Node {
        fn new() -> Self {
            Self { model: model(), measurements: Measurements::default() }
        }

        /// The number of spans of a round.
        fn round(&mut self, now: Reading, answers: &[Answer<'_>]) -> usize {
            let round = round(now, answers);
            self.model.round(&round);
            self.measurements.spans("n1", &self.model, &round).len()
        }
    }

    fn well(millis: i64) -> [Answer<'static>; 3] {
        ["a", "b", "c"].map(|name| (name, offset_ms(millis)))
    }

    #[test]
    fn a_steady_clock_is_one_trace_an_hour() {
        let mut node = Node::new();
        let spans = |node: &mut Node, hour: i64| -> usize {
            let rounds = (0..3_600 / ROUND).map(|nth| hour * 3_600 + nth * ROUND);
            // An offset that wanders within the bound of 5 ms.
            rounds.map(|secs| node.round(at(secs), &well(secs % 5))).sum()
        };
        assert_eq!([0, 1, 2, 3].map(|hour| spans(&mut node, hour)), [4; 4]);
    }

    #[test]
    fn what_is_new_is_exported_once() {
        let timeout = || Err(ExchangeError::Timeout);
        // (what it shows, the answers from then on)
        let table: [(&str, [Answer<'_>; 3]); 6] = [
            ("a move out of the interval", well(6)),
            ("a clock that is off", well(700)),
            (
                "a server that is wrong",
                [("a", offset_ms(0)), ("b", offset_ms(0)), ("c", offset_ms(90))],
            ),
            (
                "a server that is silent",
                [("a", offset_ms(0)), ("b", offset_ms(0)), ("c", timeout())],
            ),
            ("no agreement", [("a", offset_ms(0)), ("b", offset_ms(90)), ("c", offset_ms(-90))]),
            ("no answer at all", [("a", timeout()), ("b", timeout()), ("c", timeout())]),
        ];
        for (what, answers) in table {
            let mut node = Node::new();
            assert_eq!([0, 1].map(|nth| node.round(at(nth * ROUND), &well(0))), [4, 0], "{what}");
            let then = [2, 3, 4].map(|nth| node.round(at(nth * ROUND), &answers));
            assert_eq!(then, [4, 0, 0], "{what}");
            let again = [5, 6].map(|nth| node.round(at(nth * ROUND), &well(0)));
            assert_eq!(again, [4, 0], "{what}, and its end");
        }
    }

    #[test]
    fn another_reason_for_silence_is_new() {
        let mut node = Node::new();
        let failing = |error: ExchangeError| [("a", Err(error))];
        let mut spans = |secs, error| node.round(at(secs), &failing(error));
        assert_eq!(spans(0, ExchangeError::Timeout), 2);
        assert_eq!(spans(64, ExchangeError::Resolve("1".into())), 2);
        assert_eq!(spans(128, ExchangeError::Resolve("2".into())), 0, "only words differ");
    }

    /// A step that the measurement corrects within its own bound is news, too.
    #[test]
    fn a_step_is_exported() {
        let mut node = Node::new();
        assert_eq!(node.round(at(0), &well(0)), 4);
        let size = Delta::from_millis(2);
        node.model.step(&step(at(60), size));
        let [first, second] = [64, 128].map(|secs| node.round(set(at(secs), size), &well(-2)));
        assert_eq!((first, second), (4, 0));
    }

    #[test]
    fn a_server_that_is_not_queried_in_each_round_is_no_news() {
        let mut node = Node::new();
        let all = well(0);
        let rounds = [&all[..], &all[..2], &all[..2], &all[..], &all[..2]];
        let spans: Vec<_> =
            (0..).zip(rounds).map(|(nth, one)| node.round(at(nth * ROUND), one)).collect();
        assert_eq!(spans, [4, 0, 0, 0, 0]);
    }

    #[test]
    fn another_address_of_a_name_is_no_news() {
        let mut node = Node::new();
        let spans = [1, 2, 3].map(|nth| {
            let mut round = round(at(nth * ROUND), &well(0));
            for exchange in &mut round.exchanges {
                exchange.server.address = Some(format!("192.0.2.{nth}"));
            }
            node.model.round(&round);
            node.measurements.spans("n1", &node.model, &round).len()
        });
        assert_eq!(spans, [4, 0, 0]);
    }
}
