//! What the demo prints before and after the script, and how it ends: pure.

use super::arrivals::Arrivals;
use super::outcome::Outcome;
use super::paint::{Paint, Tone};
use super::plan::{AgentEnd, Collector};
use super::stage::NODE;

/// The first words of the output, in bold.
const TITLE: &str = "tokenwatch demo";

/// What the user is about to see.
pub(super) fn opening(collector: &Collector, paint: Paint) -> String {
    let about = paint.flowing(
        "tokenwatch demo: the real agent watches a simulated node in a temporary directory, for \
         about 80 s. It needs no network and no privileges.",
    );
    let about = about.replacen(TITLE, &paint.paint(Tone::Strong, TITLE), 1);
    format!("{about}{}", paint.flowing(&where_to_look(collector)))
}

fn where_to_look(collector: &Collector) -> String {
    match collector {
        Collector::BuiltIn(_) => {
            "The agent exports over OTLP to a receiver in this process, which draws what arrives."
                .to_owned()
        }
        Collector::Given(endpoint) => format!(
            "The agent exports to {endpoint}. Look there for the service tokenwatch on the node \
             {NODE}."
        ),
    }
}

/// How the agent ended, for a collector of the user's own: nothing arrived here.
pub(super) fn sent(endpoint: &str, ended: &AgentEnd, paint: Paint) -> String {
    paint.flowing(&match ended {
        Ok(()) => format!(
            "The agent sent everything to {endpoint}, unless it logged a warning above. Tokens \
             that are still in use have token.outcome = open."
        ),
        Err(fault) => format!("The agent could not send everything to {endpoint}: {fault}"),
    })
}

/// Each promise with its mark, and the counts.
pub(super) fn summary(
    arrivals: &Arrivals,
    secs: i64,
    was_interrupted: bool,
    paint: Paint,
) -> String {
    let (kept, all) = arrivals.story().kept();
    let heading = paint.paint(Tone::Strong, &format!("{kept} of {all} shown in {secs} s"));
    let line = |(promise, kept)| format!("  {} {promise}\n", mark(kept, was_interrupted, paint));
    let steps: String = arrivals.story().steps().map(line).collect();
    format!("{heading}\n{steps}{}", paint.flowing(&arrivals.counts()))
}

fn mark(kept: bool, was_interrupted: bool, paint: Paint) -> String {
    match (kept, was_interrupted) {
        (true, _) => paint.paint(Tone::Good, "✓"),
        (false, true) => paint.paint(Tone::Faint, "· not yet:"),
        (false, false) => paint.paint(Tone::Bad, "✗ did not arrive:"),
    }
}

/// What the demo comes to. `is_complete`: everything arrived that should, or nothing should.
pub(super) fn outcome(ended: AgentEnd, was_interrupted: bool, is_complete: bool) -> Outcome {
    match ended {
        _ if was_interrupted => Outcome::Interrupted,
        Err(fault) => Outcome::AgentEnded(fault),
        Ok(()) if is_complete => Outcome::Complete,
        Ok(()) => Outcome::Incomplete,
    }
}
