//! What the demo promises to show, and what of it has arrived.

use tokenwatch_core::base::schema;
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::findings::Code;
use tokenwatch_lab::received::{LogSeen, Received, SpanSeen, number, text};

use super::script::{CART, CHECKOUT, LEDGER, REPORT, Role};

/// Seconds from due to replaced that count as healthy. The script replaces the token 2 s after it
/// was due.
const HEALTHY_DELAY: std::ops::Range<f64> = 1.0..5.0;
const RAISED: &str = "tokenwatch.finding.raised";
const REMINDED: &str = "tokenwatch.finding.reminded";
const CLEARED: &str = "tokenwatch.finding.cleared";

/// What keeps a promise.
#[derive(Debug)]
enum Sign {
    /// A complete generation of this pod's token with this outcome.
    Generation(&'static Role, &'static str),
    /// A reader of this pod's token that never read a generation.
    NeverRead(&'static Role),
    /// An alert with this event, about this pod if there is one. A finding that gets worse is
    /// reminded.
    Alert(Code, &'static str, Option<&'static Role>),
}

/// Something that the demo promises to show.
#[derive(Debug)]
struct Promise {
    text: &'static str,
    sign: Sign,
}

const PROMISES: [Promise; 13] = [
    alert("the agent reported how far the clock is off", Code::ClockOffset, RAISED, None),
    generation("one complete trace shows a healthy rotation", &CART, "replaced"),
    alert(
        "the agent reported a program that keeps a replaced token",
        Code::ReaderStale,
        RAISED,
        Some(&CHECKOUT),
    ),
    Promise {
        text: "… and one complete trace shows that it never read the new token",
        sign: Sign::NeverRead(&CHECKOUT),
    },
    alert(
        "… and cleared that alert when the pod was restarted",
        Code::ReaderStale,
        CLEARED,
        Some(&CHECKOUT),
    ),
    alert(
        "the agent reported a token that was issued in the future",
        Code::FutureDated,
        RAISED,
        Some(&REPORT),
    ),
    alert(
        "… and cleared that alert when kubelet replaced the token",
        Code::FutureDated,
        CLEARED,
        Some(&REPORT),
    ),
    alert("the agent reported a late rotation", Code::RotationLate, RAISED, Some(&LEDGER)),
    alert(
        "… and that it had stalled, before the token expired",
        Code::RotationStalled,
        REMINDED,
        Some(&LEDGER),
    ),
    alert("… and that the token had expired", Code::Expired, REMINDED, Some(&LEDGER)),
    generation("one complete trace shows the life of that token", &LEDGER, "expired"),
    alert(
        "the agent cleared the alert when the pod was deleted",
        Code::Expired,
        CLEARED,
        Some(&LEDGER),
    ),
    alert(
        "the agent cleared the clock alert when the clocks agreed again",
        Code::ClockOffset,
        CLEARED,
        None,
    ),
];

const fn alert(
    text: &'static str,
    code: Code,
    event: &'static str,
    role: Option<&'static Role>,
) -> Promise {
    Promise { text, sign: Sign::Alert(code, event, role) }
}

const fn generation(text: &'static str, role: &'static Role, outcome: &'static str) -> Promise {
    Promise { text, sign: Sign::Generation(role, outcome) }
}

/// How many items of each kind have arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Spans.
    pub(super) spans: usize,
    /// Alerts.
    pub(super) alerts: usize,
    /// Batches of metrics.
    pub(super) metrics: usize,
}

/// The promises, with what of them has arrived.
#[derive(Debug, Default)]
pub(super) struct Story {
    kept: [bool; PROMISES.len()],
    /// Pods that an alert was about although the script did nothing to them.
    accused: Vec<String>,
    counts: Counts,
}

impl Story {
    /// Takes account of something that arrived.
    pub(super) fn see(&mut self, received: &Received) {
        match received {
            Received::Span(span) => {
                self.counts.spans += 1;
                self.keep(|sign| sign.is_span(span));
            }
            Received::Log(log) => {
                self.counts.alerts += 1;
                self.keep(|sign| sign.is_log(log));
                self.accused.extend(wrongly_accused(log));
            }
            Received::Metrics(_) => self.counts.metrics += 1,
        }
    }

    fn keep(&mut self, is_shown: impl Fn(&Sign) -> bool) {
        for (kept, promise) in self.kept.iter_mut().zip(&PROMISES) {
            *kept |= is_shown(&promise.sign);
        }
    }

    /// Every promise is kept, and no alert was about a healthy pod.
    pub(super) fn is_complete(&self) -> bool {
        self.steps().all(|(_, kept)| kept)
    }

    /// Every promise, and whether it is kept.
    pub(super) fn steps(&self) -> impl Iterator<Item = (String, bool)> {
        let promises = PROMISES.iter().map(|promise| promise.text.to_owned());
        promises.zip(self.kept).chain(std::iter::once(self.nobody_accused()))
    }

