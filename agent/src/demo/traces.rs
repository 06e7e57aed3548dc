//! Assembles spans into traces.

use std::collections::BTreeMap;

use tokenwatch_core::base::schema;
use tokenwatch_lab::received::{SpanSeen, text};

/// A trace counts as complete when its root has arrived and this many looks have found nothing new:
/// the agent sends the spans of a trace together.
const QUIET_LOOKS: u8 = 2;

/// A complete trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// The root.
    pub(super) root: SpanSeen,
    /// All other spans, by start.
    pub(super) children: Vec<SpanSeen>,
}

/// Traces that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct Traces {
    open: BTreeMap<Vec<u8>, Open>,
}

/// Spans of one trace.
#[derive(Debug, Default)]
struct Open {
    spans: Vec<SpanSeen>,
    /// Looks since the last span arrived.
    quiet: u8,
}

impl Traces {
    /// Adds a span to its trace.
    pub(super) fn add(&mut self, span: SpanSeen) {
        let open = self.open.entry(span.trace_id.clone()).or_default();
        open.spans.push(span);
        open.quiet = 0;
    }

    /// Removes the traces that are complete, by the end of their roots.
    pub(super) fn look(&mut self) -> Vec<Trace> {
        self.open.values_mut().for_each(|open| open.quiet = open.quiet.saturating_add(1));
        self.take(QUIET_LOOKS)
    }

    /// Removes every trace that has a root: nothing more will arrive.
    pub(super) fn rest(&mut self) -> Vec<Trace> {
        self.take(0)
    }

    /// How many generations were still in use when the agent stopped.
    pub(super) fn left_open(&self) -> usize {
        let is_open =
            |span: &&SpanSeen| text(&span.attributes, schema::TOKEN_OUTCOME) == Some("open");
        self.open.values().flat_map(|open| &open.spans).filter(is_open).count()
    }

    fn take(&mut self, quiet: u8) -> Vec<Trace> {
        let is_complete = |open: &Open| open.quiet >= quiet && open.root().is_some();
        let complete = self.open.extract_if(.., |_, open| is_complete(open));
        let mut traces: Vec<_> = complete.filter_map(|(_, open)| open.assembled()).collect();
        traces.sort_by_key(|trace| trace.root.end);
        traces
    }
}

impl Open {
    fn root(&self) -> Option<usize> {
        self.spans.iter().position(|span| span.parent.is_none())
    }

    fn assembled(mut self) -> Option<Trace> {
        let root = self.root()?;
        let root = self.spans.swap_remove(root);
        self.spans.sort_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
        Some(Trace { root, children: self.spans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenwatch_core::base::time::Wall;
    use tokenwatch_core::base::value::Attributes;

    fn span(trace: u8, id: u8, parent: Option<u8>) -> SpanSeen {
        let start = Wall::from_secs(i64::from(id));
        SpanSeen {
            trace_id: vec![trace],
            span_id: vec![id],
            parent: parent.map(|id| vec![id]),
            start,
            ..SpanSeen::default()
        }
    }

    #[test]
    fn a_trace_is_complete_once_it_has_its_root_and_is_quiet() {
        let mut traces = Traces::default();
        traces.add(span(1, 3, Some(1)));
        assert!(
            traces.look().is_empty() && traces.look().is_empty() && traces.look().is_empty(),
            "no root yet"
        );
        traces.add(span(1, 1, None));
        assert!(traces.look().is_empty(), "more may come");
        traces.add(span(1, 2, Some(1)));
        assert!(traces.look().is_empty(), "more came");
        let complete = traces.look();
        assert_eq!(
            complete[0].children.iter().map(|span| span.span_id[0]).collect::<Vec<_>>(),
            [2, 3]
        );
        assert!(traces.look().is_empty());
    }

    #[test]
    fn at_the_end_roots_do_not_wait_and_open_generations_are_counted() {
        let mut traces = Traces::default();
        traces.add(span(1, 1, None));
        let attributes = Attributes::new().with(schema::TOKEN_OUTCOME, "open");
        traces.add(SpanSeen { attributes, ..span(2, 2, Some(1)) });
        assert_eq!(traces.rest().len(), 1);
        assert_eq!(traces.left_open(), 1);
    }
}
