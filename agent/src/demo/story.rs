//! What the demo promises to show, and what of it has arrived.

use tokenwatch_core::base::schema;
use tokenwatch_core::findings::Code;

use super::script::{CART, LEDGER, REPORT, Role};
use tokenwatch_lab::received::{LogSeen, Received, SpanSeen, number, text};

/// A rotation this close to what the script did is healthy (it replaces the token 2 s after it was
/// due).
const HEALTHY_DELAY: std::ops::Range<f64> = 1.0..5.0;

/// What one step waits for.
#[derive(Debug)]
enum Sign {
    /// A whole generation of this pod's token that ended so.
    Generation(&'static Role, &'static str),
    /// An alert about this pod.
    Alert(Code, &'static str, Option<&'static Role>),
}

/// A promise.
#[derive(Debug)]
struct Step {
    says: &'static str,
    sign: Sign,
    seen: bool,
}

/// All promises, and counts of what arrived.
#[derive(Debug)]
pub(super) struct Story {
    steps: Vec<Step>,
    accused: Vec<String>,
    /// Spans that arrived.
    pub(super) spans: usize,
    /// Alerts that arrived.
    pub(super) alerts: usize,
    /// Batches of metrics that arrived.
    pub(super) metrics: usize,
}

impl Story {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        const RAISED: &str = "tokenwatch.finding.raised";
        const CLEARED: &str = "tokenwatch.finding.cleared";
        let alert = |says, code, event, role| Step {
            says,
            sign: Sign::Alert(code, event, role),
            seen: false,
        };
        let generation =
            |says, role, outcome| Step { says, sign: Sign::Generation(role, outcome), seen: false };
        let steps = vec![
            alert(
                "the clock went off, and the agent said by how much",
                Code::ClockOffset,
                RAISED,
                None,
            ),
            generation("a healthy rotation, as one whole trace", &CART, "replaced"),
            alert("a token from the future was named", Code::FutureDated, RAISED, Some(&REPORT)),
            alert("… and cleared when it was replaced", Code::FutureDated, CLEARED, Some(&REPORT)),
            alert("a rotation that is late was noticed", Code::RotationLate, RAISED, Some(&LEDGER)),
            alert(
                "… that it has stalled was said before the token died",
                Code::RotationStalled,
                RAISED,
                Some(&LEDGER),
            ),
            alert("… that it is dead was said when it died", Code::Expired, RAISED, Some(&LEDGER)),
            generation("… and its life is one whole trace", &LEDGER, "expired"),
            alert(
                "… and the alert was cleared when the pod was deleted",
                Code::Expired,
                CLEARED,
                Some(&LEDGER),
            ),
            alert(
                "the clock came back, and that was said as well",
                Code::ClockOffset,
                CLEARED,
                None,
            ),
        ];
        Self { steps, accused: Vec::new(), spans: 0, alerts: 0, metrics: 0 }
    }

    /// Takes note of something that arrived.
    pub(super) fn see(&mut self, received: &Received) {
        match received {
            Received::Span(span) => {
                self.spans += 1;
                self.tick(|sign| shows_generation(sign, span));
            }
            Received::Log(log) => {
                self.alerts += 1;
                self.tick(|sign| shows_alert(sign, log));
                self.accused.extend(wrongly_accused(log));
            }
            Received::Metrics(_) => self.metrics += 1,
        }
    }

    fn tick(&mut self, shown: impl Fn(&Sign) -> bool) {
        for step in self.steps.iter_mut().filter(|step| shown(&step.sign)) {
            step.seen = true;
        }
    }

    /// Whether every promise was kept so far, and nobody was accused who did nothing.
    pub(super) fn is_complete(&self) -> bool {
        self.steps().all(|(_, seen)| seen)
    }

    /// Every promise, and whether it was kept.
    pub(super) fn steps(&self) -> impl Iterator<Item = (String, bool)> {
        let last = match self.accused.as_slice() {
            [] => ("nobody else was accused".to_owned(), true),
            pods => {
                (format!("nobody else was accused (but these were: {})", pods.join(", ")), false)
            }
        };
        self.steps.iter().map(|step| (step.says.to_owned(), step.seen)).chain(std::iter::once(last))
    }

    /// How many promises are kept.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.steps().filter(|(_, seen)| *seen).count(), self.steps().count())
    }
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