    fn nobody_accused(&self) -> (String, bool) {
        const TEXT: &str = "no alert was about a healthy pod";
        match self.accused.as_slice() {
            [] => (TEXT.to_owned(), true),
            pods => (format!("{TEXT} (there were alerts about {})", pods.join(", ")), false),
        }
    }

    /// How many promises are kept, and how many there are.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.steps().filter(|(_, kept)| *kept).count(), self.steps().count())
    }

    /// How much has arrived.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

impl Sign {
    fn is_span(&self, span: &SpanSeen) -> bool {
        match self {
            Self::Generation(role, outcome) => {
                is_healthy_root(span)
                    && text(&span.attributes, schema::TOKEN_OUTCOME) == Some(outcome)
                    && pod(&span.attributes) == Some(role.pod)
            }
            Self::NeverRead(role) => is_never_read(span) && pod(&span.attributes) == Some(role.pod),
            Self::Alert(..) => false,
        }
    }

    fn is_log(&self, log: &LogSeen) -> bool {
        match self {
            Self::Generation(..) | Self::NeverRead(_) => false,
            Self::Alert(code, event, role) => {
                log.event == *event
                    && text(&log.attributes, schema::FINDING_CODE) == Some(code.as_str())
                    && role.is_none_or(|role| pod(&log.attributes) == Some(role.pod))
            }
        }
    }
}

fn is_never_read(span: &SpanSeen) -> bool {
    span.name == schema::SPAN_READER_LAG
        && text(&span.attributes, schema::READER_OUTCOME) == Some("never_read")
}

/// The root of a generation that was replaced in time, or never.
fn is_healthy_root(span: &SpanSeen) -> bool {
    let delay = number(&span.attributes, schema::TOKEN_ROTATION_DELAY);
    span.name == schema::SPAN_GENERATION
        && span.parent.is_none()
        && delay.is_none_or(|delay| HEALTHY_DELAY.contains(&delay))
}

/// The pod that an alert is about, if the script did nothing to it.
fn wrongly_accused(log: &LogSeen) -> Option<String> {
    let about = pod(&log.attributes)?;
    let is_expected = [&CHECKOUT, &LEDGER, &REPORT].iter().any(|role| role.pod == about);
    (!is_expected).then(|| about.to_owned())
}

fn pod(attributes: &Attributes) -> Option<&str> {
    text(attributes, schema::K8S_POD_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::script::DNS;

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

    fn never_read(role: &Role) -> Received {
        let attributes = Attributes::new()
            .with(schema::K8S_POD_NAME, role.pod)
            .with(schema::READER_OUTCOME, "never_read");
        Received::Span(Box::new(SpanSeen {
            name: schema::SPAN_READER_LAG.into(),
            attributes,
            ..SpanSeen::default()
        }))
    }

    fn everything() -> Vec<Received> {
        let ledger = [
            (Code::RotationLate, "raised"),
            (Code::RotationStalled, "reminded"),
            (Code::Expired, "reminded"),
        ]
        .map(|(code, event)| alert(code, event, Some(&LEDGER)));
        let rest = [
            alert(Code::ClockOffset, "raised", None),
            generation(&CART, "replaced", Some(2.01)),
            alert(Code::FutureDated, "raised", Some(&REPORT)),
            alert(Code::FutureDated, "cleared", Some(&REPORT)),
            generation(&LEDGER, "expired", None),
            alert(Code::ReaderStale, "raised", Some(&CHECKOUT)),
            never_read(&CHECKOUT),
            alert(Code::ReaderStale, "cleared", Some(&CHECKOUT)),
            alert(Code::Expired, "cleared", Some(&LEDGER)),
            alert(Code::ClockOffset, "cleared", None),
        ];
        ledger.into_iter().chain(rest).collect()
    }

    fn after<'a>(received: impl IntoIterator<Item = &'a Received>) -> Story {
        let mut story = Story::default();
        received.into_iter().for_each(|item| story.see(item));
        story
    }

    #[test]
    fn the_story_is_complete_when_everything_has_arrived_and_not_before() {
        let all = everything();
        assert!(after(&all).is_complete());
        for missing in 0..all.len() {
            let rest = all.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, item)| item);
            assert!(!after(rest).is_complete(), "without {:?}", all[missing]);
        }
    }

    #[test]
    fn a_rotation_that_is_not_in_time_is_not_healthy() {
        let story =
            after(&[generation(&CART, "replaced", Some(30.0)), generation(&CART, "gone", None)]);
        assert_eq!(story.kept().0, 1, "only the promise about healthy pods");
    }

    #[test]
    fn an_alert_about_a_healthy_pod_breaks_a_promise() {
        let mut all = everything();
        all.push(alert(Code::RotationLate, "raised", Some(&DNS)));
        let story = after(&all);
        assert!(!story.is_complete());
        assert!(story.steps().any(|(text, kept)| !kept && text.contains(DNS.pod)));
    }
}
