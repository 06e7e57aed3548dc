//! What has arrived from the agent, and what there is to show for it.

use tokenwatch_core::base::schema;
use tokenwatch_lab::received::Received;

use super::drawing::{self, ClockFeed};
use super::paint::Paint;
use super::story::Story;
use super::traces::{Trace, Traces};

/// Everything that has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    story: Story,
    traces: Traces,
    clock: ClockFeed,
    drawn: usize,
    measured: usize,
}

impl Arrivals {
    /// Takes an item. An alert has a text that can be shown at once; spans wait for their trace.
    pub(super) fn take(&mut self, received: Received, paint: Paint) -> Option<String> {
        self.story.see(&received);
        match received {
            Received::Span(span) => {
                self.traces.add(*span);
                None
            }
            Received::Log(log) => Some(drawing::alert(&log, paint)),
            Received::Metrics(_) => None,
        }
    }

    /// Draws the traces that are complete since the last call.
    pub(super) fn complete(&mut self, paint: Paint) -> Vec<String> {
        let complete = self.traces.look();
        self.drawings(&complete, paint)
    }

    /// Draws every remaining trace that has a root: nothing more will arrive.
    pub(super) fn rest(&mut self, paint: Paint) -> Vec<String> {
        let rest = self.traces.rest();
        self.drawings(&rest, paint)
    }

    fn drawings(&mut self, traces: &[Trace], paint: Paint) -> Vec<String> {
        let drawings: Vec<_> = traces.iter().filter_map(|trace| self.draw(trace, paint)).collect();
        self.drawn += drawings.len();
        drawings
    }

    fn draw(&mut self, trace: &Trace, paint: Paint) -> Option<String> {
        if trace.root.name == schema::SPAN_CLOCK {
            self.measured += 1;
            self.clock.draw(trace, paint)
        } else {
            Some(drawing::generation(trace, paint))
        }
    }

    /// What the demo promises, and what of it has arrived.
    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    /// The counts, as a sentence.
    pub(super) fn counts(&self) -> String {
        let counts = self.story.counts();
        format!(
            "Received: {} spans ({} traces drawn, {} clock measurements, {} tokens still in use), \
             {} alerts, {} batches of metrics.",
            counts.spans,
            self.drawn,
            self.measured,
            self.traces.left_open(),
            counts.alerts,
            counts.metrics,
        )
    }
}