fn shows_generation(sign: &Sign, span: &SpanSeen) -> bool {
    let Sign::Generation(role, outcome) = sign else { return false };
    let is_root = span.name == schema::SPAN_GENERATION && span.parent.is_none();
    let healthy = number(&span.attributes, schema::TOKEN_ROTATION_DELAY)
        .is_none_or(|delay| HEALTHY_DELAY.contains(&delay));
    is_root
        && healthy
        && text(&span.attributes, schema::TOKEN_OUTCOME) == Some(outcome)
        && pod(&span.attributes) == Some(role.pod)
}

fn shows_alert(sign: &Sign, log: &LogSeen) -> bool {
    let Sign::Alert(code, event, role) = sign else { return false };
    log.event == *event
        && text(&log.attributes, schema::FINDING_CODE) == Some(code.as_str())
        && role.is_none_or(|role| pod(&log.attributes) == Some(role.pod))
}

/// The pod an alert is about, if the script did it no harm.
fn wrongly_accused(log: &LogSeen) -> Option<String> {
    let about = pod(&log.attributes)?;
    let guilty = [&LEDGER, &REPORT].iter().any(|role| role.pod == about);
    (!guilty).then(|| about.to_owned())
}

fn pod(attributes: &tokenwatch_core::base::value::Attributes) -> Option<&str> {
    text(attributes, schema::K8S_POD_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::script::DNS;
    use tokenwatch_core::base::value::Attributes;

    fn alert(code: Code, event: &str, role: Option<&Role>) -> Received {
        let attributes = Attributes::new()
            .with(schema::FINDING_CODE, code.as_str())
            .with_some(schema::K8S_POD_NAME, role.map(|role| role.pod));
        Received::Log(Box::new(LogSeen {
            event: format!("tokenwatch.finding.{event}"),
            attributes,
            ..LogSeen::default()
        }))
    }

    fn generation(role: &Role, outcome: &str, delay: Option<f64>) -> Received {
        let attributes = Attributes::new()
            .with(schema::K8S_POD_NAME, role.pod)
            .with(schema::TOKEN_OUTCOME, outcome)
            .with_some(schema::TOKEN_ROTATION_DELAY, delay);
        Received::Span(Box::new(SpanSeen {
            name: schema::SPAN_GENERATION.into(),
            attributes,
            ..SpanSeen::default()
        }))
    }

    fn everything() -> Vec<Received> {
        let ledger = [Code::RotationLate, Code::RotationStalled, Code::Expired]
            .map(|code| alert(code, "raised", Some(&LEDGER)));
        let rest = [
            alert(Code::ClockOffset, "raised", None),
            generation(&CART, "replaced", Some(2.01)),
            alert(Code::FutureDated, "raised", Some(&REPORT)),
            alert(Code::FutureDated, "cleared", Some(&REPORT)),
            generation(&LEDGER, "expired", None),
            alert(Code::Expired, "cleared", Some(&LEDGER)),
            alert(Code::ClockOffset, "cleared", None),
        ];
        ledger.into_iter().chain(rest).collect()
    }

    fn told<'a>(received: impl IntoIterator<Item = &'a Received>) -> Story {
        let mut story = Story::new();
        received.into_iter().for_each(|item| story.see(item));
        story
    }

    #[test]
    fn complete_when_everything_arrived_and_not_before() {
        let all = everything();
        assert!(told(&all).is_complete());
        for missing in 0..all.len() {
            let rest = all.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, item)| item);
            assert!(!told(rest).is_complete(), "without {:?}", all[missing]);
        }
    }

    #[test]
    fn a_rotation_that_was_not_in_time_is_not_healthy() {
        let story =
            told(&[generation(&CART, "replaced", Some(30.0)), generation(&CART, "gone", None)]);
        assert_eq!(story.kept().0, 1, "only: nobody else was accused");
    }

    #[test]
    fn accusing_the_innocent_spoils_it() {
        let mut all = everything();
        all.push(alert(Code::RotationLate, "raised", Some(&DNS)));
        let story = told(&all);
        assert!(!story.is_complete());
        assert!(story.steps().any(|(says, seen)| !seen && says.contains(DNS.pod)));
    }
}
