//! Spans put together to traces.

use std::collections::BTreeMap;

use tokenwatch_core::base::schema;

use tokenwatch_lab::received::{SpanSeen, text};

/// A trace is taken to be whole when its root is there and nothing was added for this many looks:
/// its spans are sent together.
const QUIET_LOOKS: u8 = 2;

/// A whole trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// The root.
    pub(super) root: SpanSeen,
    /// All others, by start.
    pub(super) children: Vec<SpanSeen>,
}

/// Traces that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Traces {
    open: BTreeMap<Vec<u8>, (Vec<SpanSeen>, u8)>,
}

impl Traces {
    /// Takes a span.
    pub(super) fn add(&mut self, span: SpanSeen) {
        let (spans, looks) = self.open.entry(span.trace_id.clone()).or_default();
        spans.push(span);
        *looks = 0;
    }

    /// The traces that became whole since the last look, by the end of their roots.
    pub(super) fn look(&mut self) -> Vec<Trace> {
        self.open.values_mut().for_each(|(_, looks)| *looks = looks.saturating_add(1));
        self.take(|looks| looks >= QUIET_LOOKS)
    }

    /// The end: everything that has a root.
    pub(super) fn rest(&mut self) -> Vec<Trace> {
        self.take(|_| true)
    }

    /// How many generations were still going on when the agent stopped.
    pub(super) fn left_open(&self) -> usize {
        let is_open =
            |span: &&SpanSeen| text(&span.attributes, schema::TOKEN_OUTCOME) == Some("open");
        self.open.values().flat_map(|(spans, _)| spans).filter(is_open).count()
    }

    fn take(&mut self, quiet: impl Fn(u8) -> bool) -> Vec<Trace> {
        let whole = |spans: &[SpanSeen], looks| {
            quiet(looks) && spans.iter().any(|span| span.parent.is_none())
        };
        let ids: Vec<_> = self
            .open
            .iter()
            .filter(|(_, (spans, looks))| whole(spans, *looks))
            .map(|(id, _)| id.clone())
            .collect();
        let mut traces: Vec<_> = ids
            .iter()
            .filter_map(|id| self.open.remove(id))
            .filter_map(|(spans, _)| assembled(spans))
            .collect();
        traces.sort_by_key(|trace| trace.root.end);
        traces
    }
}

fn assembled(mut spans: Vec<SpanSeen>) -> Option<Trace> {
    let root = spans.iter().position(|span| span.parent.is_none())?;
    let root = spans.swap_remove(root);
    spans.sort_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
    Some(Trace { root, children: spans })
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
    fn a_trace_is_told_once_when_it_has_its_root_and_is_quiet() {
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
        let whole = traces.look();
        assert_eq!(
            whole[0].children.iter().map(|span| span.span_id[0]).collect::<Vec<_>>(),
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
